"""The properties of a call that decide which kernel can run it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CallFlags:
    """masked: some steps are to be skipped. resets: some rows start anew inside the sequence.

    length, batch: the numbers of steps and of rows, where they are known beforehand.
    """

    masked: bool = False
    resets: bool = False
    length: int | None = None
    batch: int | None = None
