"""From a Keras model with recurrent layers to files that run without Keras."""
