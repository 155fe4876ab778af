"""What the server counts, for Prometheus and for the protocol's own statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from keras_rnnkit.serving.observability.series import Count, Counts, Distribution, Distributions, Series

SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
INFERENCES = ("/infer", "/stream", "/generate", "/generate_stream")
"""The addresses whose requests the protocol's statistics count."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass
class Tally:
    """Of one model: requests that went well and that did not, runs, and nanoseconds in queues and in runs."""

    success: int = 0
    failed: int = 0
    success_ns: int = 0
    failed_ns: int = 0
    runs: int = 0
    rows: int = 0
    requests_run: int = 0
    queue_ns: int = 0
    compute_ns: int = 0


class Metrics:
    """One set for each application, so that two of them in a process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        r = self.registry
        self.requests = Counts("rnnkit_requests", "Requests answered", ("model", "route", "status"))
        self.seconds = Distributions("rnnkit_request_seconds", "From request to answer", ("model", "route"), SECONDS)
        self.queue = Distributions("rnnkit_queue_seconds", "Waited for the graph", ("model", "graph"), SECONDS)
        self.compute = Distributions("rnnkit_compute_seconds", "A run of a graph", ("model", "graph"), SECONDS)
        self.batch = Distributions("rnnkit_batch_rows", "Rows of a run", ("model", "graph"), SIZES)
        r.register(Series(self.requests, self.seconds, self.queue, self.compute, self.batch))
        self.failures = Counter(
            "rnnkit_failures", "Requests refused or failed", ["model", "route", "reason"], registry=r
        )
        self.sessions = Gauge("rnnkit_sessions", "Sessions that are open", ["model"], registry=r)
        self.sessions_dropped = Counter(
            "rnnkit_sessions_dropped", "Sessions nobody ended", ["model", "reason"], registry=r
        )
        self.first_token = Histogram(
            "rnnkit_first_token_seconds", "From request to first token", ["model"], buckets=SECONDS, registry=r
        )
        self.tokens = Counter("rnnkit_tokens", "Tokens generated", ["model"], registry=r)
        self._graphs: dict[tuple[str, str], tuple[Distribution, Distribution, Distribution, Tally]] = {}
        self._routes: dict[tuple[str, str, int], tuple[Count, Distribution, Tally | None]] = {}

    def of_graph(self, model: str, graph: str) -> tuple[Distribution, Distribution, Distribution, Tally]:
        """The series of a graph, looked up once."""
        if (model, graph) not in self._graphs:
            series = (family.of(model, graph) for family in (self.queue, self.compute, self.batch))
            self._graphs[model, graph] = (*series, self.tallies[model])  # type: ignore[assignment]
        return self._graphs[model, graph]

    def of_route(self, model: str, route: str, status: int) -> tuple[Count, Distribution, Tally | None]:
        """The series of an address and a status, looked up once; a tally where it is one of inferences."""
        key = (model, route, status)
        if key not in self._routes:
            tally = self.tallies[model] if model and route.endswith(INFERENCES) else None
            requests = self.requests.of(model, route, str(status))
            self._routes[key] = requests, self.seconds.of(model, route), tally
        return self._routes[key]

    def ran(self, model: str, graph: str, rows: int, requests: int, waited: list[float], seconds: float) -> None:
        queue, compute, batch, tally = self.of_graph(model, graph)
        for each in waited:
            queue.observe(each)
        compute.observe(seconds)
        batch.observe(rows)
        tally.runs += 1
        tally.rows += rows
        tally.requests_run += requests
        tally.queue_ns += int(1e9 * sum(waited))
        tally.compute_ns += int(1e9 * seconds)

    def answered(self, model: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route`: as the application has it, with {model}, so that series stay few."""
        requests, taken, tally = self.of_route(model, route, status)
        requests.value += 1
        taken.observe(seconds)
        if tally is None:
            return
        if status < 400:
            tally.success += 1
            tally.success_ns += int(1e9 * seconds)
        else:
            tally.failed += 1
            tally.failed_ns += int(1e9 * seconds)

    def failed(self, model: str, route: str, reason: str) -> None:
        self.failures.labels(model, route, reason).inc()

    def dropped(self, model: str, reason: str) -> None:
        self.sessions_dropped.labels(model, reason).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def statistics(self, model: str) -> dict:
        """As the protocol's statistics extension has them."""
        tally = self.tallies[model]

        def span(count: int, ns: int) -> dict[str, int]:
            return {"count": count, "ns": ns}

        zero = span(0, 0)
        return {
            "name": model,
            "version": "1",
            "last_inference": 0,
            "inference_count": tally.rows,
            "execution_count": tally.runs,
            "inference_stats": {
                "success": span(tally.success, tally.success_ns),
                "fail": span(tally.failed, tally.failed_ns),
                "queue": span(tally.requests_run, tally.queue_ns),
                "compute_input": zero,
                "compute_infer": span(tally.requests_run, tally.compute_ns),
                "compute_output": zero,
                "cache_hit": zero,
                "cache_miss": zero,
            },
            "batch_stats": [],
        }


def merged(texts: Mapping[str, bytes]) -> bytes:
    """The metrics of several processes as one text, each series with the label `replica`.

    >>> first, second = b"# TYPE n counter\\nn_total 1.0\\n", b'# TYPE n counter\\nn_total{m="x"} 2.0\\n'
    >>> print(merged({"a": first, "b": second}).decode())
    # TYPE n counter
    n_total{replica="a"} 1.0
    n_total{m="x",replica="b"} 2.0
    <BLANKLINE>
    """
    families: dict[tuple[str, ...], list[str]] = {}
    for replica, text in sorted(texts.items()):
        family: tuple[str, ...] = ()
        fresh = True
        for line in text.decode().splitlines():
            if line.startswith("#"):
                family = (line,) if fresh else (*family, line)
            else:
                families.setdefault(family, []).append(labelled(line, replica))
            fresh = not line.startswith("#")
    return "".join("\n".join((*head, *lines)) + "\n" for head, lines in families.items()).encode()


def labelled(line: str, replica: str) -> str:
    """A sample with one label more."""
    series, value = line.rsplit(" ", 1)
    label = f'replica="{replica}"'
    return f"{series[:-1]},{label}}} {value}" if series.endswith("}") else f"{series}{{{label}}} {value}"
