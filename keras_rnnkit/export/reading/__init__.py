"""What the model is: its inputs and outputs, the ways to call it, and whether it can run chunk by chunk."""
