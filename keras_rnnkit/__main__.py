"""The door of the `rnnkit` command, which opens with the core alone installed."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from keras_rnnkit.cli import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich"):
            raise
        sys.exit(f"rnnkit needs {error.name}, which is not installed: pip install 'keras-rnnkit[train]'")
    app()


if __name__ == "__main__":
    main()
