"""Every strategy, and a small model with a state to try it on."""

import keras
import numpy as np

import keras_rnnkit.ops.keras as kops
import keras_rnnkit.ops.numpy as nops
from keras_rnnkit.decoding import Beam, Greedy, Sampling, Strategy, generate, noise

V, B, STEPS, END = 7, 3, 12, 2


class Backwards(Strategy):
    """A user's strategy: the least likely token."""

    def pick(self, ops, logits, noise):
        return ops.argmax(-logits, axis=-1)


class Doubtful(Strategy):
    """A user's strategy that draws: the second likeliest token, every third time."""

    needs_noise = True

    def pick(self, ops, logits, noise):
        order = ops.top_k(logits, 2)[1]
        return ops.where(noise < 1 / 3, order[:, 1], order[:, 0])


STRATEGIES = {
    "greedy": Greedy(),
    "sampling": Sampling(),
    "cold": Sampling(temperature=0.3),
    "top_k": Sampling(top_k=3),
    "top_p": Sampling(top_p=0.6),
    "all three": Sampling(0.8, top_k=4, top_p=0.7),
    "beam": Beam(3),
    "beam with a penalty": Beam(4, length_penalty=0.8),
    "beam of one": Beam(1),
    "beam that stops early": Beam(3, early_stopping=True),
    "beam wider than the vocabulary": Beam(V + 2),
    "greedy without a token": Greedy().forbidding([4]),
    "sampling without two tokens": Sampling(1.3, top_k=5).forbidding([0, 4]),
    "beam without a token": Beam(3).forbidding([4]),
    "wide beam without a token": Beam(V + 2).forbidding([4]),
    "a user's": Backwards(),
    "a user's that draws": Doubtful(),
}
PICKED = [name for name, strategy in STRATEGIES.items() if not isinstance(strategy, Beam)]


class Toy:
    """A model with a state: logits = h W, h = tanh(h U + E[token]). Its weights are random; it counts its steps."""

    def __init__(self, ops=nops, seed=0, states=5, tokens=V):
        rng = np.random.default_rng(seed)
        make = keras.ops.convert_to_tensor if ops is kops else np.asarray
        shapes = ((states, tokens), 1.5), ((states, states), 0.7), ((tokens, states), 1.5), ((B, states), 1.0)
        self.ops = ops
        self.w, self.u, self.e, self.h = (
            make(rng.normal(size=shape).astype("float32") * scale) for shape, scale in shapes
        )
        self.calls = 0

    @property
    def logits(self):
        return self.ops.matmul(self.h, self.w)

    def step(self, token, states):
        self.calls += 1
        h = self.ops.tanh(self.ops.matmul(states[0], self.u) + self.ops.take(self.e, token, axis=0))
        return self.ops.matmul(h, self.w), [h]

    def run(self, strategy, steps=STEPS, end=END, seed=5, how=generate):
        drawn = noise(seed, B, steps) if strategy.needs_noise else None
        return how(self.ops, self.step, self.logits, [self.h], strategy, steps, drawn, end)

    def score_of(self, row, tokens):
        """The sum of log-probabilities of tokens, one after the other."""
        logits, states, total = self.logits[[row]], [self.h[[row]]], 0.0
        for token in tokens:
            total += log_softmax(logits)[0, token]
            logits, states = self.step(np.array([token]), states)
        return total


def log_softmax(x):
    shifted = x - x.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
