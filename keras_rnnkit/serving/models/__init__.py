"""What is served: the folder of bundles, each model with its batches, its streams and its generations."""
