"""One recurrence of a model, as the trace called it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_rnnkit.cells.base import Cell


@dataclass(frozen=True)
class Recurrence:
    """What a lowering must know of a recurrence besides its arrays.

    The arrays arrive in this order: sequences [B, T, D]; the states [B, size] that are not known to be zero; mask
    [B, T] where masked; and where there are resets, the flags [B, T] and one state [B, size] for each to go back to.
    It leaves the outputs ([B, T, U], or [B, U] without return_sequences) and the last states.
    """

    name: str
    cells: list[Cell]
    zero_states: list[bool]
    masked: bool
    resets: bool
    return_sequences: bool
    go_backwards: bool
    zero_output_for_mask: bool
    batch: int | None
    length: int | None
    features: int
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    layer: Any = None

    @property
    def state_sizes(self) -> list[int]:
        return [size for cell in self.cells for size in cell.state_sizes]

    @property
    def output_size(self) -> int:
        return self.cells[-1].output_size

    def by_cell(self, states: list) -> list[list]:
        """The states, flat from the first cell up, as a list for each cell."""
        remaining = iter(states)
        return [[next(remaining) for _ in cell.state_sizes] for cell in self.cells]
