"""The logs of epochs for TensorBoard."""

from __future__ import annotations

from pathlib import Path

import keras


class TensorBoardLog(keras.callbacks.Callback):
    """Writes the logs of every epoch as scalars. Keras' own callback begins a new file with each call of `fit`.

    Arguments:
        folder: the folder for `tensorboard --logdir`.
    """

    def __init__(self, folder: Path):
        super().__init__()
        import tensorflow as tf

        self.summary = tf.summary
        self.writer = tf.summary.create_file_writer(str(folder))

    def on_epoch_end(self, epoch, logs=None):
        with self.writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                self.summary.scalar(name, float(value))
        self.writer.flush()
