"""A line of JSON for every request, and for what the server itself has to say."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import orjson

ACCESS = logging.getLogger("keras_rnnkit.access")


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        fields = getattr(record, "fields", None)
        line |= fields if fields is not None else {"message": record.getMessage()}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def set_up(access: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("keras_rnnkit", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    ACCESS.disabled = not access


def access(scope, status: int, began: float, request_id: str, **fields: Any) -> None:
    if ACCESS.disabled or not ACCESS.isEnabledFor(logging.INFO):
        return
    client = scope.get("client") or ("", 0)
    line = {
        "request": request_id,
        "client": client[0],
        "method": scope.get("method", scope["type"]),
        "path": scope["path"][:500],
        "status": status,
        "ms": round(1e3 * (time.perf_counter() - began), 3),
        **fields,
    }
    ACCESS.info("", extra={"fields": line})
