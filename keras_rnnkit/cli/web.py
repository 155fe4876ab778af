"""`rnnkit web`: bundles as a page that needs no server of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_rnnkit.cli.refusals import need, refuse


def web(
    folders: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE... OUT", help="Bundles, and last the folder to write.")
    ],
    ort: Annotated[
        Path | None,
        typer.Option(
            help="Copy onnxruntime-web from this folder, such as node_modules/onnxruntime-web. Default: the page "
            "fetches it from a public network, in a fixed version and checked by its hash."
        ),
    ] = None,
    quantized: Annotated[
        str | None, typer.Option(help="Take the graphs with such weights, int8 or float16, where a bundle has them.")
    ] = None,
) -> None:
    """Write a folder with bundles and a page that runs them in the browser, for any web server or file host."""
    need("serve", "onnxruntime")
    from keras_rnnkit.web.errors import SiteError
    from keras_rnnkit.web.onnxruntime import version_note
    from keras_rnnkit.web.site import build

    if len(folders) < 2:
        refuse("rnnkit web takes one bundle or more, and the folder to write. Received: one folder.")
    *bundles, out = folders
    for path in [path for path in bundles if path.is_file()]:  # such as exported/README.md of exported/*
        typer.echo(f"{path} is a file, not a bundle, and was left out.")
        bundles.remove(path)
    if quantized not in (None, "int8", "float16"):
        refuse(f"--quantized is int8 or float16. Received: {quantized}.")
    try:
        site = build(bundles, out, ort, quantized)
    except SiteError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"The page could not be written: {error.strerror} ({error.filename}). Nothing was changed.")
    if ort is not None and (note := version_note(ort)):
        typer.echo(note)
    for name, count in site.sizes.items():
        typer.echo(f"{count / 1e6:8.2f} MB  {name}")
    typer.echo(f"\nSee it:   python -m http.server -d {site.folder}\nthen open http://localhost:8000/")
