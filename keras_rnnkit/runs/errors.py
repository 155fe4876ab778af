"""How a run ends early. Every message is a sentence for the user."""

from __future__ import annotations

import signal
from pathlib import Path


class RunError(RuntimeError):
    """A run that cannot continue. The message says why, and what to do."""


class TrainingDiverged(RunError):
    """The loss is no number any more, or it has exploded."""


class EndOfRun(Exception):
    """What the run was asked for is done before it is judged, as with --find-rate. `Run` ends quietly."""


class Interrupted(KeyboardInterrupt):
    """The user or the system has asked the run to stop.

    Arguments:
        number: the signal, SIGINT or SIGTERM.
        checkpoint: the checkpoint from which training can continue, if there is one.
    """

    def __init__(self, number: int, checkpoint: Path | None = None):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.checkpoint = number, checkpoint

    @property
    def exit_code(self) -> int:
        """The code by which shells tell that a signal ended a command."""
        return 128 + self.number
