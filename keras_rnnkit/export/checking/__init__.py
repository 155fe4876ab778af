"""Keras and onnxruntime side by side, and the layer in which they first differ."""
