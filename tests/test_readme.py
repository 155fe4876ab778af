"""What README and the guides show is what happens."""

import re
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[1]


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/export.md"])
def test_examples_print_what_the_page_says(page, capsys):
    (example,) = blocks(page, "python")
    keras.utils.clear_session(free_memory=False)  # layers without a name are numbered
    exec(compile(example, page, "exec"), {"__name__": "example"})
    assert blocks(page, "text")[-1] == capsys.readouterr().out


def test_readme_has_two_commands_that_set_themselves_up():
    commands = blocks("README.md", "sh")
    assert len(commands) == 2
    assert all(command.startswith("python3 -m venv .venv && ") and command.count("\n") == 1 for command in commands)


def test_readme_names_every_cell_and_layer():
    import keras_rnnkit as rk

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    bases = {"Cell", "GatedCell", "WrapperCell", "adopt"}
    missing = [name for name in set(rk.cells.__all__) - bases if f"`{name}" not in readme]
    missing += [name for name in rk.__all__ if name not in rk._MODULES and f"rk.{name}" not in readme]
    assert not missing
