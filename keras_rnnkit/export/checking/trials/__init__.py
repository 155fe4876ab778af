"""What a file and Keras are both run on."""
