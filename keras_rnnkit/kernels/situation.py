"""What a call brings that a kernel may not be able to take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Situation:
    """masked: some steps are to be skipped. resets: some rows start anew inside the sequence."""

    masked: bool = False
    resets: bool = False
