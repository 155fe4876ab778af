"""Stock models as people write them, for the tests of `rk.convert`. A fresh process can import them by name."""

import keras
import numpy as np

layers = keras.layers
register = keras.saving.register_keras_serializable(package="tests")
IDS = np.array([[1, 2, 3, 0, 0], [4, 0, 5, 6, 0], [7, 8, 9, 1, 2]])
X = np.random.default_rng(2).normal(size=(3, 5, 4)).astype("float32")


def sequential():
    return keras.Sequential([keras.Input((None, 4)), layers.LSTM(5, return_sequences=True), layers.GRU(3)]), X


def masked_functional():
    tokens = keras.Input((None,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(tokens)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    nested = keras.Sequential([keras.Input((None, 6)), layers.GRU(4, return_sequences=True), layers.Dense(3)])
    return keras.Model(tokens, layers.SimpleRNN(2)(nested(x))), IDS


def seq2seq():
    source, target = keras.Input((None, 4), name="source"), keras.Input((None, 4), name="target")
    _, h, c = layers.LSTM(5, return_state=True)(source)
    x = layers.LSTM(5, return_sequences=True)(target, initial_state=[h, c])
    return keras.Model([source, target], layers.Dense(2)(x)), [X, X[:, ::-1].copy()]


def shared():
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    reader = layers.GRU(3)
    return keras.Model([a, b], layers.Concatenate()([reader(a), reader(b)])), [X, X[:, ::-1].copy()]


def stacked_cells():
    cells = [layers.GRUCell(4), layers.LSTMCell(3)]
    return keras.Sequential([keras.Input((None, 4)), layers.RNN(cells, return_sequences=True)]), X


def single_cells():
    return keras.Sequential([keras.Input((None, 4)), layers.RNN(layers.LSTMCell(4), return_sequences=True)]), X


def wrapped():
    model = keras.Sequential([keras.Input((2, None, 4)), layers.TimeDistributed(layers.LSTM(3))])
    return model, np.stack([X, X], axis=1)


def stateful():
    return keras.Sequential([keras.Input((5, 4), batch_size=3), layers.LSTM(4, stateful=True), layers.Dense(2)]), X


def with_dropout():
    inner = layers.LSTM(5, dropout=0.3, seed=3, return_sequences=True)
    return keras.Sequential([keras.Input((None, 4)), inner, layers.Dropout(0.2, seed=4), layers.SimpleRNN(3)]), X


@register
class Reader(keras.Model):
    """Layers among its attributes: plain, private, in a tuple, in a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.readout = layers.Dense(2)
        self._rnn = layers.LSTM(4, return_sequences=True)
        self.pair = (layers.GRU(3, return_sequences=True), layers.Dense(4))
        self.table = {"last": layers.SimpleRNN(3)}

    def call(self, x):
        for layer in (self._rnn, *self.pair, self.table["last"], self.readout):
            x = layer(x)
        return x


def subclassed():
    return Reader(), X


@register
class Weighted(layers.Wrapper):
    """A wrapper with a weight of its own and an argument that its config does not tell."""

    def __init__(self, layer, offset=0.0, **kwargs):
        super().__init__(layer, **kwargs)
        self.offset = offset

    def build(self, shape):
        super().build(shape)
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones")

    def call(self, x):
        return self.gain * self.layer(x) + self.offset

    def compute_output_shape(self, shape):
        return self.layer.compute_output_shape(shape)


def own_wrapper():
    x = keras.Input((None, 4))
    return keras.Model(x, Weighted(layers.GRU(3), name="weighted")(x)), X


@register
class Doubling(keras.Model):
    """A functional model with a `train_step` of its own."""

    steps = 0

    def train_step(self, *arguments):
        type(self).steps += 1
        return super().train_step(*arguments)


def own_train_step():
    x = keras.Input((None, 4))
    return Doubling(x, layers.Dense(2)(layers.LSTM(3)(x)), name="doubling"), X


@register
class Chain(keras.Sequential):
    """A Sequential of a class of its own."""

    def first(self):
        return self.layers[0]


def own_sequential():
    return Chain([keras.Input((None, 4)), layers.LSTM(3), layers.Dense(2)]), X


MODELS = {
    make.__name__: make
    for make in (
        *(sequential, masked_functional, seq2seq, shared, stacked_cells, single_cells, wrapped, stateful),
        *(with_dropout, subclassed, own_wrapper, own_train_step, own_sequential),
    )
}
