"""Writing to disk: whole or not at all, and nothing of anybody else is lost."""
