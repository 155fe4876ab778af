"""Starts the workers of this machine, watches them, and restarts all of them when one dies or stops.

A worker that fails makes the others fail, because they wait for its gradients, so all begin again together: each goes
back to the newest checkpoint that all have. Between two attempts the supervisor waits, longer each time, and after some
attempts it gives up. Ctrl-C and SIGTERM are passed on once, and end the group for good.

    rnnkit launch --workers 2 -- rnnkit train language_model --distribute workers --data text.txt
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_rnnkit.cluster.addresses import TF_CONFIG, Cluster, ClusterError, local_cluster
from keras_rnnkit.cluster.heartbeat import FOLDER, Heartbeat

ATTEMPT = "RNNKIT_ATTEMPT"
"""The variable of the environment that says how often the workers have been started before: 0, or they continue."""

REFUSAL = 2
"""The exit code by which a command refuses its settings; it would refuse them again."""

PAUSE = 0.1
"""Seconds between two looks at the workers."""


@dataclass(frozen=True)
class LaunchSettings:
    """How workers are started and watched.

    Arguments:
        workers: how many to start on this machine; or "host:port,host:port,..." of all, to start the one of `index`.
        command: the command, the same for each worker.
        index: the place of this machine in the list of `workers`, from 0.
        restarts: how often all workers are started again after a failure.
        pause: seconds before the first restart; each next one waits twice as long, 60 seconds at most.
        silence: seconds without a batch after which a worker is taken for stopped; 0 for never.
        grace: seconds that the workers have to end after a signal, before they are killed.
        resume: whether the first start, too, continues the run in its folder if there is one.
    """

    workers: str
    command: tuple[str, ...]
    index: int | None = None
    restarts: int = 5
    pause: float = 1.0
    silence: float = 300.0
    grace: float = 20.0
    resume: bool = False

    def __post_init__(self):
        counts = {"restarts": self.restarts, "pause": self.pause, "silence": self.silence, "grace": self.grace}
        for name, value in counts.items():
            if value < 0:
                raise ClusterError(f"--{name} must be 0 or more. Received: {value}.")
        if self.workers.isdigit() and int(self.workers) < 1:
            raise ClusterError(f"--workers must be 1 or more. Received: {self.workers}.")
        if self.workers.isdigit() and self.index is not None:
            raise ClusterError(
                f"--index goes with a list of addresses, --workers host:port,host:port. Received: --workers "
                f"{self.workers} --index {self.index}."
            )
        if not self.command:
            raise ClusterError("The command is missing: rnnkit launch --workers 2 -- rnnkit train language_model ...")

    def clusters(self) -> list[Cluster]:
        """The place of each worker that this machine starts; those of one machine get new ports each time."""
        if self.workers.isdigit():
            addresses = local_cluster(int(self.workers))
            return [Cluster(addresses, index) for index in range(len(addresses))]
        return [Cluster.from_environment(self.workers, self.index)]


@dataclass
class Worker:
    """A running worker.

    Arguments:
        index: its number.
        process: the process, the first of a group of its own.
        heartbeat: the file by which it shows that its training goes on.
    """

    index: int
    process: subprocess.Popen[bytes]
    heartbeat: Heartbeat
    reader: threading.Thread = field(repr=False)

    def signal(self, number: int) -> None:
        """Send a signal to the worker and to what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Supervisor:
    """Runs a group of workers to its end.

    Arguments:
        settings: how they are started and watched.
        say: prints a sentence about the group.
    """

    def __init__(self, settings: LaunchSettings, say: Any = print):
        self.settings, self.say = settings, say
        self.asked: int | None = None  # the signal by which the user ends the group

    def run(self) -> int:
        """The exit code of the group: 0, or that of the worker that failed."""
        earlier = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return self._attempts()
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.asked = self.asked or number

    def _attempts(self) -> int:
        s, pause = self.settings, self.settings.pause
        for attempt in range(s.restarts + 1):
            failure, code = self._attempt(attempt + s.resume)
            if failure is None or self.asked:
                return code
            if code == REFUSAL:
                self.say(f"{failure} It has refused its settings, so the workers are not started again.")
                return code
            if attempt == s.restarts:
                break
            self.say(f"{failure} All workers start again in {pause:.0f} s ({attempt + 1} of {s.restarts} times).")
            self._sleep(pause)
            pause = min(60.0, 2 * pause)
        self.say(f"{failure} They have been started {s.restarts + 1} times, and are not started again.")
        return code

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self.asked:
            time.sleep(PAUSE)

    def _attempt(self, attempt: int) -> tuple[str | None, int]:
        """Run the workers once; what failed, if anything did, and the exit code."""
        with tempfile.TemporaryDirectory(prefix="rnnkit_") as folder:
            workers = [start(c, self.settings.command, attempt, Path(folder)) for c in self.settings.clusters()]
            try:
                return self._watch(workers)
            finally:
                self._end(workers)

    def _watch(self, workers: list[Worker]) -> tuple[str | None, int]:
        while True:
            codes = [worker.process.poll() for worker in workers]
            for worker, code in zip(workers, codes, strict=True):
                if code and not self.asked:
                    return f"Worker {worker.index} {how_it_ended(code)}.", exit_code(code)
                if code is None and worker.heartbeat.silence() > self.settings.silence > 0:
                    return f"Worker {worker.index} has not trained for {self.settings.silence:.0f} s.", 1
            if None not in codes:
                return None, exit_code(next((code for code in codes if code), 0))
            if self.asked:
                self._pass_on(workers)
                continue
            time.sleep(PAUSE)

    def _pass_on(self, workers: list[Worker]) -> None:
        """Ask all workers to end, as the user has asked, and wait for them."""
        for worker in workers:
            worker.signal(self.asked or signal.SIGTERM)
        wait(workers, self.settings.grace)
        self._end(workers)

    def _end(self, workers: list[Worker]) -> None:
        """End what still runs: politely, and then, as for a worker that is stopped, by force."""
        if any(worker.process.poll() is None for worker in workers):
            for worker in workers:
                worker.signal(signal.SIGTERM)
            wait(workers, min(2.0, self.settings.grace))
        for worker in workers:
            worker.signal(signal.SIGKILL)
        for worker in workers:
            worker.process.wait()
            worker.reader.join(timeout=5)


def start(cluster: Cluster, command: Sequence[str], attempt: int, folder: Path) -> Worker:
    """Start a worker; what it prints comes with its number in front."""
    changes = {TF_CONFIG: cluster.tf_config, FOLDER: str(folder), ATTEMPT: str(attempt), "PYTHONUNBUFFERED": "1"}
    try:
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **changes},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ClusterError(f"The command {command[0]!r} cannot be started: {error.strerror}.") from None
    reader = threading.Thread(target=show, args=(process, f"[{cluster.index}] ".encode()), daemon=True)
    reader.start()
    return Worker(cluster.index, process, Heartbeat(folder / f"worker{cluster.index}"), reader)


def show(process: subprocess.Popen[bytes], prefix: bytes) -> None:
    """Print the lines of a worker."""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            sys.stdout.buffer.write(prefix + line)
            sys.stdout.buffer.flush()


def wait(workers: list[Worker], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(worker.process.poll() is None for worker in workers):
        time.sleep(PAUSE)


def how_it_ended(code: int) -> str:
    """The end of a process in words.

    >>> how_it_ended(-9), how_it_ended(3)
    ('was ended by SIGKILL', 'ended with exit code 3')
    """
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def exit_code(code: int) -> int:
    """The exit code as shells have it."""
    return 128 - code if code < 0 else code
