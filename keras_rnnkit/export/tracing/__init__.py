"""From Keras to an ONNX graph in which each recurrence is one placeholder node."""
