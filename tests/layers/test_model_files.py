"""Files of converted models and of stock models are interchangeable, in a new process, whatever was imported first."""

import keras
import numpy as np
import pytest

import keras_rnnkit as rk
from keras_rnnkit.loading import optimizer_was_wrapped
from tests.covering import studied
from tests.forking import python
from tests.layers.models import X, layers

NAMES = ("masked_functional",), ("stateful", "own_wrapper", "single_cells"), ("subclassed", "own_sequential")


@studied("names", [(names,) for names in NAMES], [(NAMES[0],)])
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.train.Checkpoint is TensorFlow's")
def test_files_are_exchanged_both_ways_in_a_new_process(names, tmp_path):
    from tests.layers import exchange

    for name in names:
        exchange.write(tmp_path, name)
    warned = "-W", "error::DeprecationWarning:keras_rnnkit"
    done = python(*warned, "-m", "tests.layers.exchange", tmp_path, *names)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_file_with_a_lambda_gets_a_sentence(tmp_path):
    path = tmp_path / "lambda.keras"
    with pytest.warns(UserWarning, match="lambda"):
        keras.Sequential([keras.Input((None, 4)), rk.LSTM(3, activation=lambda x: x / 2)]).save(path)
    with pytest.raises(ValueError, match=r"The model file '.*' holds a Python lambda.*named function") as error:
        rk.load_model(path)
    assert str(error.value).count(". ") == 0


def test_a_file_with_an_unregistered_cell_gets_a_sentence(tmp_path):
    class Mean(keras.layers.Layer):
        state_size = 4

        def call(self, x, states):
            return (x + states[0]) / 2, [(x + states[0]) / 2]

    path = tmp_path / "cell.keras"
    model = keras.Sequential([keras.Input((None, 4)), rk.Recurrent(Mean())])
    model.save(path)
    with pytest.raises(ValueError, match=r"holds 'Mean', which Keras does not know: import the module"):
        rk.load_model(path)
    loaded = rk.load_model(path, custom_objects={"Mean": Mean})
    np.testing.assert_allclose(np.asarray(loaded(X)), np.asarray(model(X)))


def test_other_errors_of_keras_stay_as_they_are(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("no model")
    with pytest.raises(ValueError, match="does not appear|not found|not an? .*accessible"):
        rk.load_model(path)


def test_a_converted_subclass_saved_as_a_folder_is_converted_again(tmp_path):
    from tests.layers.models import Reader

    model = Reader()
    model(X)
    rk.convert(model).save(tmp_path / "folder", zipped=False)
    assert all(row.kernel == "hoisted" for row in rk.explain(rk.load_model(tmp_path / "folder"), print_fn=None))
    model.save(tmp_path / "stock.keras")  # what was not converted is loaded as what it is
    assert {row.kernel for row in rk.explain(rk.load_model(tmp_path / "stock.keras"), print_fn=None)} == {"Keras' own"}


def test_a_class_with_assets_keeps_them(tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    class Noted(keras.Model):
        note = ""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.reader = layers.GRU(3)

        def call(self, x):
            return self.reader(x)

        def save_assets(self, folder):
            with open(f"{folder}/note.txt", "w") as file:
                file.write(self.note)

        def load_assets(self, folder):
            with open(f"{folder}/note.txt") as file:
                self.note = file.read()

    model = Noted()
    model.note = "kept"
    model(X)
    rk.convert(model).save(tmp_path / "noted.keras")
    loaded = rk.load_model(tmp_path / "noted.keras")
    assert loaded.note == "kept" and isinstance(loaded.reader, rk.GRU)


ORDERS = {  # the file of `exchange` has `import keras_rnnkit, keras`
    "keras first": "import keras, keras_rnnkit",
    "a module of ours that imports keras": "import keras_rnnkit.layers.recurrent, keras, keras_rnnkit as rk; rk.GRU",
}


@studied("order", ORDERS, ["keras first"])
def test_keras_loads_our_files_in_whichever_order_the_packages_were_imported(order, tmp_path):
    keras.Sequential([keras.Input((None, 4)), rk.Bidirectional(rk.LSTM(3))]).save(tmp_path / "ours.keras")
    code = f"{ORDERS[order]}\nprint(type(keras.models.load_model({str(tmp_path / 'ours.keras')!r}).layers[0]))"
    done = python("-c", code)
    assert "keras_rnnkit.layers.bidirectional.Bidirectional" in done.stdout, done.stderr[-1500:]


def test_an_error_of_ours_does_not_keep_keras_from_being_imported():
    code = (
        "import sys, keras_rnnkit as rk\nsys.modules['keras_rnnkit.keras_internals'] = None\nimport keras\n"
        "try: rk.GRU\nexcept ImportError as error: print('raised where it is used:', error)"
    )
    done = python("-c", code)
    assert "raised where it is used" in done.stdout, done.stderr[-1500:]


def trained(form, optimizer="adam"):
    """A small model that was trained for two steps."""
    inputs = keras.Input((4, 3))
    if form == "sequential":
        model = keras.Sequential([inputs, rk.LSTM(3), keras.layers.Dense(1)])
    else:
        model = keras.Model(inputs, keras.layers.Dense(1)(rk.LSTM(3)(inputs)))
    model.compile(optimizer, "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(4, 4, 3)).astype("float32")
    model.fit(x, x[:, -1, :1], epochs=2, verbose=0)
    return model


@studied(
    "form, saved, loaded",
    [
        (form, *policies)
        for form in ("sequential", "functional")
        for policies in (("mixed_float16", "float32"), ("float32", "mixed_float16"))
    ],
    [("sequential", "mixed_float16", "float32"), ("functional", "float32", "mixed_float16")],
)
def test_the_state_of_an_optimizer_is_loaded_under_another_policy(form, saved, loaded, tmp_path):
    """Keras' own function starts the optimizer anew, with a warning."""
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(saved)
        model = trained(form)
        model.save(tmp_path / "model.keras")
        keras.config.set_dtype_policy(loaded)
        again = rk.load_model(tmp_path / "model.keras")
        assert keras.config.dtype_policy().name == loaded
    finally:
        keras.config.set_dtype_policy(before)
    assert type(again.optimizer) is type(model.optimizer)
    assert [layer.dtype_policy.name for layer in again.layers[-2:]] == [saved, saved]
    states = ([np.asarray(v) for v in m.optimizer.variables] for m in (model, again))
    for a, b in zip(*states, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_compile_does_is_left_to_keras_where_no_policy_matters(tmp_path):
    """An optimizer that its user wrapped, a model that was not compiled, and one that has nothing in half precision."""
    own = trained("sequential", keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()))
    own.save(tmp_path / "own.keras")
    assert optimizer_was_wrapped(tmp_path / "own.keras", "mixed_float16") is None
    trained("sequential").save(tmp_path / "single.keras")
    assert optimizer_was_wrapped(tmp_path / "single.keras", "float32") is None
    keras.Sequential([keras.Input((4, 3)), rk.LSTM(3)]).save(tmp_path / "bare.keras")
    assert optimizer_was_wrapped(tmp_path / "bare.keras", "mixed_float16") is None
