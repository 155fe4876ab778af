"""A language model in plain TensorFlow, written by hand, as a comparison for `pipelines/language_model.py`.

The setting of Zaremba, Recurrent neural network regularization, 2014, "small": two LSTM layers of 200, batch 20,
20 steps, SGD at rate 1, halved each epoch after the 4th, 13 epochs, gradient norm 5, weights from -0.1 to 0.1, states
carried, 10,000 words. Unrolled, with x and h in one product, as in the tutorial of TensorFlow that went with the paper.

    python -m tests.studies.plain_loop --data text.txt
    python pipelines/language_model.py --data text.txt --unit word --max-tokens 10000 --layers 2 --units 200 \
        --embedding 200 --batch 20 --steps 20 --optimizer sgd --learning-rate 1 --schedule halving --after 4 \
        --epochs 13 --clip 5 --init 0.1 --forget-bias 0
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

BATCH, STEPS, UNITS, LAYERS, EPOCHS, REACH = 20, 20, 200, 2, 13, 0.1


def read(path: Path, max_tokens: int):
    """The numbers of the words for training and validation, split as the pipeline splits them."""
    text = path.read_text(encoding="utf-8")
    cut = round(0.95 * len(text))
    parts = [part.replace("\n", " <eos> ").split() for part in (text[:cut], text[cut:])]
    counts: dict[str, int] = {}
    for word in parts[0]:
        counts[word] = counts.get(word, 0) + 1
    words = ["<unk>", *sorted(counts, key=lambda w: (-counts[w], w))][:max_tokens]
    numbers = {word: i for i, word in enumerate(words)}
    return [np.array([numbers.get(word, 0) for word in part], np.int32) for part in parts], len(numbers)


def windows(ids: np.ndarray):
    rows = ids[: (len(ids) - 1) // BATCH * BATCH].reshape(BATCH, -1)
    nexts = ids[1 : rows.size + 1].reshape(BATCH, -1)
    for t in range(0, rows.shape[1] - STEPS + 1, STEPS):
        yield rows[:, t : t + STEPS], nexts[:, t : t + STEPS]


class Model(tf.Module):
    def __init__(self, size: int, seed: int):
        random = np.random.default_rng(seed)

        def weight(*shape):
            return tf.Variable(random.uniform(-REACH, REACH, shape).astype("float32"))

        self.embedding = weight(size, UNITS)
        self.w = [weight(2 * UNITS, 4 * UNITS) for _ in range(LAYERS)]
        self.b = [weight(4 * UNITS) for _ in range(LAYERS)]
        self.out, self.bias = weight(UNITS, size), weight(size)
        self.states = [tf.Variable(tf.zeros((BATCH, UNITS)), trainable=False) for _ in range(2 * LAYERS)]

    def loss(self, x, y):
        xs, states, outs = tf.nn.embedding_lookup(self.embedding, x), [s.read_value() for s in self.states], []
        for t in range(STEPS):
            h = xs[:, t]
            for k in range(LAYERS):
                z = tf.matmul(tf.concat([h, states[2 * k]], 1), self.w[k]) + self.b[k]
                i, f, g, o = tf.split(z, 4, 1)
                c = tf.sigmoid(f) * states[2 * k + 1] + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
                states[2 * k : 2 * k + 2] = [h, c]
            outs.append(h)
        logits = tf.matmul(tf.reshape(tf.stack(outs, 1), (-1, UNITS)), self.out) + self.bias
        for variable, state in zip(self.states, states, strict=True):
            variable.assign(state)
        nats = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(y, (-1,)), logits=logits)
        return tf.reduce_mean(nats)

    @tf.function
    def train(self, x, y, rate):
        with tf.GradientTape() as tape:
            loss = self.loss(x, y)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, self.trainable_variables), 5.0)
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            if isinstance(gradient, tf.IndexedSlices):
                variable.scatter_sub(tf.IndexedSlices(rate * gradient.values, gradient.indices))
            else:
                variable.assign_sub(rate * gradient)
        return loss

    @tf.function
    def judge(self, x, y):
        return self.loss(x, y)

    def mean(self, run, ids, *more):
        for state in self.states:
            state.assign(tf.zeros_like(state))
        return float(np.mean([run(tf.constant(x), tf.constant(y), *more) for x, y in windows(ids)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, default=10_000, help="size of the vocabulary")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (train, valid), size = read(options.data, options.max_tokens)
    print(f"{len(train):,} train, {len(valid):,} valid words, {size:,} different")
    model, best = Model(size, options.seed), math.inf
    for epoch in range(1, options.epochs + 1):
        began = time.perf_counter()
        loss = model.mean(model.train, train, tf.constant(0.5 ** max(epoch - 4, 0)))
        found = model.mean(model.judge, valid)
        best = min(best, found)
        said = f"train {loss:.4f}   valid {found:.4f} nats, perplexity {math.exp(found):.3f}"
        print(f"epoch {epoch:3d}   {said}   {time.perf_counter() - began:.1f} s", flush=True)
    print(f"best perplexity {math.exp(best):.3f}")


if __name__ == "__main__":
    main()
