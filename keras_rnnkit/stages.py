"""What is seen while a command works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext


@contextmanager
def stages(title: str) -> Iterator[Callable[[str], None]]:
    """Shows the stage of long work and its time beside it; one line a stage where nobody watches."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    )
    with bar if console.is_terminal else nullcontext():
        task = bar.add_task(title)
        yield lambda stage: bar.update(task, description=stage) if console.is_terminal else console.print(stage)
