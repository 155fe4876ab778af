"""From a placeholder node to ONNX operators."""
