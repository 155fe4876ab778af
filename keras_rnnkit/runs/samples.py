"""Samples of what a model writes, now and then while it trains."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnkit.decoding import Sampling, generate, noise
from keras_rnnkit.ops import keras as kops
from keras_rnnkit.runtime.generation import without_unknown
from keras_rnnkit.training import Checkpoint, averaged, other_rows, reset_states
from keras_rnnkit.training.state import carries

Sample = Callable[[Any], str]
"""What a model writes at this moment. It must not change the model, nor draw from the random numbers of training."""


class SampleWriter(keras.callbacks.Callback):
    """Lets the model write after every so many minutes, onto the console and into a file.

    A sample that fails is reported, and there are no more of them; training continues.

    Arguments:
        sample: writes the sample.
        minutes: the time between two samples.
        path: the file, which is extended.
        keeper: knows the epoch and the batch.
        console: where the samples are shown.
    """

    def __init__(self, sample: Sample, minutes: float, path: Path, keeper: Checkpoint, console: Any):
        super().__init__()
        self.sample, self.seconds, self.path = sample, 60 * minutes, path
        self.keeper, self.console = keeper, console
        self.last, self.failed = time.monotonic(), False

    def on_train_batch_end(self, batch, logs=None):
        if self.failed or time.monotonic() - self.last < self.seconds:
            return
        place = f"epoch {self.keeper.epoch + 1}, batch {self.keeper.batches_before + batch + 1}"
        try:
            with averaged(self.model):
                text = self.sample(self.model)
        except Exception as error:
            self.failed = True
            self.console.print(f"No more samples: writing one failed ({error!r}).", markup=False)
            return
        self.console.print(f"\n{place}:\n{text}\n", markup=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{place}:\n{text}\n\n")
        self.last = time.monotonic()


def continuation(
    model: Any,
    vocabulary: Any,
    prompts: np.ndarray,
    steps: int,
    temperature: float = 0.8,
    seed: int = 0,
    end: int | None = None,
) -> list[str]:
    """Texts that a Keras model from tokens to logits writes after prompts, however it was compiled.

    Arguments:
        model: the model; one with carried states has the states from before afterwards.
        vocabulary: its vocabulary.
        prompts: numbers of tokens [N, T].
        steps: tokens of a text, at most.
        temperature, seed: those of the sampling.
        end: the token that ends a text.
    """
    strategy = without_unknown(Sampling(temperature), vocabulary, allow_unknown=False)
    random = ops.convert_to_tensor(noise(seed, len(prompts), steps))
    with other_rows(model, len(prompts)) if carries(model) else nullcontext():
        step = carried_step(model) if carries(model) else whole_step(model, prompts)
        logits, states = step(ops.convert_to_tensor(prompts), [])
        written = generate(kops, step, logits, states, strategy, steps, random, end)
    tokens, lengths = ops.convert_to_numpy(written.tokens), ops.convert_to_numpy(written.lengths)
    return [vocabulary.decode(row[: int(length)]) for row, length in zip(tokens, lengths, strict=True)]


def carried_step(model: Any) -> Any:
    """A step of the token loop by a model that carries its states."""
    reset_states(model)

    def step(tokens, states):
        tokens = ops.cast(tokens, "int32")
        return model(tokens if len(tokens.shape) == 2 else tokens[:, None], training=False)[:, -1], []

    return step


def whole_step(model: Any, prompts: np.ndarray) -> Any:
    """A step of the token loop by a model that begins anew: it reads the text so far every time."""
    text = [np.zeros((len(prompts), 0), np.int32)]

    def step(tokens, states):
        columns = ops.convert_to_numpy(tokens).astype(np.int32).reshape(len(prompts), -1)
        text[0] = np.concatenate([text[0], columns], axis=1)
        return model(ops.convert_to_tensor(text[0]), training=False)[:, -1], []

    return step
