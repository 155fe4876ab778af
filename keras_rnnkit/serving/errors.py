"""What a request can be refused for, as HTTP says it."""

from __future__ import annotations


class ServingError(Exception):
    """A request that is refused: its status, the reason counted in the metrics, and a sentence for the client."""

    def __init__(self, status: int, reason: str, sentence: str, retry_after: float | None = None):
        super().__init__(sentence)
        self.status, self.reason, self.sentence, self.retry_after = status, reason, sentence, retry_after


def malformed(sentence: str) -> ServingError:
    return ServingError(400, "malformed", sentence)


def unknown(sentence: str) -> ServingError:
    return ServingError(404, "unknown", sentence)


def busy(reason: str, sentence: str, retry_after: float = 1.0) -> ServingError:
    return ServingError(429, reason, sentence, retry_after)


def too_large(sentence: str) -> ServingError:
    return ServingError(413, "too_large", sentence)


def unavailable(sentence: str, retry_after: float = 1.0) -> ServingError:
    return ServingError(503, "unavailable", sentence, retry_after)
