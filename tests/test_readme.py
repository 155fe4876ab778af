"""README keeps the order in which a newcomer reads, its two commands, and a line for every layer and cell.

That its examples run and its links lead somewhere is in test_docs.py.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

HEADINGS = ["Why", "From model.fit to curl", "Two commands", "Use it if", "Do not use it if", "Install what you need"]


def commands():
    return re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_it_has_two_commands_that_set_themselves_up():
    assert len(commands()) == 2
    assert all(command.startswith("python3 -m venv .venv && ") and command.count("\n") == 1 for command in commands())


def test_the_first_command_installs_all_that_the_demo_and_the_server_need():
    assert "'.[train,export,serve,plot]'" in commands()[0] and commands()[0].endswith(".venv/bin/rnnkit demo\n")
    assert "python -m pytest" in commands()[1]  # .ci/run looks for this line


def test_it_says_first_what_it_is_then_why_then_how():
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert headings[: len(HEADINGS)] == HEADINGS
    introduction = README.partition("## ")[0].strip().split("\n\n")
    title, sentence, picture = introduction
    assert title == "# keras-rnnkit" and sentence.count(".") == 1 and picture.startswith("![")


def test_the_way_from_fit_to_curl_has_ten_lines():
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    assert "model.fit(" in example and "rk.export_bundle(" in example


def test_it_names_every_cell_and_layer():
    import keras_rnnkit as rk

    bases = {"Cell", "GatedCell", "WrapperCell", "adopt"}
    missing = [name for name in set(rk.cells.__all__) - bases if f"`{name}" not in README]
    missing += [name for name in rk.__all__ if name not in rk._MODULES and f"rk.{name}" not in README]
    assert not missing
