"""What tokenizers of any make cost each language, judged side by side on the same text."""
