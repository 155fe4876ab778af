"""Our layer for each of Keras' recurrent layers, with the same variables."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from keras_rnnkit import keras_internals
from keras_rnnkit.cells.adopt import adopt
from keras_rnnkit.layers.facades import GRU, LSTM, VanillaRNN
from keras_rnnkit.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class SimpleRNN(VanillaRNN):
    """`rk.VanillaRNN` under Keras' name: Keras names the groups in a file of weights after the classes of layers, and
    the files of a converted model must fit the original."""


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class RNN(Recurrent):
    """`rk.Recurrent` under Keras' name, for the same reason."""


FACADES: dict[type, type[Recurrent]] = {
    keras.layers.LSTM: LSTM,
    keras.layers.GRU: GRU,
    keras.layers.SimpleRNN: SimpleRNN,
}


def is_stock(layer) -> bool:
    """Whether it is one of Keras' recurrent layers, not a subclass."""
    return type(layer) in FACADES or type(layer) is keras.layers.RNN


def reason_to_keep(layer) -> str | None:
    """Why a recurrent layer cannot be converted, or None where it can be or need not be."""
    if isinstance(layer, Recurrent):
        return None
    name = type(layer).__name__
    if not is_stock(layer):
        return f"{name} is a class of its own, which may compute anything; derive it from a layer of keras_rnnkit"
    if type(layer) is keras.layers.RNN:
        return None  # its cell stays, where it has to
    if layer.dropout >= 1.0 or layer.recurrent_dropout >= 1.0:
        return "a dropout of 1 drops everything, and layers of keras_rnnkit refuse that"
    if drops_for_each_gate(layer.cell):
        return (
            f"{name} with implementation=1 or with recurrent_dropout draws a dropout mask for each gate, where one "
            "mask serves all gates of ours, so it would train differently; make a new rk." + name
        )
    return None


def counterpart(layer) -> Recurrent:
    """Our layer with the settings of a stock layer, its variables and its carried states."""
    facade = FACADES.get(type(layer))
    if facade:
        ours = facade(**settings_of(layer, facade))
        keras_internals.replace_attribute(ours, "cell", shared_cell(layer.cell), previous=[ours.cell])
    else:
        ours = RNN(shared_cell(layer.cell), **settings_of(layer, RNN))
    if layer.built:
        ours.build(built_shape(layer))
        keras_internals.replace_states(ours, layer.states, keras_internals.expected_batch_size(layer))
    return ours


def settings_of(layer, ours: type) -> dict[str, Any]:
    """The constructor's arguments as the layer holds them: a config would spell lambdas and unregistered classes."""
    names = {*inspect.signature(ours).parameters, *inspect.signature(keras.layers.RNN).parameters, "autocast"}
    settings = {name: getattr(layer, name) for name in names - {"cell", "kwargs"} if hasattr(layer, name)}
    return {**settings, "name": layer.name, "dtype": layer.dtype_policy, "trainable": layer.trainable}


def shared_cell(stock) -> Any:
    """Our cell with the variables and the random numbers of a stock cell; the stock cell itself where ours would
    compute or train differently."""
    cell = None if drops_for_each_gate(stock) else adopt(stock)
    if cell is None or cell is stock:
        return stock
    keras_internals.replace_attribute(cell, "seed_generator", stock.seed_generator, previous=[cell.seed_generator])
    keras_internals.copy_order(stock, cell)
    return cell


def drops_for_each_gate(cell) -> bool:
    """Whether a stock cell draws a dropout mask for each gate. One mask serves all gates of our cells."""
    return keras_internals.draws_mask_per_gate(cell) and bool(cell.dropout or cell.recurrent_dropout)


def built_shape(layer) -> tuple[int | None, ...]:
    """[batch, time, features] that a layer was built for."""
    shapes = keras_internals.build_shapes_dict(layer)
    if shapes:
        return tuple(next(iter(shapes.values())))
    batch_size = keras_internals.expected_batch_size(layer)
    return (batch_size, None, layer.cell.weights[0].shape[0])
