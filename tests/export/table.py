"""Every kind of recurrent model that is exported: a name, a model, and the lowerings it must get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers as L

import keras_rnnkit as rk


class Case(NamedTuple):
    """lowerings: of each recurrence in the order of the calls. arguments: of export_onnx. spread: of the weights."""

    build: Callable[[], keras.Model]
    lowerings: list[str]
    arguments: dict[str, Any] = {}
    spread: float = 0.4


CASES: dict[str, Case] = {}


def case(*lowerings: str, name: str | None = None, **arguments):
    def register(build):
        CASES[name or build.__name__] = Case(build, list(lowerings), arguments)
        return build

    return register


def sequential(*model_layers, shape=(None, 3), dtype=None, **kwargs) -> keras.Model:
    return keras.Sequential([keras.Input(shape, name="x", dtype=dtype, **kwargs), *model_layers])


FAMILIES = {
    "lstm": (L.LSTM, "LSTM"),
    "gru": (L.GRU, "GRU"),
    "gru_before": (lambda *a, **k: L.GRU(*a, reset_after=False, **k), "GRU"),
    "rnn": (L.SimpleRNN, "RNN"),
    "our_lstm": (rk.LSTM, "LSTM"),
    "our_gru": (rk.GRU, "GRU"),
    "our_rnn": (rk.VanillaRNN, "RNN"),
}

for family, (make, op) in FAMILIES.items():
    plain = {
        "last": lambda make=make: sequential(make(4)),
        "sequences": lambda make=make: sequential(make(4, return_sequences=True), make(5)),
        "backwards": lambda make=make: sequential(make(4, return_sequences=True, go_backwards=True), L.Dense(2)),
        "masking": lambda make=make: sequential(L.Masking(), make(4, return_sequences=True), make(5)),
        "masking_backwards": lambda make=make: sequential(
            L.Masking(-1.0), make(4, return_sequences=True, go_backwards=True), make(5, go_backwards=True)
        ),
        "tokens": lambda make=make: sequential(
            L.Embedding(11, 3, mask_zero=True), make(4, return_sequences=True), L.Dense(2), shape=(None,), dtype="int32"
        ),
        "no_bias": lambda make=make: sequential(make(4, use_bias=False)),
        "unrolled": lambda make=make: sequential(make(4, unroll=True, return_sequences=True), shape=(6, 3)),
        "static": lambda make=make: sequential(make(4, return_sequences=True), shape=(6, 3), batch_size=2),
        "dropout": lambda make=make: sequential(make(4, dropout=0.3, recurrent_dropout=0.2)),
    }
    for kind, build in plain.items():
        count = {"sequences": 2, "masking": 2, "masking_backwards": 2}.get(kind, 1)
        CASES[f"{family}-{kind}"] = Case(build, [op] * count)
    for mode in ("concat", "sum", "mul", "ave", None):
        CASES[f"{family}-bidirectional-{mode}"] = Case(
            lambda make=make, mode=mode: merged_directions(
                L.Bidirectional(make(4, return_sequences=True), merge_mode=mode)
            ),
            [op, op],
        )
    CASES[f"{family}-bidirectional-last-masked"] = Case(
        lambda make=make: sequential(L.Masking(), L.Bidirectional(make(4))), [op, op]
    )
    CASES[f"{family}-bidirectional-masked"] = Case(
        lambda make=make: sequential(L.Masking(), L.Bidirectional(make(4, return_sequences=True)), L.Dense(2)), [op, op]
    )
    CASES[f"{family}-return_state"] = Case(lambda make=make: with_states(make), [op])
    CASES[f"{family}-initial_state"] = Case(lambda make=make: encoder_decoder(make), [op, op])
    CASES[f"{family}-stateful"] = Case(
        lambda make=make: sequential(
            make(4, stateful=True, return_sequences=True), make(5, stateful=True), batch_size=2
        ),
        [op, op],
    )


def merged_directions(layer):
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, layer(x))


def with_states(make):
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, make(4, return_state=True, return_sequences=True)(L.Masking()(x)))


def encoder_decoder(make):
    source, target = keras.Input((None, 3), name="source"), keras.Input((None, 2), name="target")
    _, *states = make(4, return_state=True, name="encoder")(source)
    y = make(4, return_sequences=True, name="decoder")(target, initial_state=states)
    return keras.Model([source, target], L.Dense(3, name="logits")(y))


@case(*["LSTM"] * 9, *["GRU"] * 9)
def activations_of_operators():
    """Every activation that the operators have, side by side, and those that their gates may have."""
    x, outputs = keras.Input((None, 3), name="x"), []
    functions = [{"activation": f} for f in ("relu", "linear", "hard_sigmoid", "elu", "leaky_relu", "softsign")]
    pairs = [(each, each) for each in (*functions, {"activation": "sigmoid"})]
    gates = [{"recurrent_activation": f} for f in ("hard_sigmoid", "relu", "softsign", "tanh")]
    for of_lstm, of_gru in (*pairs, gates[:2], gates[2:]):
        outputs.append(L.GRU(4, **of_gru)(L.LSTM(4, return_sequences=True, **of_lstm)(x)))
    return keras.Model(x, outputs)


CASES["activation-softplus"] = Case(
    lambda: sequential(L.LSTM(4, activation="softplus", return_sequences=True), L.GRU(4, activation="softplus")),
    ["Scan", "Scan"],
)


def grows(function):
    """Whether a recurrence with this activation runs away, so that rounding shows."""
    return function == "exponential"


for function in (
    "gelu",
    "selu",
    "silu",
    "mish",
    "exponential",
    "relu6",
    "hard_tanh",
    "softmax",
    "log_softmax",
    "hard_silu",
):
    CASES[f"activation-scan-{function}"] = Case(
        lambda f=function: sequential(
            L.LSTM(4, activation=f, return_sequences=True),
            L.GRU(4, activation=f, return_sequences=True),
            L.SimpleRNN(4, activation=f),
        ),
        ["Scan", "Scan", "Scan"],
        spread=0.02 if grows(function) else 0.4,
    )


@case("LSTM, LSTM")
def cells_in_one_layer():
    return sequential(L.RNN([L.LSTMCell(4), L.LSTMCell(5)], return_sequences=True, return_state=False))


@case("LSTM, GRU, RNN", "GRU")
def cells_of_three_kinds_masked():
    cells = [L.LSTMCell(4), L.GRUCell(5), L.SimpleRNNCell(3)]
    return sequential(L.Masking(), L.RNN(cells, return_sequences=True), L.GRU(2))


@case("GRU, Scan", "Scan")
def our_cells_in_one_layer_masked():
    cells = [rk.cells.GRUCell(4), rk.cells.LayerNormLSTMCell(5)]
    return sequential(L.Masking(), rk.Recurrent(cells, return_sequences=True), rk.LSTM(3, projection=2))


@case("LSTM, LSTM")
def cells_with_states():
    x = keras.Input((None, 3), name="x")
    y, *states = L.RNN([L.LSTMCell(4), L.LSTMCell(5)], return_state=True)(L.Masking()(x))
    return keras.Model(x, [y, *keras.tree.flatten(states)])


def wrapped(cell, **kwargs):
    return lambda: sequential(L.Masking(), rk.Recurrent(cell(), return_sequences=True, **kwargs), rk.Recurrent(cell()))


CELLS = {
    "peephole": (lambda: rk.cells.PeepholeLSTMCell(4), "LSTM"),
    "coupled": (lambda: rk.cells.CoupledLSTMCell(4), "LSTM"),
    "coupled_hard": (lambda: rk.cells.CoupledLSTMCell(4, recurrent_activation="hard_sigmoid"), "LSTM"),
    "coupled_relu": (lambda: rk.cells.CoupledLSTMCell(4, recurrent_activation="softsign"), "Scan"),
    "layernorm": (lambda: rk.cells.LayerNormLSTMCell(4), "Scan"),
    "projection": (lambda: rk.cells.LSTMCell(5, projection=3), "Scan"),
    "zoneout": (lambda: rk.cells.ZoneoutCell(rk.cells.LSTMCell(4), rate=[0.1, 0.4]), "Scan"),
    "zoneout_gru": (lambda: rk.cells.ZoneoutCell(rk.cells.GRUCell(4), rate=0.3), "Scan"),
    "batchnorm_lstm": (lambda: rk.cells.BatchNormCell(rk.cells.LSTMCell(4)), "LSTM"),
    "batchnorm_gru": (lambda: rk.cells.BatchNormCell(rk.cells.GRUCell(4)), "GRU"),
    "batchnorm_rnn": (lambda: rk.cells.BatchNormCell(rk.cells.VanillaCell(4)), "RNN"),
    "batchnorm_layernorm": (lambda: rk.cells.BatchNormCell(rk.cells.LayerNormLSTMCell(4)), "Scan"),
    "ind_rnn": (lambda: rk.cells.IndRNNCell(4), "Scan"),
    "slstm": (lambda: rk.cells.SLSTMCell(4, heads=2), "Scan"),
    "mlstm": (lambda: rk.cells.MLSTMCell(4, heads=2), "Scan"),
    "convolution": (lambda: rk.cells.ConvolutionCell(3), "Windows"),
    "min_gru": (lambda: rk.cells.MinGRUCell(4), "Linear"),
    "min_lstm": (lambda: rk.cells.MinLSTMCell(4), "Linear"),
    "qrnn_f": (lambda: rk.cells.QRNNCell(4, pooling="f"), "Linear"),
    "qrnn_ifo": (lambda: rk.cells.QRNNCell(4, pooling="ifo"), "Linear"),
    "sru": (lambda: rk.cells.SRUCell(4), "Scan"),
    "sru_linear": (lambda: rk.cells.SRUCell(4, state_gates=False), "Linear"),
    "lru": (lambda: rk.cells.LRUCell(4, state_units=3), "Linear"),
    "rg_lru": (lambda: rk.cells.RGLRUCell(3), "Linear"),
    "keras_cell": (lambda: L.GRUCell(4), "GRU"),
}
for name, (cell, op) in CELLS.items():
    CASES[f"cell-{name}"] = Case(wrapped(cell), [op, op])
    CASES[f"cell-{name}-backwards-zero"] = Case(wrapped(cell, go_backwards=True, zero_output_for_mask=True), [op, op])


def conditioned(cell, width, around=lambda cell: cell):
    def build():
        x, v = keras.Input((None, 3), name="x"), keras.Input((width,), name="v")
        whole = around(rk.cells.ConditionedCell(cell(), width))
        layer = rk.Recurrent(whole, return_sequences=True, return_state=True)
        return keras.Model([x, v], layer(L.Masking()(x), condition=v))

    return build


for name, cell, op in (
    ("lstm", lambda: rk.cells.LSTMCell(4), "LSTM"),
    ("gru", lambda: rk.cells.GRUCell(4), "GRU"),
    ("vanilla", lambda: rk.cells.VanillaCell(4), "RNN"),
    ("layernorm", lambda: rk.cells.LayerNormLSTMCell(4), "Scan"),
):
    CASES[f"conditioned-{name}"] = Case(conditioned(cell, 2), [op])
    CASES[f"conditioned-wide-{name}"] = Case(conditioned(cell, 19), [op])
for width in (2, 19):
    CASES[f"conditioned-{width}-zoneout"] = Case(
        conditioned(lambda: rk.cells.LSTMCell(4), width, lambda cell: rk.cells.ZoneoutCell(cell, rate=0.2)), ["Scan"]
    )


@case("Scan", "Scan", "Scan")
def resets():
    x, flags = keras.Input((None, 3), name="x"), keras.Input((None,), name="reset", dtype="bool")
    y = rk.LSTM(4, return_sequences=True, learn_initial_state=True)(x, reset_mask=flags)
    y = rk.Recurrent(rk.cells.LSTMCell(5, projection=3), return_sequences=True, go_backwards=True)(y, reset_mask=flags)
    y, *states = rk.Recurrent([rk.cells.GRUCell(4)], return_sequences=True, return_state=True)(y, reset_mask=flags)
    return keras.Model([x, flags], [y, *keras.tree.flatten(states)])


@case("Scan", "Scan")
def resets_masked():
    x, flags = keras.Input((None, 3), name="x"), keras.Input((None,), name="reset", dtype="bool")
    y = rk.GRU(4, return_sequences=True, learn_initial_state=True)(L.Masking()(x), reset_mask=flags)
    outputs = rk.LSTM(4, return_sequences=True, return_state=True, zero_output_for_mask=True)(y, reset_mask=flags)
    return keras.Model([x, flags], outputs)


@case("Linear", "Linear", "Linear")
def resets_of_linear_cells():
    x, flags = keras.Input((None, 3), name="x"), keras.Input((None,), name="reset", dtype="bool")
    cells = [rk.cells.MinGRUCell(4), rk.cells.LRUCell(4, state_units=2), rk.cells.QRNNCell(4)]
    y = L.Masking()(x)
    for cell in cells:
        y = rk.Recurrent(cell, return_sequences=True, learn_initial_state=True)(y, reset_mask=flags)
    return keras.Model([x, flags], y)


@case("GRU", "GRU", "LSTM")
def explicit_mask():
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), name="mask", dtype="bool")
    y = L.LSTM(4, return_sequences=True)(x, mask=mask)
    z = L.GRU(4, return_sequences=True, go_backwards=True)(x, mask=mask)
    return keras.Model([x, mask], [y, z, L.GRU(3)(x, mask=mask)])


@case("LSTM", "LSTM")
def learned_initial_state():
    return sequential(
        L.Masking(), rk.LSTM(4, learn_initial_state=True, return_sequences=True), rk.LSTM(4, learn_initial_state=True)
    )


@case("GRU", "GRU", "GRU")
def stack():
    return sequential(rk.Stack(rk.GRU(3), num_layers=3, residual=True, layer_norm=True, return_sequences=True))


@case("LSTM", "LSTM", "GRU")
def residual_and_bidirectional():
    return sequential(
        L.Masking(),
        rk.Bidirectional(rk.LSTM(3, return_sequences=True), merge_mode="sum"),
        rk.Residual(rk.GRU(3, return_sequences=True)),
    )


@case("LSTM", "LSTM")
def zero_output_for_mask():
    return sequential(
        L.Masking(),
        L.LSTM(4, return_sequences=True, zero_output_for_mask=True),
        L.LSTM(4, zero_output_for_mask=True, go_backwards=True),
    )


@case("LSTM", "LSTM")
def shared_layer():
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 3), name="b")
    reader = L.LSTM(4, name="reader")
    return keras.Model([a, b], L.Dense(2)(L.concatenate([reader(a), reader(b)])))


@case("GRU", "LSTM")
def nested_models():
    inner = keras.Sequential([keras.Input((None, 3)), L.GRU(4, return_sequences=True, name="inner_gru")], name="inner")
    x = keras.Input((None, 3), name="x")
    return keras.Model(x, L.LSTM(2, name="outer_lstm")(inner(x)))


@case("LSTM", "GRU")
def dict_inputs_and_outputs():
    inputs = {
        "words": keras.Input((None,), name="words", dtype="int32"),
        "values": keras.Input((None, 2), name="values"),
    }
    text = L.LSTM(4)(L.Embedding(13, 5, mask_zero=True)(inputs["words"]))
    series = L.GRU(3)(inputs["values"])
    joined = L.concatenate([text, series])
    return keras.Model(inputs, {"label": L.Dense(3)(joined), "amount": L.Dense(1)(joined)})


@case("LSTM")
def lstm_in_time_distributed():
    return sequential(L.TimeDistributed(L.LSTM(4)), shape=(None, None, 3))


@case("GRU", "LSTM")
def hierarchy_with_masks():
    x = keras.Input((None, 5, 3), name="x")
    mask = keras.ops.any(x != 0.0, axis=-1)
    sentences = L.TimeDistributed(L.GRU(4))(x, mask=mask)
    return keras.Model(x, L.LSTM(3)(sentences, mask=keras.ops.any(mask, axis=-1)))


@case("LSTM")
def dense_in_time_distributed():
    return sequential(L.TimeDistributed(L.Dense(4)), L.LSTM(4, return_sequences=True), L.TimeDistributed(L.Dense(2)))


@case("LSTM")
def cnn_then_lstm():
    return sequential(
        L.TimeDistributed(L.Conv2D(2, 3)), L.TimeDistributed(L.Flatten()), L.LSTM(4), L.Dense(2), shape=(None, 6, 6, 1)
    )


@case("GRU", "GRU")
def convolution_attention_normalisation():
    x = keras.Input((None, 3), name="x")
    y = L.BatchNormalization()(L.Conv1D(4, 3, padding="causal")(x))
    y = L.Bidirectional(L.GRU(4, return_sequences=True))(y)
    y = L.LayerNormalization()(y + L.MultiHeadAttention(2, 4)(y, y))
    return keras.Model(x, L.Dense(2)(L.GlobalAveragePooling1D()(y)))


@case("as traced")
def conv_lstm():
    return sequential(L.ConvLSTM2D(2, 3, padding="same"), shape=(4, 5, 5, 1))


class Tagger(keras.Model):
    """Subclassed, one input."""

    def __init__(self):
        super().__init__()
        self.embedding = L.Embedding(17, 4, mask_zero=True)
        self.reader = L.Bidirectional(L.LSTM(3, return_sequences=True))
        self.head = L.Dense(5)

    def call(self, tokens, training=False):
        return self.head(self.reader(self.embedding(tokens), training=training))


@case("LSTM", "LSTM")
def subclassed():
    model = Tagger()
    model(np.ones((2, 6), "int32"))
    return model


class TwoArguments(keras.Model):
    """Subclassed, two arguments, a dict of outputs."""

    def __init__(self):
        super().__init__()
        self.reader = rk.GRU(4, return_state=True)
        self.head = L.Dense(3)

    def call(self, series, extra):
        y, state = self.reader(series)
        return {"y": self.head(keras.ops.concatenate([y, extra], axis=-1)), "state": state}


@case(
    "GRU",
    inputs=(keras.InputSpec(shape=(None, None, 3), name="series"), keras.InputSpec(shape=(None, 2), name="extra")),
)
def subclassed_with_two_arguments():
    model = TwoArguments()
    model(np.ones((2, 5, 3), "float32"), np.ones((2, 2), "float32"))
    return model


class DecayCell(rk.cells.Cell):
    """A cell somebody wrote in a file of their own; its output is not its state, and its input has two parts."""

    emits_state = False

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.rate = self.add_weight(shape=(self.units,), name="rate", initializer="ones")

    def project(self, ops, w, x):
        return ops.matmul(x, w.kernel), ops.max(x, axis=-1, keepdims=True)

    def recur(self, ops, w, h):
        return h

    def gates(self, ops, w, z, r, state):
        z, largest = z
        a = ops.sigmoid(w.rate)
        h = a * r + (1.0 - a) * z
        return ops.tanh(h) * largest, [h]


@case("Scan", "Scan")
def a_users_cell():
    return sequential(
        L.Masking(), rk.Recurrent(DecayCell(4), return_sequences=True, return_state=False), L.RNN(DecayCell(3))
    )


class PlainCell(keras.layers.Layer):
    """A Keras cell as Keras' own guide writes it: with a `call` only."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, inputs, states):
        h = keras.ops.tanh(keras.ops.matmul(inputs, self.kernel) + keras.ops.matmul(states[0], self.recurrent_kernel))
        return h, [h]


@case("LSTM", "as traced")
def a_plain_keras_cell():
    return sequential(L.LSTM(4, return_sequences=True), L.RNN(PlainCell(3), return_sequences=True))


@case("as traced")
def an_activation_of_the_users():
    return sequential(L.LSTM(4, activation=lambda x: keras.ops.sin(x)))


@case("LSTM", "GRU")
def mixed_precision():
    policy = "mixed_float16"
    return sequential(L.LSTM(4, return_sequences=True, dtype=policy), rk.GRU(5, dtype=policy), L.Dense(2, dtype=policy))


@case("LSTM", "Scan")
def mixed_bfloat16():
    policy = "mixed_bfloat16"
    layer_norm = rk.Recurrent(rk.cells.LayerNormLSTMCell(3, dtype=policy), dtype=policy)
    return sequential(L.Masking(dtype=policy), L.LSTM(4, return_sequences=True, dtype=policy), layer_norm)


@case("Scan", "Scan")
def double_precision():
    return sequential(L.LSTM(4, return_sequences=True, dtype="float64"), L.GRU(5, dtype="float64"))
