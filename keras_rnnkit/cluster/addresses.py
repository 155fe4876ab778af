"""Where the workers of a group listen, and which of them this process is."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass

from keras_rnnkit.cluster.heartbeat import FOLDER

TF_CONFIG = "TF_CONFIG"


class ClusterError(RuntimeError):
    """A group of workers that cannot train together. The message says why, and what to do."""


class DisagreementError(ClusterError):
    """Workers whose code, data or settings differ. Starting them again does not help."""


@dataclass(frozen=True)
class Cluster:
    """The addresses of all workers, and the number of this one. The first worker is the chief.

    Arguments:
        workers: "host:port" of each worker, in the same order on every machine.
        index: the number of this worker, from 0.

    >>> cluster = Cluster(("one:2222", "two:2222"), index=1)
    >>> len(cluster), cluster.is_chief, cluster.tf_config
    (2, False, '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 1}}')
    """

    workers: tuple[str, ...]
    index: int

    def __post_init__(self):
        for address in self.workers:
            check_address(address)
        repeated = next((a for a in self.workers if self.workers.count(a) > 1), None)
        if repeated is not None:
            raise ClusterError(f"Two workers have the address {repeated}. Give each worker a port of its own.")
        if not 0 <= self.index < len(self.workers):
            raise ClusterError(
                f"The index of a worker counts from 0, and there are {len(self.workers)} workers. Received: "
                f"index {self.index}. Give each machine its place in the list of workers."
            )

    def __len__(self) -> int:
        return len(self.workers)

    def __str__(self) -> str:
        return f"worker {self.index} of {','.join(self.workers)}"

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes the files of the training."""
        return self.index == 0

    @property
    def tf_config(self) -> str:
        """The same in the form of TensorFlow's variable TF_CONFIG."""
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": {"type": "worker", "index": self.index}})

    @classmethod
    def from_environment(cls, workers: str | None = None, index: int | None = None) -> Cluster:
        """The cluster of "host:port,host:port" and an index, or else that of TF_CONFIG.

        >>> Cluster.from_environment("localhost:2222", index=0).workers
        ('localhost:2222',)
        """
        text = os.environ.get(TF_CONFIG)
        if workers is not None:
            if index is None:
                raise ClusterError("--workers needs --index, the place of this machine in the list, from 0.")
            cluster = cls(tuple(address.strip() for address in workers.split(",")), index)
            if text and (other := from_tf_config(text)) != cluster:
                raise ClusterError(
                    f"--workers and --index make this process {cluster}, and TF_CONFIG makes it {other}. Under rnnkit "
                    "launch leave out --workers; elsewhere unset TF_CONFIG."
                )
            return cluster
        if index is not None:
            raise ClusterError("--index needs --workers, the addresses of all workers.")
        if not text:
            raise ClusterError(
                "Training on workers needs their addresses. Start the command with rnnkit launch, give it "
                "--workers host:port,host:port --index I, or set TF_CONFIG."
            )
        return from_tf_config(text)


def from_tf_config(text: str) -> Cluster:
    """The cluster that TF_CONFIG describes. A task of the type "chief" is the first worker."""
    try:
        config = json.loads(text)
        jobs, task = config["cluster"], config["task"]
        kind, index = task.get("type", "worker"), int(task.get("index", 0))
        chiefs, workers = list(jobs.get("chief", [])), list(jobs.get("worker", []))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterError(
            f"TF_CONFIG cannot be read ({error!r}). It must look like "
            '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": "worker", "index": 0}}.'
        ) from None
    if kind not in ("chief", "worker"):
        raise ClusterError(f"TF_CONFIG makes this process a {kind!r}. Only a chief and workers train together.")
    if kind == "chief" and not 0 <= index < len(chiefs):
        raise ClusterError(f"TF_CONFIG makes this process chief {index}, and its cluster has {len(chiefs)} of them.")
    return Cluster((*chiefs, *workers), index + (len(chiefs) if kind == "worker" else 0))


def launched_workers() -> int:
    """The number of workers that `rnnkit launch` has started, with this process as one of them; 0 without it."""
    text = os.environ.get(TF_CONFIG)
    return len(from_tf_config(text)) if FOLDER in os.environ and text else 0


def check_address(address: str) -> None:
    """Refuse what is not host:port."""
    host, colon, port = str(address).rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ClusterError(f"The address of a worker must be host:port, such as 10.0.0.7:2222. Received: {address!r}.")


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of an address; the host without the brackets of IPv6."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def local_cluster(count: int) -> tuple[str, ...]:
    """Addresses on this machine for so many workers."""
    return tuple(f"127.0.0.1:{port}" for port in free_ports(count))
