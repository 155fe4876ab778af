"""The reach of a gradient back in time: its norm with respect to the state of each step.

    ||dL/dh_t||,  lag T - t,  where L is the loss of the last step

A plain gradient norm is the sum over all steps, and the last ones dominate it: a network whose gradients vanish after
ten steps looks as well as one that learns from a thousand.

Paper: Y. Bengio, P. Simard and P. Frasconi, Learning long-term dependencies with gradient descent is difficult, 1994.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import tree

from keras_rnnkit import keras_internals
from keras_rnnkit.training.state import carried_states, carries, other_rows, set_states

VANISHED = 1e-3
"""A gradient has vanished where its norm is below this part of that of the last step."""
EXPLODED = 1e3
"""A gradient has exploded where its norm is that many times that of the last step."""


class GradientFlow(keras.callbacks.Callback):
    """Measures the norm of dL/dh_t by lag for each recurrent layer, and warns in words.

    L is the loss of the last step, so that the norm at a lag says what a step so far back can learn from it. h_t is the
    whole state of a step, of an LSTM the memory too. Layers that read backwards are left out.

    The logs get `LAYER_reach`, the last lag at which the norm is above a thousandth of that of the last step, and
    `norms` has the norms themselves, by the names of the layers: arrays of all lags, from 0 on.

    Arguments:
        x: inputs of some rows, without padding; a dozen rows are enough.
        y: their targets.
        every: epochs between two measurements; the first one is made before training.
        print_fn: is told each kind of warning once for each layer; None to keep them in `warnings` only.

    >>> import keras_rnnkit as rk
    >>> x = np.random.default_rng(0).normal(size=(8, 60, 2)).astype("float32")
    >>> layers = [keras.Input((None, 2)), rk.VanillaRNN(4, recurrent_initializer="zeros", name="memory")]
    >>> model = keras.Sequential([*layers, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> flow = GradientFlow(x, x[:, -1, :1])
    >>> history = model.fit(x, x[:, -1, :1], callbacks=[flow], verbose=0).history
    memory: gradients vanish beyond lag 0 of 59. Steps further back hardly change the weights.
    >>> flow.norms["memory"].shape, history["memory_reach"][0] < 5
    ((60,), True)
    """

    def __init__(self, x: Any, y: Any, every: int = 1, print_fn: Callable[[str], Any] | None = print):
        super().__init__()
        if every < 1:
            raise ValueError(f"every must be a number of epochs, 1 or more. Received: every={every}.")
        self.x, self.y, self.every, self.print_fn = x, y, every, print_fn
        self.norms: dict[str, np.ndarray] = {}
        self.warnings: list[str] = []
        self.warned: set[tuple[str, ...]] = set()
        self.measured = False

    def on_epoch_begin(self, epoch, logs=None):
        if not self.measured:
            self.measure()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0:
            self.measure()
        if logs is not None:
            logs.update({f"{name}_reach": float(reach(norms)) for name, norms in self.norms.items()})

    def measure(self) -> dict[str, np.ndarray]:
        """The norms at this moment, by the names of the layers."""
        self.norms, self.measured = gradient_norms(self.model, self.x, self.y), True
        for name, norms in self.norms.items():
            sentence = warning(norms)
            if sentence is not None:
                self._warn(name, sentence)
        return self.norms

    def _warn(self, name: str, sentence: str) -> None:
        """Note a warning about a layer, once for each kind: the lags in the sentence differ from epoch to epoch."""
        kind = (name, *sentence.split()[:2])  # "gradients vanish"
        if kind in self.warned:
            return
        self.warned.add(kind)
        self.warnings.append(f"{name}: {sentence}")
        if self.print_fn is not None:
            self.print_fn(self.warnings[-1])


def gradient_norms(model: Any, x: Any, y: Any) -> dict[str, np.ndarray]:
    """The norms of dL/dh_t of each recurrent layer, by its name: the mean over the rows, for all lags from 0 on.

    Arguments:
        model: a compiled model, with a single output and a loss.
        x, y: inputs and targets of some rows, without padding. Where the output has steps, only the last one counts.
    """
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ValueError(f"Gradients by lag are measured on TensorFlow. Received: {keras.backend.backend()}.")
    loss, rows = loss_of(model), len(tree.flatten(x)[0])
    with untouched(model, rows), recorded_states(model) as states:
        with tf.GradientTape() as tape:
            output = model(tree.map_structure(keras.ops.convert_to_tensor, x), training=False)
            watched = {name: [tree.flatten(step) for step in steps] for name, steps in states.items()}
            value = keras.ops.mean(loss(*last_steps(keras.ops.convert_to_tensor(y), output)))
        gradients = tape.gradient(value, watched, unconnected_gradients="zero")
    return {name: rows * norms_of(steps) for name, steps in gradients.items()}


def norms_of(steps: list[list[Any]]) -> np.ndarray:
    """The norms [T] of the gradients of the states of each step, the last one first; the mean over the rows."""
    whole = [np.concatenate([np.asarray(state, np.float64) for state in step], axis=-1) for step in reversed(steps)]
    return np.array([np.linalg.norm(step, axis=-1).mean() for step in whole])


def loss_of(model: Any) -> Any:
    """The loss of a compiled model, as a function of targets and outputs: a number, or one for each row."""
    loss = getattr(model, "loss", None)
    if loss is None or isinstance(loss, dict | list | tuple):
        raise ValueError(
            "Gradients by lag need a model that was compiled with one loss, for one output. Received: "
            f"loss={loss!r}. Call model.compile(optimizer, loss) first."
        )
    return keras.losses.get(loss) if isinstance(loss, str) else loss


def last_steps(y: Any, output: Any) -> tuple[Any, Any]:
    """Targets and outputs of the last step, where the output [B, T, ...] has steps and the targets have them too."""
    timed = len(output.shape) == 3 and len(y.shape) >= 2 and y.shape[1] == output.shape[1]
    return (y[:, -1:], output[:, -1:]) if timed else (y, output)


@contextlib.contextmanager
def untouched(model: Any, rows: int) -> Iterator[None]:
    """Inside, a model with carried states has new ones for that many rows; afterwards it has those from before."""
    if not carries(model):
        yield
        return
    before = carried_states(model)
    with other_rows(model, rows):
        yield
    set_states(model, before)


@contextlib.contextmanager
def recorded_states(model: Any) -> Iterator[dict[str, list[Any]]]:
    """Inside, every recurrent layer notes the states after each step when it is called: a list by its name.

    The layers run their cells step by step, so that a tape sees each state.
    """
    layers = [layer for layer in keras_internals.flatten_layers(model) if isinstance(layer, keras.layers.RNN)]
    layers = [layer for layer in layers if not layer.go_backwards]
    if not layers:
        raise ValueError(f"{model.name!r} has no recurrent layer that reads forwards, so there are no lags to measure.")
    states: dict[str, list[Any]] = {}
    try:
        for number, layer in enumerate(layers):
            name = layer.name if layer.name not in states else f"{layer.name}_{number}"
            states[name] = []
            # Keras must not track the function, nor save it.
            object.__setattr__(layer, "inner_loop", step_by_step(layer, states[name]))
        yield states
    finally:
        for layer in layers:
            if "inner_loop" in vars(layer):
                object.__delattr__(layer, "inner_loop")


def step_by_step(layer: Any, states: list[Any]) -> Callable:
    """A replacement for the loop of a layer, which calls the cell step by step and appends each state to `states`."""
    import tensorflow as tf

    def inner_loop(sequences, initial_state, mask, training=False):
        state = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
        outputs = []
        states.clear()
        for t in range(sequences.shape[1]):
            output, computed = layer.cell(sequences[:, t], state, training=False)
            # An LSTM computes h from c. As copies they are independent of each other, as the parts of a state must be.
            state = tree.map_structure(tf.identity, computed)
            copies = zip(tree.flatten(computed), tree.flatten(state), strict=True)
            copy = next((copied for original, copied in copies if original is output), None)
            state = list(state) if isinstance(state, list | tuple) else [state]
            if copy is None:  # an output that is none of the states is how the last step reaches the loss
                copy = tf.identity(output)
                states.append([*state, copy])
            else:
                states.append(state)
            outputs.append(copy)
        return outputs[-1], keras.ops.stack(outputs, axis=1), state

    return inner_loop


def reach(norms: np.ndarray) -> int:
    """The last lag at which the norm is above a thousandth of that of lag 0.

    >>> reach(np.array([1.0, 0.1, 1e-5, 0.01, 1e-4]))
    3
    """
    return int(np.flatnonzero(norms > VANISHED * norms[0]).max(initial=0))


def warning(norms: np.ndarray) -> str | None:
    """A sentence about the norms of all lags; None where there is nothing to warn of.

    >>> warning(0.5 ** np.arange(100))
    'gradients vanish beyond lag 9 of 99. Steps further back hardly change the weights.'
    >>> warning(1.3 ** np.arange(100))
    'gradients explode: at lag 27 the norm is 1.2e+03 times that of the last step. Clip them, or lower the rate.'
    >>> warning(np.ones(100))
    """
    if not np.all(np.isfinite(norms)):
        lag = int(np.flatnonzero(~np.isfinite(norms))[0])
        return f"the gradient is not a number at lag {lag}. Clip gradients, or lower the learning rate."
    if not norms[0] > 0:
        return "no gradient reaches the layer at all: the loss does not depend on it."
    large = np.flatnonzero(norms > EXPLODED * norms[0])
    if len(large):
        times = norms[large[0]] / norms[0]
        return (
            f"gradients explode: at lag {large[0]} the norm is {times:.1e} times that of the last step. Clip them, or "
            "lower the rate."
        )
    if reach(norms) < len(norms) - 1:
        return (
            f"gradients vanish beyond lag {reach(norms)} of {len(norms) - 1}. Steps further back hardly change the "
            "weights."
        )
    return None
