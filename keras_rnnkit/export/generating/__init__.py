"""The token loop inside a graph, and encoder-decoder models on top of it."""
