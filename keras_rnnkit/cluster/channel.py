"""Values that the workers of a group exchange: each gives one, and each receives those of all.

Every worker has a connection to the chief. The chief accepts these connections at its own address before TensorFlow or
JAX listens there, and they stay open when the listening ends, so that no further port is needed. What travels is JSON,
a line for each value; no worker waits longer than the time limit, whatever the others do.

    channel = Channel(cluster, seconds=45)
    channel.exchange({"seed": 1})        # on two workers: [{"seed": 1}, {"seed": 1}]
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import Any

from keras_rnnkit.cluster.addresses import Cluster, ClusterError, host_and_port

PAUSE = 0.1
"""Seconds between two attempts to reach the chief."""

LONGEST = 1 << 24
"""Bytes of the longest value; a longer line is not from a worker of ours."""

GREETING = "keras_rnnkit worker"


class Line:
    """A connection that carries JSON values, a line each.

    Arguments:
        connection: a connected socket.
        peer: who is at the other end, in words.
    """

    def __init__(self, connection: socket.socket, peer: str):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.peer, self.received = connection, peer, b""

    def send(self, value: Any) -> None:
        try:
            self.connection.sendall(json.dumps(value).encode() + b"\n")
        except OSError as error:
            raise lost(self.peer, error) from None

    def receive(self, until: float, doing: str) -> Any:
        """The next value, if it comes before the time `until` of `time.monotonic`."""
        while b"\n" not in self.received:
            self.connection.settimeout(max(0.001, until - time.monotonic()))
            try:
                data = self.connection.recv(1 << 16)
            except TimeoutError:
                raise ClusterError(
                    f"{self.peer} was silent for too long while the workers {doing}. Is it stopped?"
                ) from None
            except OSError as error:
                raise lost(self.peer, error) from None
            self.received += data
            if not data or len(self.received) > LONGEST:
                raise lost(self.peer, "the connection was closed" if not data else "the line has no end")
        line, _, self.received = self.received.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            raise ClusterError(f"{self.peer} sent what is not JSON. Does another program have that port?") from None

    def close(self) -> None:
        self.connection.close()


def lost(peer: str, reason: Any) -> ClusterError:
    return ClusterError(
        f"{peer} has gone ({reason}). Look at its output, then start all workers again; with --resume they continue."
    )


class Channel:
    """The connections of a worker: to the chief, or, on the chief, to all others.

    Arguments:
        cluster: the addresses of the workers.
        seconds: how long the workers wait for each other.
    """

    def __init__(self, cluster: Cluster, seconds: float = 45.0):
        self.cluster, self.seconds = cluster, seconds
        self.lines: list[Line] = []
        with listening(cluster.workers[cluster.index]) as listener:  # also where nobody connects: the port is checked
            try:
                self.lines = accept_all(listener, cluster, seconds) if cluster.is_chief else [reach(cluster, seconds)]
            except ClusterError:
                self.close()
                raise

    def exchange(self, value: Any, doing: str = "compared their settings") -> list[Any]:
        """The values of all workers, in their order.

        Arguments:
            value: anything that JSON has.
            doing: what the workers do meanwhile, for the sentence about one that stays silent.
        """
        until = time.monotonic() + self.seconds
        if not self.cluster.is_chief:
            self.lines[0].send(value)
            answer = self.lines[0].receive(until + self.seconds, doing)  # the chief may be waiting for another worker
            if "error" in answer:
                raise ClusterError(answer["error"])
            return answer["values"]
        try:
            values = [value, *(line.receive(until, doing) for line in self.lines)]
        except ClusterError as error:
            self.refuse(str(error))
            raise
        for line in self.lines:
            line.send({"values": values})
        return values

    def refuse(self, sentence: str) -> None:
        """Tell all workers that can still hear why the group ends."""
        for line in self.lines:
            with contextlib.suppress(ClusterError):
                line.send({"error": sentence})

    def close(self) -> None:
        for line in self.lines:
            line.close()


@contextlib.contextmanager
def listening(address: str):
    """A socket that listens at the port of an address; a port that another program has is refused."""
    host, port = host_and_port(address)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # A machine is often reached at an address that it does not have itself, such as that of a container's host.
            listener.bind((host if host in ("127.0.0.1", "localhost", "::1") else "", port))
            listener.listen()
        except OSError as error:
            raise ClusterError(
                f"This worker cannot listen at {address}: {error.strerror or error}. Another program, or a worker of "
                "an earlier training, may have the port. End it, or choose another port."
            ) from None
        yield listener
    finally:
        listener.close()


def accept_all(listener: socket.socket, cluster: Cluster, seconds: float) -> list[Line]:
    """The connections of all other workers, in their order."""
    until = time.monotonic() + seconds
    lines: dict[int, Line] = {}
    refused: list[str] = []
    while len(lines) < len(cluster) - 1:
        listener.settimeout(max(0.001, until - time.monotonic()))
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            raise missing(cluster, lines, seconds, refused) from None
        line = Line(connection, "A program that connected to the chief")
        index = greeted(line, cluster, lines, refused)
        if index is None:
            line.close()
            continue
        line.peer = f"Worker {index} ({cluster.workers[index]})"
        lines[index] = line
    return [lines[index] for index in sorted(lines)]


def greeted(line: Line, cluster: Cluster, lines: dict[int, Line], refused: list[str]) -> int | None:
    """The number of the worker at the other end; None for a program that is no worker of this group.

    A worker that cannot join is told why, and the sentence is kept in `refused`.
    """
    try:
        greeting = line.receive(time.monotonic() + 5, "greeted each other")
        if not isinstance(greeting, dict) or greeting.get("who") != GREETING:
            return None
        sentence = objection(greeting, cluster, lines)
        line.send({"error": sentence} if sentence else {"values": []})
        if sentence is not None:
            refused.append(sentence)
            return None
        return greeting["index"]
    except ClusterError:  # a port scanner, or a worker that was ended again
        return None


def objection(greeting: dict[str, Any], cluster: Cluster, lines: dict[int, Line]) -> str | None:
    """Why a worker cannot join the group; None if it can."""
    if tuple(greeting["workers"]) != cluster.workers:
        return (
            f"The chief has the workers {', '.join(cluster.workers)}, and worker {greeting['index']} has "
            f"{', '.join(greeting['workers'])}. Give all of them the same list."
        )
    if greeting["index"] in (0, *lines):
        return f"Two workers have the index {greeting['index']}. Give each machine its own place in the list."
    return None


def missing(cluster: Cluster, lines: dict[int, Line], seconds: float, refused: list[str]) -> ClusterError:
    """The refusal where workers did not come; those that came are told, too."""
    absent = [f"{i} ({cluster.workers[i]})" for i in range(1, len(cluster)) if i not in lines]
    sentence = (
        f"Worker {', '.join(absent)} did not come within {seconds:.0f} seconds. Start the same command there with its "
        f"--index, and check that it reaches the chief at {cluster.workers[0]}."
    )
    if refused:
        sentence += f" Another one came and was refused: {refused[-1]}"
    for line in lines.values():
        with contextlib.suppress(ClusterError):
            line.send({"error": sentence})
        line.close()
    return ClusterError(sentence)


def reach(cluster: Cluster, seconds: float) -> Line:
    """The connection to the chief, who may start later than this worker."""
    until, address = time.monotonic() + seconds, cluster.workers[0]
    while True:
        try:
            connection = socket.create_connection(host_and_port(address), timeout=max(0.1, until - time.monotonic()))
        except OSError as error:
            if time.monotonic() + PAUSE > until:
                raise ClusterError(
                    f"The chief, worker 0, did not answer at {address} within {seconds:.0f} seconds ({error}). Start "
                    "the same command there with --index 0, and check that this machine reaches that address."
                ) from None
            time.sleep(PAUSE)
            continue
        line = Line(connection, f"The chief ({address})")
        line.send({"who": GREETING, "index": cluster.index, "workers": list(cluster.workers)})
        answer = line.receive(until + seconds, "greeted each other")
        if "error" in answer:
            line.close()
            raise ClusterError(answer["error"])
        return line
