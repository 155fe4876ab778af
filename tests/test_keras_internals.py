"""The private names of Keras stand in one file, and each still does there what we rely on."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit import keras_internals as internals
from tests.forking import python

layers = keras.layers
PACKAGE = Path(rk.__file__).parent
X = np.random.default_rng(7).normal(size=(2, 5, 3)).astype("float32")

PRIVATE = (
    *("_flatten_layers", "_layers", "_tracker", "_build_shapes_dict", "_inbound_nodes", "_dtype_policy"),
    *("_call_has_training_arg", "_call_has_mask_arg", "_keras_mask", "_functional", "_inputs_struct"),
    *("_create_state_variables", "_expected_batch_size", "_can_attempt_fused_lstm", "_can_attempt_fused_gru"),
    *("_clip_gradients", "_update_model_variables_moving_average", "_model_variables_moving_average"),
    *("_symbolic_build", "_all_reduce_sum_gradients"),
    *("_trainable_variables", "keras.src", "dropout_mask_count"),
)


def private_uses(path):
    """The private names of Keras that a file reads, sets, overrides or spells in a string."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE:
            yield node.attr
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("keras.src"):
            yield ast.unparse(node)
        elif isinstance(node, ast.FunctionDef | ast.Constant) and getattr(node, "name", None) in PRIVATE:
            yield node.name
        elif isinstance(node, ast.Constant) and node.value in PRIVATE:
            yield node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"):
            yield node.module


def test_no_other_file_uses_a_private_name():
    files = [*PACKAGE.rglob("*.py"), *Path("pipelines").rglob("*.py")]
    uses = {
        str(path.relative_to(PACKAGE.parent)): found
        for path in (file.resolve() for file in files)
        if path.name != "keras_internals.py"
        if (found := sorted(set(private_uses(path))))
    }
    assert uses == {}


def test_the_search_for_private_names_would_notice(tmp_path):
    file = tmp_path / "careless.py"
    file.write_text(
        "import keras\nfrom keras.src import backend\nkeras.src.backend.rnn\nmodel._flatten_layers()\n"
        "getattr(x, '_keras_mask')\nclass A:\n    def _clip_gradients(self): ...\n"
    )
    assert {"keras.src", "keras.src.backend.rnn", "_flatten_layers", "_keras_mask", "_clip_gradients"} <= set(
        private_uses(file)
    )


def test_a_missing_name_is_reported_with_the_version():
    with pytest.raises(ImportError, match=rf"Keras {keras.__version__} does not have: Layer._gone.*constraints.txt"):
        internals.require(layers.Layer, "_flatten_layers", "_gone")


SABOTAGE = """
import keras
del {owner}.{name}
try:
    import keras_rnnkit.keras_internals
except ImportError as error:
    assert "{name}" in str(error) and keras.__version__ in str(error), error
else:
    raise SystemExit("{name} was missing and nothing said so")
"""
GUARDED = {
    "keras.Layer": "_flatten_layers",
    "keras.layers.RNN": "_create_state_variables",
    "keras.src.optimizers.base_optimizer.BaseOptimizer": "_clip_gradients",
    "keras.layers.Bidirectional": "_can_attempt_fused_lstm",
    "keras.src.backend": "rnn",
}


def test_the_import_fails_where_a_name_is_gone():
    code = "".join(
        f"import keras, sys\nvalue = {owner}.{name}" + SABOTAGE.format(owner=owner, name=name)
        + f"{owner}.{name} = value\nsys.modules.pop('keras_rnnkit.keras_internals', None)\n"
        for owner, name in GUARDED.items()
        if hasattr(eval(owner), name)  # the oldest Keras does not fuse directions
    )  # fmt: skip
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_importing_draws_no_seed_names_no_layer_and_touches_no_device():
    code = (
        "import random, keras, tensorflow as tf; random.seed(3); state = random.getstate()\n"
        "import keras_rnnkit.keras_internals\n"
        "assert random.getstate() == state\n"
        "assert keras.layers.Layer().name == 'layer' and keras.Sequential().name == 'sequential'\n"
        "tf.config.set_logical_device_configuration(tf.config.list_physical_devices('CPU')[0], "
        "[tf.config.LogicalDeviceConfiguration()] * 2)\n"  # raises once devices have been initialized
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- layers


class Nest(layers.Layer):
    def __init__(self):
        super().__init__()
        self.one = layers.Dense(2)
        self.more = [layers.Dense(2), {"deep": keras.Sequential([layers.Dense(2)])}]

    def build(self, shape):
        for layer in (self.one, self.more[0], self.more[1]["deep"]):
            layer.build(shape)

    def call(self, x, mask=None):
        return self.one(x)


def test_layers_are_found_at_any_depth():
    nest = Nest()
    sequential = nest.more[1]["deep"]
    direct = [nest.one, nest.more[0], sequential]
    assert internals.sublayers(nest) == direct
    assert {id(x) for x in internals.flatten_layers(nest)} == {id(x) for x in [nest, *direct, *sequential.layers]}


def test_an_attribute_of_a_built_layer_is_replaced_with_its_variables():
    nest = Nest()
    nest(X)
    old, new = nest.one, layers.Dense(2)
    new.build((None, 3))
    with pytest.raises(ValueError, match="cannot add new elements"):
        nest.one = new
    internals.replace_attribute(nest, "one", new, previous=[old])
    assert old not in internals.sublayers(nest) and new in internals.sublayers(nest)
    assert any(v is new.kernel for v in nest.variables) and not any(v is old.kernel for v in nest.variables)
    with pytest.raises(ValueError, match="cannot add new elements"):  # locked again
        nest.another = layers.Dense(2)


def test_call_arguments_are_told():
    assert internals.call_has_mask_arg(Nest()) and not internals.call_has_training_arg(Nest())
    assert internals.call_has_training_arg(layers.Dropout(0.1)) and not internals.call_has_mask_arg(layers.Dense(1))
    assert not internals.call_has_training_arg(internals._StepWithoutWeights())


def test_the_shapes_of_the_first_call_are_kept():
    dense = layers.Dense(2)
    assert internals.build_shapes_dict(dense) is None
    dense(X)
    assert list(internals.build_shapes_dict(dense).values()) == [(2, 5, 3)]


def test_masks_travel_on_symbolic_tensors_and_into_losses():
    x = layers.Embedding(9, 4, mask_zero=True)(keras.Input((None,), dtype="int32"))
    reader = layers.LSTM(2, return_sequences=True)
    y = reader(x)
    assert internals.graph_inputs(reader)[0] is x
    assert internals.keras_mask(x) is not None and internals.keras_mask(y) is not None
    assert internals.keras_mask(layers.Dense(1)(keras.Input((3,)))) is None


def test_a_mask_set_on_a_loss_is_the_one_that_its_mean_counts():
    """In silence otherwise: padding would count."""

    class Marked(keras.losses.Loss):
        def call(self, y_true, y_pred):
            values = keras.ops.convert_to_tensor([1.0, 100.0])
            internals.set_keras_mask(values, keras.ops.convert_to_tensor([True, False]))
            return values

    assert float(Marked()(X, X)) == pytest.approx(1.0)


def test_a_policy_is_replaced_on_the_layer_alone():
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="float32")
    policies["probed"] = keras.dtype_policies.DTypePolicy("mixed_float16")
    layer = layers.Dense(2, name="probed", dtype=policies)
    layer.build((None, 3))
    before = layer.dtype_policy
    internals.replace_dtype_policy(layer, keras.dtype_policies.DTypePolicy("float32"))
    assert layer.compute_dtype == "float32" and policies["probed"].name == "mixed_float16"
    internals.replace_dtype_policy(layer, before)
    assert layer.dtype_policy is before


# ---------------------------------------------------------------------- models


def test_graphs_are_told_from_other_models():
    class Graph(keras.Model):
        pass

    x = keras.Input((3,), name="x")
    functional = keras.Model({"x": x}, layers.Dense(2)(x))
    assert internals.is_functional(functional) and internals.is_functional(Graph(x, layers.Dense(2)(x)))
    assert not internals.is_functional(keras.Sequential([x])) and not internals.is_functional(Nest())
    assert list(internals.input_structure(functional)) == ["x"]


def test_a_built_sequential_runs_as_a_functional_model():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="out")])
    assert internals.functional_of(model).output_names == ["out"]
    functional = internals.functional_of(model)
    assert internals.functional_of(functional) is functional
    unbuilt = keras.Sequential([layers.Dense(2)])
    assert internals.functional_of(unbuilt) is unbuilt


# ---------------------------------------------------------------------- recurrent layers


def test_keras_draws_dropout_masks_before_the_loop_for_this_base_class():
    """In silence otherwise: a mask would be drawn inside the loop, and never be cleared."""
    cell = rk.cells.GRUCell(2, dropout=0.5)
    assert isinstance(cell, internals.DropoutRNNCell)
    drawn = []
    cell.reset_dropout_mask = lambda: drawn.append(True)
    layers.RNN(cell)(X, training=True)
    assert drawn


def test_stock_cells_that_draw_a_mask_for_each_gate_say_so():
    gates = layers.LSTM(2, dropout=0.5, implementation=1).cell
    assert internals.draws_mask_per_gate(gates) == isinstance(gates.get_dropout_mask(X[:, 0]), list)
    single = layers.SimpleRNN(2, dropout=0.5).cell
    assert not internals.draws_mask_per_gate(single) and not isinstance(single.get_dropout_mask(X[:, 0]), list)


def test_keras_runs_the_inner_loop_of_a_layer():
    """In silence otherwise: our kernels would never run."""
    ran = []

    class Watched(layers.RNN):
        def inner_loop(self, *arguments, **keywords):
            ran.append(sorted(keywords))
            return super().inner_loop(*arguments, **keywords)

    Watched(layers.GRUCell(2))(X)
    assert ran == [["initial_state", "mask", "sequences", "training"]]


def test_states_are_exchanged_and_are_no_variables():
    layer = layers.LSTM(4, stateful=True)
    layer(X)
    states, count = layer.states, len(layer.variables)
    assert internals.expected_batch_size(layer) == 2
    internals.create_states(layer, 3)
    assert layer.states[0].shape == (3, 4) and len(layer.variables) == count
    layer(np.ones((3, 5, 3), "float32"))
    with pytest.raises(ValueError, match="batch size"):
        layer(X)
    internals.replace_states(layer, states, 2)
    layer(X)
    assert layer.states is states and len(layer.variables) == count


def test_keras_asks_before_it_fuses_both_directions():
    """In silence otherwise: cuDNN would run past our layers and their arguments."""
    if not hasattr(keras.src.backend, "bidirectional_lstm"):
        pytest.skip("This Keras runs the two layers always.")
    asked = []

    class Asked(internals.FusionChoice, layers.Bidirectional):
        def may_fuse(self):
            asked.append(True)
            return False

    Asked(layers.LSTM(2))(X)
    assert len(asked) == len(internals.FUSED_BIDIRECTIONAL)


def test_the_loop_and_the_shapes_of_a_function():
    last, outputs, (state,) = internals.rnn_loop(
        lambda x, states: (x + states[0], [x + states[0]]), keras.ops.ones((2, 4, 3)), [keras.ops.zeros((2, 3))]
    )
    np.testing.assert_array_equal(last, np.full((2, 3), 4.0))
    assert outputs.shape == (2, 4, 3) and state.shape == (2, 3)
    assert internals.compute_output_spec(lambda x: x @ np.ones((3, 7)), keras.KerasTensor((2, 3))).shape == (2, 7)


# ---------------------------------------------------------------------- optimizers


def fit(optimizer):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    model.compile(optimizer, "mse")
    model.fit(X[0], np.ones((5, 1)), epochs=2, batch_size=5, verbose=0)
    return model


def test_keras_clips_what_before_clipping_returns():
    """In silence otherwise: gradients would not be seen, and would be clipped before they are summed."""
    seen = []

    class Zero(internals.BeforeClipping, keras.optimizers.SGD):
        def before_clipping(self, gradients):
            seen.append(len(gradients))
            return [0.0 * g for g in super().before_clipping(gradients)]

    model = fit(Zero(1.0, clipnorm=1.0))
    assert seen and set(seen) == {2}
    np.testing.assert_array_equal(model.layers[0].bias, [0.0])


def test_keras_sums_gradients_where_the_replaced_rule_says():
    """In silence otherwise: gradients that are sums already would be summed again, once for each replica."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Only TensorFlow's optimizers sum gradients themselves.")
    calls = []

    class Counting(internals.SumsGradients, keras.optimizers.SGD):
        def _all_reduce_sum_gradients(self, grads_and_vars):
            calls.append(len(grads_and_vars))
            return super()._all_reduce_sum_gradients(grads_and_vars)

    fit(Counting(0.1))
    assert set(calls) == {2}
    method = internals.SumsGradients._all_reduce_sum_gradients
    assert method(None, [(1, "a"), (None, "b")]) == [(1, "a"), (None, "b")]


def test_metrics_have_variables_before_the_first_step():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1), layers.Dropout(0.5)])
    model.compile("sgd", "mse", metrics=["mae"])
    before = [np.array(weight) for weight in model.variables]
    count = sum(len(metric.variables) for metric in model.metrics)
    internals.build_metrics(model, X[0], np.ones((5, 1)))
    assert sum(len(metric.variables) for metric in model.metrics) == count + 2
    for weight, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_two_that_see_gradients_work_together():
    order = []

    class First(internals.BeforeClipping, keras.optimizers.SGD):
        def before_clipping(self, gradients):
            order.append("first")
            return super().before_clipping(gradients)

    class Second(internals.BeforeClipping):
        def before_clipping(self, gradients):
            gradients = super().before_clipping(gradients)
            order.append("second")
            return gradients

    fit(type("Both", (Second, First), {})(0.1))
    assert order[:2] == ["first", "second"]


def test_keras_updates_averages_by_the_replaced_rule_only():
    """In silence otherwise: the averages would be Keras' own."""

    class Sevens(internals.AveragesWeights, keras.optimizers.SGD):
        def update_averages(self, weights_and_averages):
            for _, average in weights_and_averages:
                average.assign(keras.ops.full_like(average, 7.0))

    model = fit(Sevens(0.1, use_ema=True))
    pairs = internals.averages(model.optimizer)
    assert [variable is v for (variable, _), v in zip(pairs, model.trainable_variables, strict=True)] == [True, True]
    assert all(np.all(np.asarray(average) == 7.0) for _, average in pairs)


def test_an_optimizer_without_averages_has_none():
    assert internals.averages(keras.optimizers.SGD()) == [] == internals.averages(fit("sgd").optimizer)


def test_double_precision_is_what_keras_asks_a_table_for(monkeypatch):
    narrowed = keras.src.backend.common.dtypes.BIT64_TO_BIT32_DTYPE
    monkeypatch.setitem(narrowed, "float64", "float32")  # as it is on JAX
    assert keras.backend.result_type("float64") == "float32"
    with internals.double_precision():
        assert keras.backend.result_type("float64") == "float64"
    assert keras.backend.result_type("float64") == "float32"


def test_the_autocast_scope_reads_variables_in_its_dtype():
    variable = keras.Variable(np.ones(2, "float32"))
    with internals.autocast_scope("float16"):
        assert keras.backend.standardize_dtype(keras.ops.convert_to_tensor(variable).dtype) == "float16"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has a loop of its own behind these doors")
@pytest.mark.parametrize("fused, states", [(internals.fused_lstm, 2), (internals.fused_gru, 1)])
def test_the_doors_to_cudnn_say_that_it_is_not_there(fused, states):
    weights = {"kernel": np.ones((3, 8)), "recurrent_kernel": np.ones((2, 8)), "bias": np.ones(8)}
    with pytest.raises(NotImplementedError):
        fused(
            X,
            *[np.ones((2, 2))] * states,
            None,
            activation=keras.activations.relu,
            recurrent_activation=None,
            **weights,
        )
