"""Real Latvian and Estonian text that eurolm carries, with planted noise, and the code that put it together."""
