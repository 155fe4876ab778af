"""The `rnnkit` command.

A command imports what it needs when it runs, so that `--help` answers without TensorFlow.
"""

from keras_rnnkit.cli.commands import app

__all__ = ["app"]
