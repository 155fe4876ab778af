"""Large JSON, read and written by a process of its own.

Reading or writing 12 MB of JSON takes a second in which no other thread of Python runs, and a small request can unpack
to a large object. So a process beside the server changes JSON to the form with bytes behind it, and back; what the
server itself handles is then small JSON and large bytes, which cost it next to nothing.

Both sides send frames: what to do or what became of it (a letter), whether it was the last one, the length of the JSON,
the length of everything, and the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import orjson

from keras_rnnkit.serving.errors import ServingError, busy, too_large
from keras_rnnkit.serving.http import wire_format
from keras_rnnkit.serving.models.workers import NICER

FRAME = struct.Struct(">c?QQ")
REQUEST, MESSAGE, ANSWER, REPLY = b"r", b"m", b"a", b"w"
"""A request to `infer` and its answer; a message of a WebSocket and its reply."""
DONE, FAILED = b"d", b"f"
STAYS_BINARY = "stays_binary"
"""In an answer on its way to the process: the names of outputs that the client wants as bytes."""
COMMAND = ("-m", "keras_rnnkit.serving.http.transcoder")
MAX_WAITING = 64
MAX_MEMORY = 4 * 2**30
"""Bytes of address space: the process ends with an error long before the machine runs out of memory."""
WORN = 512 * 2**20
"""Bytes of memory after whose use the process makes way for a new one: Python seldom gives memory back."""


class Transcoder:
    """The server's side. The process starts when it is first needed, and again when it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="transcoder")
        self.waiting = 0

    async def run(self, work: bytes, body: bytes | bytearray | memoryview, length: int) -> tuple[bytes, int]:
        """The body in its other form, and the length of the JSON in it."""
        if self.waiting >= MAX_WAITING:
            raise busy("transcoder", "Too many large JSON requests wait. Send tensors as bytes, or try again later.")
        self.waiting += 1
        try:
            loop = asyncio.get_running_loop()
            status, result, length = await loop.run_in_executor(self.thread, self.exchange, work, body, length)
        finally:
            self.waiting -= 1
        if status == FAILED:
            code, reason, sentence = orjson.loads(result)
            raise ServingError(code, reason, sentence)
        return result, length

    def exchange(self, work: bytes, body: Any, length: int) -> tuple[bytes, bytes, int]:
        if self.process is None or self.process.poll() is not None:
            self.process = started()
        try:
            send(self.process.stdin, work, body, length)  # type: ignore[arg-type]
            status, last, result, length = receive(self.process.stdout)  # type: ignore[arg-type]
        except (OSError, EOFError):
            self.end()
            raise too_large("The JSON of the request takes too much memory. Send tensors as bytes.") from None
        if last:
            self.end()
        return status, result, length

    def end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]

    def close(self) -> None:
        self.thread.shutdown(wait=False, cancel_futures=True)
        self.end()


def started() -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, *COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICER)  # small requests go first
    return process


def send(pipe: IO[bytes], kind: bytes, body: Any, length: int, last: bool = False) -> None:
    pipe.write(FRAME.pack(kind, last, length, len(body)))
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[bytes, bool, bytes, int]:
    head = pipe.read(FRAME.size)
    if len(head) < FRAME.size:
        raise EOFError
    kind, last, length, size = FRAME.unpack(head)
    body = pipe.read(size)
    if len(body) < size:
        raise EOFError
    return kind, last, body, length


# ---------------------------------------------------------------------- the process


def transcoded(work: bytes, body: bytes, length: int) -> tuple[bytes, int]:
    view = memoryview(body)
    if work == REQUEST:
        return with_bytes(orjson_object(view[:length]), view[length:])
    if work == MESSAGE:
        message = orjson_object(view)
        if not isinstance(message.get("inputs"), dict):
            return with_bytes({**message, "inputs": []}, memoryview(b""))
        arrays = {name: wire_format.untyped(name, value) for name, value in message["inputs"].items()}
        message.pop("inputs")
        return wire_format.encoded(
            message, arrays, dict.fromkeys(arrays, wire_format.Wanted(binary=True)), key="inputs"
        )
    arrays, head = tensors_of(view, length)
    if work == REPLY:
        text = wire_format.json_bytes({"outputs": arrays})
        return text, len(text)
    binary = head.pop(STAYS_BINARY)
    return wire_format.encoded(head, arrays, {name: wire_format.Wanted(binary=name in binary) for name in arrays})


def orjson_object(text: memoryview) -> dict[str, Any]:
    return wire_format.parsed(text, None)[0]


def with_bytes(request: dict[str, Any], rest: memoryview) -> tuple[bytes, int]:
    """A request whose tensors are bytes behind it."""
    arrays = wire_format.inputs(request, rest)
    request.pop("inputs")
    return wire_format.encoded(request, arrays, dict.fromkeys(arrays, wire_format.Wanted(binary=True)), key="inputs")


def tensors_of(view: memoryview, length: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs of an answer by name, and the rest of its JSON."""
    head = orjson.loads(view[:length])
    arrays = wire_format.inputs({"inputs": head.pop("outputs")}, view[length:])
    return arrays, head


def main() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the server, which then closes the pipe
    limit_memory()
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            work, _, body, length = receive(source)
        except EOFError:
            return
        try:
            result, length = transcoded(work, body, length)
            kind = DONE
        except ServingError as error:
            kind, result, length = FAILED, orjson.dumps([error.status, error.reason, error.sentence]), 0
        except MemoryError:
            sentence = "The JSON of the request takes too much memory. Send tensors as bytes."
            kind, result, length = FAILED, orjson.dumps([413, "too_large", sentence]), 0
        worn = peak_memory() > WORN
        send(target, kind, result, length, last=worn)
        if worn:
            return


def limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def peak_memory() -> int:
    """Bytes that this process took at the most; 0 where the system does not tell. What `resource` tells would include
    those of the process that started this one."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/self/status", encoding="utf-8") as file:
        return 1024 * int(next(line for line in file if line.startswith("VmHWM")).split()[1])
    return 0


if __name__ == "__main__":
    main()
