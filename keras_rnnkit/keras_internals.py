"""Every private name of Keras that this package relies on, behind functions with plain names.

Keras may rename or change these names in any release, and several of them would then be missed in silence: a method
that Keras no longer calls, an attribute that nobody reads. So they stand in this file alone. What is missing is
reported when this module is imported, or at its first use where Keras has it only on a model or an optimizer that was
built; `tests/test_keras_internals.py` shows the behaviour that we rely on, name by name.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras


def require(owner: Any, *names: str) -> None:
    """Raise an ImportError that names the Keras version and each of `names` that `owner` does not have.

    >>> require(keras.layers.Layer, "_no_such_name")
    Traceback (most recent call last):
    ...
    ImportError: keras_rnnkit relies on private names that Keras ... does not have: Layer._no_such_name. ...
    """
    missing = [name for name in names if not hasattr(owner, name)]
    if missing:
        kind = owner.__name__ if hasattr(owner, "__name__") else type(owner).__name__
        raise ImportError(
            f"keras_rnnkit relies on private names that Keras {keras.__version__} does not have: "
            f"{', '.join(f'{kind}.{name}' for name in missing)}. Install the version of Keras that constraints.txt "
            "names, or a newer keras_rnnkit."
        )


def _backend() -> Any:
    """Keras' backend module. `keras.src` is an attribute of `keras`, but not one of its public names."""
    require(keras, "src")
    require(keras.src, "backend", "layers", "models")
    require(keras.src.backend.common.dtypes, "BIT64_TO_BIT32_DTYPE")
    require(keras.src.backend, "rnn", "compute_output_spec", "get_keras_mask", "set_keras_mask")
    require(keras.src.backend, "lstm", "gru", "AutocastScope")
    return keras.src.backend


class _StepWithoutWeights:
    """The least that `keras.layers.RNN` takes as a cell: making one must draw no seed and create no variable."""

    state_size = 1

    def call(self, inputs, states):
        return inputs, states


_BACKEND = _backend()
_LAYER = keras.layers.Layer(name="probe")
_RNN = keras.layers.RNN(_StepWithoutWeights(), name="probe")

require(_LAYER, "_flatten_layers", "_layers", "_tracker", "_build_shapes_dict", "_inbound_nodes", "_dtype_policy")
require(_LAYER, "_call_has_training_arg", "_call_has_mask_arg")
require(_LAYER, "_lock_state")
require(_LAYER._tracker, "locked", "lock", "unlock", "untrack", "config", "stored_ids")
require(_RNN, "_create_state_variables", "_expected_batch_size", "inner_loop")
require(_RNN, "_maybe_config_dropout_masks", "_maybe_reset_dropout_masks")
require(keras.optimizers.Optimizer, "_clip_gradients", "_update_model_variables_moving_average")
require(keras.Sequential(name="probe"), "_functional", "_maybe_rebuild")
require(keras.Model, "_symbolic_build")
if keras.backend.backend() == "tensorflow":
    require(keras.optimizers.Optimizer, "_all_reduce_sum_gradients")
if hasattr(_BACKEND, "bidirectional_lstm"):  # since Keras 3.13: both directions in one cuDNN call
    require(keras.layers.Bidirectional, "_can_attempt_fused_lstm", "_can_attempt_fused_gru")

DROPOUT_MASKS = ("_maybe_config_dropout_masks", "_maybe_reset_dropout_masks")
"""The methods by which `keras.layers.RNN` keeps the dropout masks of a call on its cells, also at inference."""

FUSED_BIDIRECTIONAL = ("_can_attempt_fused_lstm", "_can_attempt_fused_gru")
"""The methods that Keras' Bidirectional asks before it hands both directions to cuDNN in one call."""


# ---------------------------------------------------------------------- the layers inside a layer


def flatten_layers(layer) -> list[Any]:
    """The layer itself and every layer inside it, at any depth."""
    return layer._flatten_layers()


def sublayers(layer) -> list[Any]:
    """The layers that a layer tracks directly: attributes, and members of lists, tuples and dicts among them."""
    return layer._flatten_layers(include_self=False, recursive=False)


def replace_attribute(layer, name: str, value, previous=()) -> None:
    """Set an attribute that holds layers, on a layer that may be built, and make Keras forget `previous`."""
    with unlocked(layer):
        for old in previous:
            layer._tracker.untrack(old)
        setattr(layer, name, value)


@contextlib.contextmanager
def unlocked(layer) -> Iterator[None]:
    """Inside, layers and variables can be set on a layer that is built."""
    tracker, locked = layer._tracker, layer._tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        if locked:
            tracker.lock()


# ---------------------------------------------------------------------- how a layer is called


def call_has_training_arg(layer) -> bool:
    """Whether `call` takes `training`. A cell need not be a Keras layer; such a cell does not."""
    return getattr(layer, "_call_has_training_arg", False)


def call_has_mask_arg(layer) -> bool:
    """Whether `call` takes `mask`."""
    return getattr(layer, "_call_has_mask_arg", False)


def build_shapes_dict(layer) -> dict[str, Any] | None:
    """The shapes that a layer was built for, by the name of the argument; None before that."""
    return layer._build_shapes_dict


def graph_inputs(layer) -> list[Any]:
    """The symbolic tensors that a layer was called on, in all models that it is part of; masks are among them."""
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def keras_mask(tensor) -> Any:
    """The mask that Keras has attached to a tensor, or None."""
    return _BACKEND.get_keras_mask(tensor)


def set_keras_mask(tensor, mask) -> None:
    """Attach a mask to a tensor, which the next layer, the loss and the metrics then receive."""
    _BACKEND.set_keras_mask(tensor, mask)


DTYPE_POLICY = "_dtype_policy"
"""The attribute in which a layer keeps its policy, from which it derives all its dtypes."""


def with_compute_dtype(policy, dtype: str) -> Any:
    """A copy of a policy that computes in another dtype and keeps the variables' dtype: Keras casts where it reads."""
    require(policy, "_compute_dtype")
    policy = copy.copy(policy)
    policy._compute_dtype = dtype
    return policy


def replace_dtype_policy(layer, policy) -> None:
    """Set a layer's policy as it stands: the public setter changes a shared DTypePolicyMap instead of the layer."""
    layer._dtype_policy = policy


# ---------------------------------------------------------------------- models


def is_functional(model) -> bool:
    """Whether the model is a graph of layers: a functional model, or a subclass of one that passes it a graph."""
    return isinstance(model, keras.src.models.Functional)


def input_structure(model) -> Any:
    """The nested inputs of a functional model; `model.inputs` is flat."""
    require(model, "_inputs_struct")
    return model._inputs_struct


def functional_of(model) -> Any:
    """The functional model that a built Sequential runs as; any other model is returned as it is."""
    return getattr(model, "_functional", None) or model


def build_metrics(model, x, y) -> None:
    """Create the variables of a compiled model's metrics, which Keras does no sooner than in the first training step.

    x, y: one batch. Only its shapes and dtypes are used, and the model does not run.
    """
    model._symbolic_build(data_batch=(x, y, None))


def graph_inputs_of(model) -> Any:
    """New inputs like those of a functional model, in its structure."""
    layers: dict[int, Any] = {}

    def new_input(tensor):
        layer = tensor._keras_history.operation
        if id(layer) not in layers:
            layers[id(layer)] = type(layer).from_config(layer.get_config())
        return layers[id(layer)].output

    return keras.tree.map_structure(new_input, input_structure(model))


def run_graph(model, inputs, replacement_of: Callable[[Any], Any]) -> Any:
    """The outputs of a functional model's graph on other inputs, with other operations in place of its own."""
    require(model, "_run_through_graph")
    return model._run_through_graph(inputs, operation_fn=replacement_of)


# ---------------------------------------------------------------------- copies of layers

CARRIED = (
    *("built", "activity_regularizer", "autocast", "supports_jit", "_input_spec", "_supports_masking"),
    *("_dtype_policy", "_trainable", "_path", "_parent_path", "_build_shapes_dict", "_convert_input_args"),
    *("_allow_non_tensor_positional_args", "_auto_config", "_remat_mode"),
)
"""The attributes of Keras' own that a copy of a layer must have too. Keras' other attributes begin anew in a copy:
nodes of graphs, losses, compiled functions."""


def bare_copy(layer, cls: type | None = None, graph: tuple[Any, Any] | None = None) -> Any:
    """A new layer of the same class (or of `cls`), with Keras' own attributes and none of the user's.

    Its constructor does not run: a copy has the attributes of the original, `own_attributes`, instead.

    graph: the inputs and outputs of a functional model.
    """
    cls = cls or type(layer)
    copy: Any = cls.__new__(cls)  # type: ignore[call-overload]
    if graph is not None:
        keras.src.models.Functional.__init__(copy, *graph, name=layer.name)
    else:
        base = next(b for b in (keras.Sequential, keras.Model, keras.layers.Layer) if isinstance(layer, b))
        base.__init__(copy, name=layer.name)
    return copy


def own_attributes(layer, copy) -> dict[str, Any]:
    """The attributes of a layer that its class has set, not Keras: those that a bare copy lacks."""
    keras_names = {*vars(copy), *names_set_by_compile()}
    return {
        name: value
        for name, value in vars(layer).items()
        if name not in keras_names and not name.startswith("_self_")  # TensorFlow's own notes on attributes
    }


@functools.cache
def names_set_by_compile() -> frozenset[str]:
    """The attributes that a model has only since it was compiled, called or trained."""
    model = keras.Sequential([keras.Input((1,), name="probe"), keras.layers.Dense(1, name="probed")], name="probe")
    before = set(vars(model))
    model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae"])
    return frozenset({*vars(model), "history", "stop_training"} - before)


def finish_copy(layer, copy, replacement_of: Callable[[Any], Any]) -> None:
    """Carry over Keras' own attributes, and the order of the original's variables and layers."""
    with unlocked(copy):
        for name in CARRIED:
            if name in vars(layer) and not (name == "built" and isinstance(layer, keras.Sequential)):
                object.__setattr__(copy, name, vars(layer)[name])
        copy_order(layer, copy, replacement_of)
    if layer._tracker.locked:
        copy._lock_state()


def copy_order(layer, copy, replacement_of: Callable[[Any], Any] = lambda value: value) -> None:
    """List in `copy` what `layer` lists, in its order: variables, layers, metrics and seed generators."""
    for store, (_, values) in layer._tracker.config.items():
        replacements = [replacement_of(value) for value in values]
        copy._tracker.config[store][1][:] = replacements
        copy._tracker.stored_ids[store] = {id(value) for value in replacements}


def fill_sequential(copy, layers: list[Any]) -> None:
    """Add layers to a Sequential, an InputLayer in front of them included, and build it where that is possible."""
    for layer in layers:
        keras.Sequential.add(copy, layer, rebuild=False)
    if layers:
        copy._maybe_rebuild()


def sequential_layers(model) -> list[Any]:
    """The layers of a Sequential with the InputLayer, which `model.layers` leaves out."""
    return list(model._layers)


def compile_arguments(model) -> dict[str, Any]:
    """The arguments of the last `model.compile(...)`, as the objects that were passed; empty if there was none."""
    return dict(model._compile_config.config) if getattr(model, "_compile_config", None) else {}


# ---------------------------------------------------------------------- recurrent layers


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Inside, Keras' operations on float64 stay in float64 on JAX too, where Keras takes the result for float32."""
    narrowed = _BACKEND.common.dtypes.BIT64_TO_BIT32_DTYPE
    before = narrowed["float64"]
    narrowed["float64"] = "float64"
    try:
        yield
    finally:
        narrowed["float64"] = before


def autocast_scope(dtype) -> Any:
    """A context in which variables are read in this dtype, as inside the call of a layer that computes in it."""
    return _BACKEND.AutocastScope(dtype)


def fused_lstm(*arguments, **keywords) -> Any:
    """Keras' door to cuDNN's LSTM: (last output, outputs, states), or NotImplementedError where there is no cuDNN."""
    return _BACKEND.lstm(*arguments, **keywords)


def fused_gru(*arguments, **keywords) -> Any:
    """Keras' door to cuDNN's GRU, like `fused_lstm`."""
    return _BACKEND.gru(*arguments, **keywords)


rnn_loop = _BACKEND.rnn
"""The loop of `keras.layers.RNN`, in the backend's own operations."""

compute_output_spec = _BACKEND.compute_output_spec
"""The shapes and dtypes that a function returns, without running it."""

DropoutRNNCell = next(cls for cls in keras.layers.LSTMCell.__mro__ if cls.__name__ == "DropoutRNNCell")
"""The base class by which `keras.layers.RNN` recognizes cells whose dropout masks it draws before the loop."""
require(DropoutRNNCell, "get_dropout_mask", "get_recurrent_dropout_mask", "reset_dropout_mask")


def draws_mask_per_gate(cell) -> bool:
    """Whether a stock cell draws a dropout mask for each gate, where one mask serves all gates of our cells."""
    return bool(getattr(cell, "dropout_mask_count", None))


def expected_batch_size(layer) -> int | None:
    """The number of rows for which a stateful layer keeps states; None before it is built."""
    return layer._expected_batch_size


def create_states(layer, batch_size: int) -> None:
    """Give a stateful layer new states, for that number of rows. Keras does not list them in `layer.variables`."""
    layer._create_state_variables(batch_size)
    layer._expected_batch_size = batch_size


def replace_states(layer, states, batch_size: int | None) -> None:
    """Give a stateful layer states that exist already, such as another layer's."""
    object.__setattr__(layer, "states", states)  # an ordinary assignment would list them in `layer.variables`
    layer._expected_batch_size = batch_size


class FusionChoice:
    """A base class for bidirectional layers, in front of Keras' own, that say whether Keras may run both directions in
    one call of cuDNN, past the two layers."""

    def may_fuse(self) -> bool:
        raise NotImplementedError

    def _can_attempt_fused_lstm(self, *arguments, **keywords):
        return self.may_fuse() and super()._can_attempt_fused_lstm(*arguments, **keywords)  # type: ignore[misc]

    def _can_attempt_fused_gru(self, *arguments, **keywords):
        return self.may_fuse() and super()._can_attempt_fused_gru(*arguments, **keywords)  # type: ignore[misc]


# ---------------------------------------------------------------------- optimizers


class BeforeClipping:
    """A base class for optimizers, in front of Keras' own, that see all gradients before Keras clips them."""

    def before_clipping(self, gradients: list[Any]) -> list[Any]:
        """The gradients that Keras clips and applies, in the order of the variables; None where there is none.

        A subclass starts with `super().before_clipping(gradients)`, so that several of them work together.
        """
        return gradients

    def _clip_gradients(self, grads):
        return super()._clip_gradients(self.before_clipping(grads))  # type: ignore[misc]


class SumsGradients:
    """A base class for optimizers, in front of Keras' own, that sum the gradients of all replicas themselves.

    Keras' optimizers do that on TensorFlow when they update the variables, after clipping.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return list(grads_and_vars)


class AveragesWeights:
    """A base class for optimizers, in front of Keras' own, that update the averages of use_ema=True themselves."""

    def update_averages(self, weights_and_averages: list[tuple[Any, Any]]) -> None:
        """Called after each step."""
        raise NotImplementedError

    def _update_model_variables_moving_average(self, trainable_variables):
        self.update_averages(averages(self))


def averages(optimizer) -> list[tuple[Any, Any]]:
    """Each trained variable with the average that an optimizer with use_ema=True keeps of it."""
    if not (optimizer.built and optimizer.use_ema):
        return []
    require(optimizer, "_trainable_variables", "_model_variables_moving_average")
    pairs = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    return [(variable, average) for variable, average in pairs if average is not None]


# ---------------------------------------------------------------------- training on several devices


class OwnFunctions:
    """A base class for models, in front of Keras' own, that make the functions of their steps themselves."""

    def function_of_step(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The function that Keras calls with an iterator, for `train_step` or `test_step`."""
        raise NotImplementedError

    def batch_to_build_on(self, batch: Any) -> Any:
        """A batch with the shapes for which the model is built, from one of `build_metrics`."""
        return batch

    def built_for_training(self) -> None:
        """Called when the losses and metrics have been built."""

    def _make_function(self, step_function):
        return self.function_of_step(step_function)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Keras would take the mean of the devices' batches here, which fails on several workers."""

    def _symbolic_build(self, iterator=None, data_batch=None):
        super()._symbolic_build(data_batch=self.batch_to_build_on(data_batch))  # type: ignore[misc]
        self.built_for_training()


def build_from_spec(model: Any, spec: Any) -> None:
    """Create the losses and the metrics' variables of a model of `OwnFunctions`, from the specification of a batch."""
    require(model, "_symbolic_build", "_make_function", "_maybe_symbolic_build")
    with model.distribute_strategy.scope():
        super(OwnFunctions, model)._symbolic_build(data_batch=spec)
    model.built_for_training()


def replace_losses(model: Any, replacement_of: Callable[[Any], Any]) -> None:
    """Let a compiled model whose losses are built compute others; the files it is saved in have those it had."""
    require(model, "_compile_loss")
    if model._compile_loss is None:
        return
    require(model._compile_loss, "_flat_losses")
    losses = model._compile_loss._flat_losses or []
    losses[:] = [entry._replace(loss=replacement_of(entry.loss)) for entry in losses]
