"""Writes ONNX graphs: nodes, loops, copies of whole graphs, names, axes, and 8-bit weights."""
