"""`rnnkit launch`: workers on this machine, watched and restarted."""

from __future__ import annotations

from typing import Annotated

import typer

from keras_rnnkit.cli.refusals import USAGE, refuse
from keras_rnnkit.cluster import ClusterError
from keras_rnnkit.cluster.supervisor import LaunchSettings, Supervisor


def launch(
    command: Annotated[list[str], typer.Argument(help="The command, the same for each worker, after --.")],
    workers: Annotated[
        str, typer.Option(help="How many to start here; or host:port,host:port,... of all, to start that of --index.")
    ],
    index: Annotated[int | None, typer.Option(help="The place of this machine in the list, from 0.")] = None,
    restarts: Annotated[int, typer.Option(help="How often all start again after a failure.")] = 5,
    pause: Annotated[
        float, typer.Option(help="Seconds before the first restart; each next one waits twice as long.")
    ] = 1,
    silence: Annotated[
        float, typer.Option(help="Seconds without a batch after which a worker is taken for stopped; 0 for never.")
    ] = 300,
    grace: Annotated[float, typer.Option(help="Seconds to end after Ctrl-C, before the workers are killed.")] = 20,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in its folder, if there is one.")] = False,
) -> None:
    """Start workers that train one model, and restart all from their newest common checkpoint when one dies."""
    try:
        settings = LaunchSettings(workers, tuple(command), index, restarts, pause, silence, grace, resume)
        code = Supervisor(settings, lambda sentence: typer.echo(sentence, err=True)).run()
    except ClusterError as error:
        refuse(str(error), USAGE)
    raise typer.Exit(code)
