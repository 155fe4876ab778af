"""What an operator sees: the log, the metrics, traces."""
