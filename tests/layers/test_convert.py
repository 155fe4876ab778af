"""rk.convert on models as people write them: what comes out, what is shared, what is left and why."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import keras_internals
from tests.covering import studied
from tests.layers.models import MODELS, X, layers, register


def outputs(model, x):
    """What a model computes from its first states."""
    for layer in keras_internals.flatten_layers(model):
        if isinstance(layer, keras.layers.RNN) and layer.stateful:
            layer.reset_state()
    return np.asarray(model(x))


def built(name):
    model, x = MODELS[name]()
    return model, x, outputs(model, x)


def compiled(name, **arguments):
    model, x, y = built(name)
    model.compile(**{"optimizer": keras.optimizers.Adam(0.05), "loss": "mse", "run_eagerly": True, **arguments})
    return model, x, np.ones_like(y)


def fit(model, x, y, epochs):
    model.fit(x, y, epochs=epochs, batch_size=3, shuffle=False, verbose=0)


def snapshot(model):
    """Each layer of a model with its class, config and attributes, by identity."""
    state = {}
    for layer in keras_internals.flatten_layers(model):
        attributes = {name: id(value) for name, value in vars(layer).items() if not name.endswith("bound_nodes")}
        state[id(layer)] = type(layer), attributes, [id(inner) for inner in keras_internals.sublayers(layer)]
    return state, str(model.get_config())


@pytest.mark.parametrize("name", MODELS)
def test_converted_models_compute_the_same_on_the_same_variables(name):
    model, x, expected = built(name)
    before = snapshot(model)
    ours = rk.convert(model)
    assert snapshot(model) == before
    assert ours is not model and type(ours) is type(model) and ours.name == model.name
    np.testing.assert_allclose(outputs(ours, x), expected, atol=1e-6)
    for kind in ("weights", "variables", "trainable_variables"):
        assert [id(v) for v in getattr(ours, kind)] == [id(v) for v in getattr(model, kind)], kind
    rows = rk.explain(ours, print_fn=None)
    assert rows and all(row.kernel == "hoisted" for row in rows if row.cell != "StackedRNNCells")


@studied(
    "name",
    ["with_dropout", "stateful", "masked_functional", "own_train_step", "subclassed"],
    ["with_dropout", "stateful", "own_train_step"],
)
def test_converted_models_train_the_same_from_the_state_of_the_optimizer(name, tmp_path):
    """Dropout masks, iterations and moments included: the first steps are those of the stock model."""
    model, x, y = compiled(name)
    fit(model, x, y, 2)
    model.save(tmp_path / "model.keras")
    stock, other = (keras.models.load_model(tmp_path / "model.keras") for _ in range(2))
    ours = rk.convert(other)
    assert ours.optimizer is not other.optimizer and int(ours.optimizer.iterations) == 2
    fit(stock, x, y, 3)
    fit(ours, x, y, 3)
    assert int(ours.optimizer.iterations) == 5 and int(other.optimizer.iterations) == 2
    for a, b in zip(stock.weights, ours.weights, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5)


def test_settings_of_compile_are_kept_and_metrics_are_not_shared():
    metric = keras.metrics.MeanAbsoluteError(name="error")
    model, x, y = compiled(
        "sequential", loss=lambda a, b: keras.ops.mean(abs(a - b)), metrics=[metric], jit_compile=False
    )
    ours = rk.convert(model)
    ours.evaluate(x, y, verbose=0)
    assert ours.metrics_names == ["loss", "compile_metrics"] and not float(metric.result())
    assert ours.jit_compile is False and ours.loss is model.loss


def test_mixed_precision_keeps_its_loss_scale():
    inner = keras.layers.LSTM(3, dtype="mixed_float16")
    model = keras.Sequential([keras.Input((None, 4)), inner, keras.layers.Dense(1)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0), "mse")
    fit(model, X, np.ones((3, 1)), 1)
    ours = rk.convert(model)
    assert type(ours.optimizer.inner_optimizer) is keras.optimizers.SGD and ours.optimizer.initial_scale == 8.0
    assert ours.layers[0].dtype_policy.name == "mixed_float16"


def test_a_compile_method_of_its_own_is_left_to_the_user():
    class Peculiar(keras.Model):
        def compile(self, flavour):
            super().compile("sgd", "mse")

    x = keras.Input((None, 4))
    model = Peculiar(x, layers.GRU(3)(x), name="peculiar")
    model.compile("sweet")
    with pytest.warns(
        UserWarning, match=r"did not compile 'peculiar', because Peculiar has a compile method of its own"
    ):
        assert not rk.convert(model).compiled


def test_training_the_copy_trains_the_original():
    model, x, y = compiled("masked_functional")
    ours = rk.convert(model)
    fit(ours, x, y, 2)
    np.testing.assert_allclose(np.asarray(ours(x)), np.asarray(model(x)), atol=1e-6)


def test_frozen_layers_stay_frozen_and_in_their_places():
    model, _, _ = built("sequential")
    model.layers[0].trainable = False
    model.layers[1].cell.trainable = False
    ours = rk.convert(model)
    assert [v.path for v in ours.trainable_variables] == [v.path for v in model.trainable_variables] == []
    assert [id(v) for v in ours.weights] == [id(v) for v in model.weights]


# ---------------------------------------------------------------------- kinds of models


def test_an_unbuilt_model_is_converted_too():
    ours = rk.convert(keras.Sequential([layers.LSTM(5)]))
    assert isinstance(ours.layers[0], rk.LSTM)
    assert ours(X).shape == (3, 5)


def test_layers_are_found_in_private_attributes_tuples_and_dicts():
    model, _, _ = built("subclassed")
    ours = rk.convert(model)
    found = [ours._rnn, ours.pair[0], ours.table["last"]]
    assert [type(layer).__mro__[1].__name__ for layer in found] == ["Facade", "Facade", "VanillaRNN"]
    assert isinstance(ours.pair, tuple) and ours.readout is model.readout
    assert not any(isinstance(layer, rk.Recurrent) for layer in (model._rnn, model.pair[0], model.table["last"]))


def test_a_custom_layer_in_a_graph_is_copied():
    @register
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.reader = layers.GRU(3)
            self.forward = self.apply  # a bound method, which must belong to the copy

        def apply(self, x):
            return self.reader(x)

        def call(self, x):
            return self.forward(x)

    x = keras.Input((None, 4))
    block = Block(name="block")
    model = keras.Model(x, block(x))
    ours = rk.convert(model).get_layer("block")
    assert type(ours) is Block and ours is not block
    assert isinstance(ours.reader, rk.GRU) and not isinstance(block.reader, rk.GRU)
    assert ours.forward.__self__ is ours and block.forward.__self__ is block


def test_wrappers_keep_their_weights_and_what_their_config_omits():
    x = keras.Input((None, 4))
    from tests.layers.models import Weighted

    wrapper = Weighted(layers.GRU(3), offset=5.0, name="weighted")
    model = keras.Model(x, wrapper(x))
    wrapper.gain.assign(3.0)
    ours = rk.convert(model)
    np.testing.assert_allclose(np.asarray(ours(X)), np.asarray(model(X)), atol=1e-6)
    copy = ours.get_layer("weighted")
    assert copy.offset == 5.0 and copy.gain is wrapper.gain and isinstance(copy.layer, rk.GRU)


def test_subclasses_of_graphs_keep_their_methods():
    model, x, y = compiled("own_train_step")
    ours = rk.convert(model)
    steps = type(ours).steps
    fit(ours, x, y, 1)
    assert type(ours).steps > steps
    chain, _, _ = built("own_sequential")
    assert isinstance(rk.convert(chain).first(), rk.LSTM)


def test_stock_layers_inside_ours_are_converted():
    x = keras.Input((None, 4))
    y = rk.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")(x)
    y = rk.Stack([layers.GRU(4), layers.SimpleRNN(4)], return_sequences=True, name="stack")(y)
    y = rk.Residual(layers.LSTM(4, return_sequences=True), name="around")(y)
    model = keras.Model(x, y)
    ours = rk.convert(model)
    assert len(rk.explain(ours, print_fn=None)) == 5
    assert all(row.kernel == "hoisted" for row in rk.explain(ours, print_fn=None))
    np.testing.assert_allclose(np.asarray(ours(X)), np.asarray(model(X)), atol=1e-6)


def test_a_layer_that_refers_to_the_layer_around_it_is_no_endless_loop():
    class Child(keras.layers.Layer):
        def __init__(self, parent):
            super().__init__()
            self.parent, self.reader = parent, layers.GRU(3)

        def call(self, x):
            return self.reader(x)

    class Parent(keras.Model):
        def __init__(self):
            super().__init__()
            self.child = Child(self)

        def call(self, x):
            return self.child(x)

    ours = rk.convert(Parent())
    assert ours.child.parent is ours and isinstance(ours.child.reader, rk.GRU)


def test_a_model_with_nothing_to_convert_is_returned():
    model = keras.Sequential([keras.Input((None, 4)), rk.GRU(3), layers.Dense(1)])
    assert rk.convert(model) is model


def test_lambdas_and_unregistered_cells_are_converted_as_they_are():
    class Mean(keras.layers.Layer):
        state_size = 4

        def call(self, x, states):
            return (x + states[0]) / 2, [(x + states[0]) / 2]

    model = keras.Sequential(
        [keras.Input((None, 4)), layers.RNN(Mean(), return_sequences=True), layers.LSTM(3, activation=lambda x: x / 2)]
    )
    np.testing.assert_allclose(np.asarray(rk.convert(model)(X)), np.asarray(model(X)), atol=1e-6)


def test_the_choice_of_use_cudnn_survives(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, 4)),
            layers.Bidirectional(layers.LSTM(3, use_cudnn=False, return_sequences=True)),
            layers.GRU(3, use_cudnn=False),
        ]
    )
    ours = rk.convert(model)
    ours.save(tmp_path / "ours.keras")
    for model in (ours, rk.load_model(tmp_path / "ours.keras")):
        assert all("use_cudnn=False was asked for" in row.reason for row in rk.explain(model, print_fn=None))
        assert model.layers[0].forward_layer.use_cudnn is model.layers[1].use_cudnn is False


# ---------------------------------------------------------------------- what is left, and said


def left(model):
    """The sentences of the warnings."""
    with pytest.warns(UserWarning) as record:
        rk.convert(model)
    return [str(warning.message) for warning in record]


def test_a_users_subclass_is_left_alone_and_named():
    class Mine(layers.LSTM):
        pass

    model = keras.Sequential([keras.Input((None, 4)), keras.Sequential([Mine(3, name="mine")], name="inner")], name="m")
    (sentence,) = left(model)
    assert "left 'inner/mine' as it is: Mine is a class of its own, which may compute anything" in sentence


@pytest.mark.parametrize("arguments", [{"implementation": 1, "dropout": 0.2}, {"recurrent_dropout": 0.2}])
def test_a_mask_for_each_gate_is_left_alone_and_named(arguments):
    layer = layers.GRU(3, name="dropping", **arguments)
    model = keras.Sequential([keras.Input((None, 4)), layer, layers.Dense(1)])
    (sentence,) = left(model)
    assert "'dropping'" in sentence and "a dropout mask for each gate" in sentence and "rk.GRU" in sentence
    (row,) = rk.explain(rk.convert(keras.Sequential([keras.Input((None, 4)), layers.RNN(layer.cell)])), print_fn=None)
    assert row.kernel == "scan"  # the cell of an RNN stays Keras' own, so its masks do


def test_a_function_that_runs_the_original_is_named():
    class Captured(keras.Model):
        def __init__(self):
            super().__init__(name="captured")
            self.reader = layers.GRU(3)
            self.run = lambda x: self.reader(x)

        def call(self, x):
            return self.run(x)

    (sentence,) = left(Captured())
    assert "left 'captured/run' as it is: it is a function that was made with the original" in sentence


def test_a_dropout_of_one_is_named():
    (sentence,) = left(keras.Sequential([keras.Input((None, 4)), layers.SimpleRNN(3, dropout=1.0)]))
    assert "a dropout of 1 drops everything" in sentence
