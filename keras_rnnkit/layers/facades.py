"""LSTM, GRU and VanillaRNN: Keras' layers, argument for argument, on our kernels."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from keras_rnnkit.cells.base import Cell, argument_names
from keras_rnnkit.cells.gru import GRUCell
from keras_rnnkit.cells.lstm import LSTMCell
from keras_rnnkit.cells.vanilla import VanillaCell
from keras_rnnkit.layers.arguments import documented
from keras_rnnkit.layers.recurrent import Recurrent

Function = str | dict[str, Any] | Callable[..., Any] | None
"""An activation, an initializer, a regularizer or a constraint, as Keras accepts it: a name, a config or a function."""


class Facade(Recurrent):
    """One of our cells, with the arguments of a Keras layer.

    A subclass also derives from that layer. It therefore passes `isinstance`, and inherits the layer's properties
    (`units`, `activation`, ...), its config and its use of cuDNN.

    Type checkers cannot follow a signature that is computed, so each subclass writes its own under TYPE_CHECKING. It
    has no **kwargs: a misspelt argument must be an error. A test compares it with the computed one.
    """

    host: type[keras.layers.RNN]
    cell_class: type[Cell]
    additions: dict[str, Any] = {"kernel": "auto", "learn_initial_state": False, "memory": "keep"}
    """Arguments that Keras does not have, with their defaults."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _, *named, rest = inspect.signature(cls.host.__init__).parameters.values()
        ours = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d) for n, d in cls.additions.items()]
        cls.__signature__ = inspect.Signature([*named, *ours, rest])
        if "host" in vars(cls):  # a user's subclass has its own docstring
            cls.__doc__ = documented(cls.__doc__ or "", cls.__signature__.parameters)

    def __init__(self, *args, **kwargs):
        arguments = dict(self.__signature__.bind(*args, **kwargs).arguments)
        arguments |= arguments.pop("kwargs", {})
        cell = self.cell_class(
            **{name: arguments.pop(name) for name in argument_names(self.cell_class) if name in arguments},
            name=f"{self.host.__name__}Cell".lower(),
            dtype=arguments.get("dtype"),
            trainable=arguments.get("trainable", True),
        )
        arguments.pop("implementation", None)  # one implementation serves both of Keras'
        if "use_cudnn" in self.__signature__.parameters:  # Keras' SimpleRNN has no such argument, nor attribute
            self.use_cudnn = checked_use_cudnn(arguments.pop("use_cudnn", "auto"))
            arguments |= {"kernel": "cudnn"} if self.use_cudnn is True else {}
        super().__init__(cell, **arguments)

    def get_config(self):
        config = super().get_config()
        config.pop("cell", None)
        if getattr(self, "use_cudnn", None) is False:
            config["use_cudnn"] = False
        if getattr(self, "use_cudnn", None) is True and config["kernel"] == "cudnn":
            # Keras does not save `use_cudnn`: a model saved beside a GPU must run on machines without one.
            config["kernel"] = "auto"
        return {**{name: getattr(self, name) for name in self.additions}, **config}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def checked_use_cudnn(use_cudnn):
    if use_cudnn not in ("auto", True, False):
        raise ValueError(
            f"Invalid `use_cudnn`. Received: use_cudnn={use_cudnn!r}. Expected 'auto', True or False; "
            "kernel='cudnn' says the same as True."
        )
    return use_cudnn


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class VanillaRNN(Facade, keras.layers.SimpleRNN):
    """The plain recurrent network over a sequence, with the arguments of `keras.layers.SimpleRNN`.

    The equation is in `rk.cells.VanillaCell`.

    Added to Keras' layer: kernel, learn_initial_state and memory, and the call arguments of `Recurrent`.

    >>> import keras_rnnkit as rk
    >>> rk.VanillaRNN(8, activation="relu", recurrent_initializer="identity")(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 8])
    """

    host = keras.layers.SimpleRNN
    cell_class = VanillaCell

    if TYPE_CHECKING:

        def __init__(
            self,
            units: int,
            activation: Function = "tanh",
            use_bias: bool = True,
            kernel_initializer: Function = "glorot_uniform",
            recurrent_initializer: Function = "orthogonal",
            bias_initializer: Function = "zeros",
            kernel_regularizer: Function = None,
            recurrent_regularizer: Function = None,
            bias_regularizer: Function = None,
            activity_regularizer: Function = None,
            kernel_constraint: Function = None,
            recurrent_constraint: Function = None,
            bias_constraint: Function = None,
            dropout: float = 0.0,
            recurrent_dropout: float = 0.0,
            return_sequences: bool = False,
            return_state: bool = False,
            go_backwards: bool = False,
            stateful: bool = False,
            unroll: bool = False,
            seed: Any = None,
            *,
            kernel: str = "auto",
            learn_initial_state: bool = False,
            memory: str = "keep",
            zero_output_for_mask: bool = False,
            trainable: bool = True,
            dtype: Any = None,
            name: str | None = None,
        ) -> None: ...


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class LSTM(Facade, keras.layers.LSTM):
    """Long short-term memory over a sequence, with the arguments of `keras.layers.LSTM`.

    The equation is in `rk.cells.LSTMCell`.

    Added to Keras' layer: projection, kernel, learn_initial_state and memory, and the call arguments of `Recurrent`.

    >>> import keras_rnnkit as rk
    >>> y, h, c = rk.LSTM(8, projection=4, return_state=True)(keras.ops.ones([2, 5, 3]))
    >>> h.shape, c.shape
    (TensorShape([2, 4]), TensorShape([2, 8]))
    """

    host = keras.layers.LSTM
    cell_class = LSTMCell
    additions = {"projection": None, **Facade.additions}

    if TYPE_CHECKING:

        def __init__(
            self,
            units: int,
            activation: Function = "tanh",
            recurrent_activation: Function = "sigmoid",
            use_bias: bool = True,
            kernel_initializer: Function = "glorot_uniform",
            recurrent_initializer: Function = "orthogonal",
            bias_initializer: Function = "zeros",
            unit_forget_bias: bool = True,
            kernel_regularizer: Function = None,
            recurrent_regularizer: Function = None,
            bias_regularizer: Function = None,
            activity_regularizer: Function = None,
            kernel_constraint: Function = None,
            recurrent_constraint: Function = None,
            bias_constraint: Function = None,
            dropout: float = 0.0,
            recurrent_dropout: float = 0.0,
            seed: Any = None,
            return_sequences: bool = False,
            return_state: bool = False,
            go_backwards: bool = False,
            stateful: bool = False,
            unroll: bool = False,
            use_cudnn: bool | str = "auto",
            *,
            projection: int | None = None,
            kernel: str = "auto",
            learn_initial_state: bool = False,
            memory: str = "keep",
            zero_output_for_mask: bool = False,
            trainable: bool = True,
            dtype: Any = None,
            name: str | None = None,
        ) -> None: ...

    @property
    def projection(self):
        return self.cell.projection


@keras.saving.register_keras_serializable(package="keras_rnnkit")
class GRU(Facade, keras.layers.GRU):
    """The gated recurrent unit over a sequence, with the arguments of `keras.layers.GRU`.

    The equation is in `rk.cells.GRUCell`, for both values of `reset_after`.

    Added to Keras' layer: kernel, learn_initial_state and memory, and the call arguments of `Recurrent`.

    >>> import keras_rnnkit as rk
    >>> rk.GRU(8, return_sequences=True)(keras.ops.ones([2, 5, 3])).shape
    TensorShape([2, 5, 8])
    """

    host = keras.layers.GRU
    cell_class = GRUCell

    if TYPE_CHECKING:

        def __init__(
            self,
            units: int,
            activation: Function = "tanh",
            recurrent_activation: Function = "sigmoid",
            use_bias: bool = True,
            kernel_initializer: Function = "glorot_uniform",
            recurrent_initializer: Function = "orthogonal",
            bias_initializer: Function = "zeros",
            kernel_regularizer: Function = None,
            recurrent_regularizer: Function = None,
            bias_regularizer: Function = None,
            activity_regularizer: Function = None,
            kernel_constraint: Function = None,
            recurrent_constraint: Function = None,
            bias_constraint: Function = None,
            dropout: float = 0.0,
            recurrent_dropout: float = 0.0,
            seed: Any = None,
            return_sequences: bool = False,
            return_state: bool = False,
            go_backwards: bool = False,
            stateful: bool = False,
            unroll: bool = False,
            reset_after: bool = True,
            use_cudnn: bool | str = "auto",
            *,
            kernel: str = "auto",
            learn_initial_state: bool = False,
            memory: str = "keep",
            zero_output_for_mask: bool = False,
            trainable: bool = True,
            dtype: Any = None,
            name: str | None = None,
        ) -> None: ...
