"""The compiled loops of this process, so that equal ones are compiled once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras

from keras_rnnkit.cells.arguments import argument_names
from keras_rnnkit.cells.base import Cell
from keras_rnnkit.kernels.recurrence import Recurrence
from keras_rnnkit.kernels.steps import has_written_gradient

KEPT = 64
"""Shared programs that are kept at a time; the one that was used longest ago goes first."""

_shared: OrderedDict[Any, Any] = OrderedDict()


class OwnPrograms(dict):
    """The programs of one cell, which live as long as it does. A copy of the cell begins without any."""

    def __deepcopy__(self, memo):
        return OwnPrograms()

    def __reduce__(self):
        return OwnPrograms, ()


def program_for(recurrence: Recurrence, consts, make: Callable[[Recurrence], Any]) -> Any:
    """What `make` returns for the recurrence, made at first use.

    Layers whose cells have the same equation, and a written-out gradient, share it: it is made for the equation
    without its weights. Any other cell may read whatever it likes, so its programs are its own.
    """
    flags = (recurrence.masked, recurrence.resets, *sorted(consts))
    equation = Equation.of(recurrence.cell) if has_written_gradient(recurrence.cell) else None
    if equation is None:
        own = recurrence.cell.__dict__.setdefault("_programs", OwnPrograms())
        key = (*flags, *(id(v) for v in recurrence.cell.weights))
        if key not in own:
            own[key] = make(recurrence)
        return own[key]
    key = (equation.key, *flags)
    if key not in _shared:
        _shared[key] = make(SharedRecurrence(equation, recurrence))
    _shared.move_to_end(key)
    while len(_shared) > KEPT:
        _shared.popitem(last=False)
    return _shared[key]


class Equation:
    """A cell without its variables: its class, its settings, and the order in which its weights are passed."""

    def __init__(self, cell: Cell, settings: dict[str, Any]):
        self.order = {id(v): i for i, v in enumerate(cell.weights)}
        variables = {name: v for name, v in vars(cell).items() if isinstance(v, keras.Variable)}
        self.places = {name: self.order[id(v)] for name, v in variables.items() if id(v) in self.order}
        self.key = (type(cell), tuple(settings.items()), tuple(self.places.items()))
        self.cell = object.__new__(type(cell))
        self.cell.__dict__.update(settings)

    @classmethod
    def of(cls, cell: Cell) -> Equation | None:
        """The equation of a cell, or None where its settings cannot be compared."""
        settings = {name: getattr(cell, name) for name in argument_names(type(cell)) if decides(name)}
        try:
            hash(tuple(settings.values()))
        except TypeError:
            return None
        return cls(cell, settings)

    def read(self, weights) -> SimpleNamespace:
        """The weights by attribute name; None for those that the cell does not have, such as a bias."""
        absent = {"kernel": None, "recurrent_kernel": None, "bias": None, "projection_kernel": None}
        return SimpleNamespace(**absent | {name: weights[i] for name, i in self.places.items()})


def decides(argument: str) -> bool:
    """Whether a constructor argument has a part in the equation; how weights start and are penalized has none."""
    return not argument.endswith(("_initializer", "_regularizer", "_constraint")) and argument not in (
        "seed",
        "dropout",
    )


class SharedRecurrence(Recurrence):
    """The recurrence of an equation, for weights that come with each call."""

    def __init__(self, equation: Equation, recurrence: Recurrence):
        self.equation, self.cell = equation, equation.cell
        self.masked, self.resets = recurrence.masked, recurrence.resets
        self.carries_output, self.gates_read_weights = recurrence.carries_output, False

    def read(self, weights, by_gates: bool = False):
        return self.equation.read(weights)

    def in_loop(self, weights):
        """The weights, with a zero for each that no step reads.

        Its shape must not ask for a program of its own, and its gradient, all zeros, need not be made and added.
        """
        unread = {self.equation.places.get(name) for name in getattr(self.cell, "read_before_the_loop", ())}
        return [keras.ops.zeros((), w.dtype) if i in unread else w for i, w in enumerate(weights)]

    def with_added(self, d_weights, by_name):
        places = {self.equation.places[name]: array for name, array in by_name.items()}
        return [d + places[i] if i in places else d for i, d in enumerate(d_weights)]
