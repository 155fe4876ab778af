"""Run every pipeline with --smoke, and build one page of all their bundles.

    python docs/gallery.py gallery/ --ort node_modules/onnxruntime-web

A run that is there already is not run again, so the page of your own longer runs is built by the same command:
`python docs/gallery.py gallery/ --runs exported/`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

PIPELINES = sorted(path.stem for path in (Path(__file__).parents[1] / "pipelines").glob("[!_]*.py"))


def smoke_runs(runs: Path) -> list[Path]:
    """The folders of all pipelines' runs; those that have no bundle yet are run first."""
    for name in PIPELINES:
        if not (runs / name / "bundle/manifest.json").is_file():
            began = time.monotonic()
            rnnkit("train", name, "--smoke", "--out", str(runs / name))
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return [runs / name for name in PIPELINES]


def rnnkit(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "keras_rnnkit", *arguments], check=True, stdout=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write the page to")
    parser.add_argument("--runs", type=Path, default=Path("exported/smoke"), help="the folder with the runs")
    parser.add_argument("--ort", type=Path, help="as of `rnnkit web`")
    chosen = parser.parse_args()
    folders = smoke_runs(chosen.runs)
    ort = ["--ort", str(chosen.ort)] if chosen.ort else []
    subprocess.run([sys.executable, "-m", "keras_rnnkit", "web", *map(str, folders), str(chosen.out), *ort], check=True)


if __name__ == "__main__":
    main()
