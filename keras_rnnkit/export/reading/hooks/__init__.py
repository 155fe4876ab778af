"""What a model's layers do instead while it is read and traced, in one thread and under one lock."""
