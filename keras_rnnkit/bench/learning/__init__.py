"""What the cells learn in the same number of steps with the same number of weights, and in what time.

python -m keras_rnnkit.bench.learning --help
"""
