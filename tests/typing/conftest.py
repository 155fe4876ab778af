"""The scripts in this folder are for mypy; pytest must not import them."""

collect_ignore = ["right.py", "wrong.py"]
