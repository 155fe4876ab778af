"""The JavaScript of a page has the types that its comments say it has: TypeScript's compiler finds nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from keras_rnnkit.web.site import HERE, KEEPER, PLAYGROUND, copy_page

OPTIONS = (
    *("--noEmit", "--allowJs", "--checkJs", "--strict", "false", "--skipLibCheck"),
    *("--target", "esnext", "--module", "esnext", "--moduleResolution", "bundler"),
    *("--lib", "esnext,dom,dom.iterable,dom.asynciterable"),
)


def compiler() -> str | None:
    """The program tsc, from RNNKIT_TSC, from node_modules beside the package, or from the path."""
    beside = Path(__file__).parents[2] / "node_modules/.bin/tsc"
    return os.environ.get("RNNKIT_TSC") or (str(beside) if beside.exists() else shutil.which("tsc"))


def findings(folder: Path) -> list[str]:
    command = [compiler(), *OPTIONS, *(str(path) for path in sorted(folder.rglob("*.js")))]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return [line for line in run.stdout.splitlines() if line] or ([run.stderr] if run.returncode else [])


@pytest.fixture(params=["page without a server", "playground"])
def scripts(request, tmp_path):
    """The scripts of a page, where their imports find one another."""
    if compiler() is None:
        pytest.skip("run `npm install --no-save typescript`, or set RNNKIT_TSC to its tsc, to check the types")
    if request.param == "playground":
        return shutil.copytree(PLAYGROUND, tmp_path / "playground")
    copy_page(tmp_path)
    shutil.copy(HERE / "page" / KEEPER, tmp_path)
    return tmp_path


def test_every_type_holds(scripts):
    assert findings(scripts) == []


def test_a_wrong_type_is_found(scripts):
    with next(scripts.rglob("run.js")).open("a") as script:
        script.write('\nnew Runner("a problem", 2);\n')
    assert any("run.js" in finding for finding in findings(scripts))
