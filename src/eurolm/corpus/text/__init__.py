"""What is known about a text by itself: its words, its language, the personal data in it."""
