"""README and the guides: their examples run, their commands exist, their pictures are there, and no name is missing.

A page's `python` blocks are run in order, in one namespace and in an empty folder. A `text` block behind one is what it
prints; `...` in it stands for anything. A block with a title that begins with "Needs", such as

    ```python title="Needs a running server"

is shown with that title and is not run here; its syntax and the names of keras_rnnkit in it are checked.
In `sh`, `console`, `shell` and `bash` blocks, and in `code` of the text, each rnnkit command, pipeline, extra and
address of the server must exist, and each option must be one of its command.
"""

import ast
import contextlib
import doctest
import functools
import importlib
import importlib.util
import io
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import pytest
import typer

import keras_rnnkit as rk
from keras_rnnkit.cli import app

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", *(str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").rglob("*.md")))]
MODULES = ["cells", "data", "decoding", "kernels", "runtime", "seq2seq", "text", "training", "serving"]
SHELLS = ("sh", "console", "shell", "bash")
UNMARKED = {
    "docs/serving.md": ("", "Needs a running server"),
    "docs/language_models.md": ("", "Needs a model and data"),
    "docs/sequences.md": ('load("exported/', "Needs the bundle of a pipeline"),
}
"""Pages with blocks that have no title yet: what such blocks contain, and what they need."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; needs: what it needs to run, "" for a block that runs here."""

    line: int
    language: str
    needs: str
    code: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    fences = re.finditer(r"^( *)```(\w+)([^\n]*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [as_block(page, text, fence) for fence in fences]


def as_block(page: str, text: str, fence: re.Match) -> Block:
    title = re.search(r'title="(Needs [^"]*)"', fence[3])
    content, need = UNMARKED.get(page, ("", ""))
    needs = title[1] if title else need if content in fence[4] else ""
    return Block(text.count("\n", 0, fence.start()) + 1, fence[2], needs, fence[4])


def with_blocks(*languages: str) -> list[str]:
    return [page for page in PAGES if any(block.language in languages for block in blocks(page))]


# ---------------------------------------------------------------------- Python


@pytest.mark.parametrize("page", with_blocks("python"))
def test_examples_run_and_print_what_the_page_says(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.utils.clear_session(free_memory=False)  # layers without a name are numbered
    keras.utils.set_random_seed(1)
    namespace, printed = {"__name__": "example"}, None
    for block in blocks(page):
        if block.language == "python" and not block.needs:
            printed = run(block, page, namespace)
        elif block.language == "text" and printed is not None:
            check_output(block, page, printed)
            printed = None
        elif block.language == "python":
            printed = None


def run(block: Block, page: str, namespace: dict) -> str:
    """What a block prints; errors point to the line of the page."""
    code = compile("\n" * block.line + block.code, str(ROOT / page), "exec")
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, namespace)
    return output.getvalue()


def check_output(block: Block, page: str, printed: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    checker = doctest.OutputChecker()
    if not checker.check_output(block.code, printed, flags):
        example = doctest.Example("", block.code)
        pytest.fail(f"{page}:{block.line}\n{checker.output_difference(example, printed, flags)}", pytrace=False)


@pytest.mark.parametrize("page", with_blocks("python"))
def test_the_names_in_examples_exist(page):
    for block in blocks(page):
        if block.language == "python":
            missing = [name for name in names_of_ours(ast.parse(block.code)) if not resolves(name)]
            assert not missing, f"{page}:{block.line}: {missing}"


def test_a_wrong_example_would_be_seen():
    block = Block(1, "text", "", "1 ...\n")
    check_output(block, "page", "1 and more\n")
    with pytest.raises(pytest.fail.Exception, match="Expected"):
        check_output(block, "page", "2 and more\n")
    tree = ast.parse("rk.cells.LSTMCell(rk.cells.LSTMCel, rk.Vocabulary)")
    assert {name for name in names_of_ours(tree) if not resolves(name)} == {"rk.cells.LSTMCel", "rk.Vocabulary"}


def names_of_ours(tree: ast.AST) -> Iterator[str]:
    """The dotted names that begin with `rk.`, such as rk.cells.LSTMCell."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            if re.fullmatch(r"rk(\.\w+)+", name):
                yield name


def resolves(name: str) -> bool:
    value = rk
    for part in name.split(".")[1:]:
        if not hasattr(value, part):
            return False
        value = getattr(value, part)
    return True


# ---------------------------------------------------------------------- commands


@functools.cache
def commands() -> dict[str, set[str]]:
    """The options of each rnnkit command, by its name, such as `train words`."""

    def options(command) -> set[str]:
        return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}

    def walk(group, prefix: str) -> Iterator[tuple[str, set[str]]]:
        for name in group.list_commands(None):
            command = group.get_command(None, name)
            yield f"{prefix}{name}", options(command) | {"--help", "-h"}
            if hasattr(command, "list_commands"):
                yield from walk(command, f"{prefix}{name} ")

    root = typer.main.get_command(app)
    return {"": options(root) | {"--help", "-h"}, **dict(walk(root, ""))}


def shell_lines(block: Block) -> Iterator[str]:
    """The commands of a block, without prompts, comments and output."""
    text = block.code.replace("\\\n", " ")
    prompts = block.language == "console" and re.search(r"^\$ ", text, re.MULTILINE)
    for line in text.splitlines():
        if prompts and not line.startswith("$ "):
            continue
        for command in re.split(r"&&|\|\||[|;]", line.removeprefix("$ ")):
            yield command.strip()


def inline_commands(page: str) -> Iterator[str]:
    text = re.sub(r"^( *)```.*?^\1```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`((?:rnnkit|python pipelines/|pip install|curl)[^`]*)`", text):
        yield " ".join(code.split())


def problem_of(line: str) -> str | None:
    """What is wrong with a command, None for one that exists."""
    words = shlex.split(line, comments=True)
    while words and "=" in words[0]:
        words = words[1:]  # a variable of the environment
    if not words:
        return None
    program = Path(words[0]).name
    if program == "rnnkit":
        return problem_of_rnnkit(words[1:])
    if program.startswith("python") and len(words) > 1 and words[1].startswith("pipelines/"):
        return problem_of_rnnkit(["train", Path(words[1]).stem, *words[2:]])
    if "pip" in words[:3] and "install" in words:
        return problem_of_install(" ".join(words))
    return problem_of_address(" ".join(words)) if program == "curl" else None


def problem_of_rnnkit(words: list[str]) -> str | None:
    """Words in capitals, such as NAME, stand for what the reader puts there."""
    if "--" in words:  # rnnkit launch ... -- another command
        place = words.index("--")
        return problem_of_rnnkit(words[:place]) or problem_of(shlex.join(words[place + 1 :]))
    name, rest = "", words
    groups = {"", *(name.partition(" ")[0] for name in commands() if " " in name)}
    while name in groups and rest and rest[0].islower() and not rest[0].startswith("-"):
        name, rest = f"{name} {rest[0]}".strip(), rest[1:]
    return unknown_options(rest, commands()[name]) if name in commands() else f"there is no command {name}"


def unknown_options(words: list[str], options: set[str]) -> str | None:
    unknown = [w for w in words if re.match(r"--?[a-z]", w) and w.partition("=")[0] not in options]
    return f"it has no option {unknown[0]}" if unknown else None


def problem_of_install(line: str) -> str | None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {extra for group in re.findall(r"(?:keras-rnnkit|\.)\[([^\]]*)\]", line) for extra in group.split(",")}
    missing = asked - set(project["optional-dependencies"])
    return f"there is no extra {', '.join(missing)}" if missing else None


def problem_of_address(line: str) -> str | None:
    from starlette.routing import compile_path

    from keras_rnnkit.serving.http.routes import routes

    address = re.search(r"(?:127\.0\.0\.1|localhost):\d+(/[^\s'\"?]*)", line)
    patterns = [compile_path(route.path)[0] for route in routes(None)]
    if address and not any(pattern.match(address[1]) for pattern in patterns):
        return f"the server has no address {address[1]}"
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_their_options_exist(page):
    lines = [line for block in blocks(page) if block.language in SHELLS for line in shell_lines(block)]
    problems = {line: problem_of(line) for line in [*lines, *inline_commands(page)]}
    assert not {line: problem for line, problem in problems.items() if problem}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rnnkit serv exported/", "there is no command serv"),
        ("rnnkit serve exported/ --portt 1", "it has no option --portt"),
        ("rnnkit bench export --jso x", "it has no option --jso"),
        ("rnnkit train words --epoch 3", "it has no option --epoch"),
        ("rnnkit train wordz", "there is no command train wordz"),
        ("rnnkit launch --workers 2 -- rnnkit train words --epoch 3", "it has no option --epoch"),
        ("rnnkit launch --worker 2 -- rnnkit train words --epochs 3", "it has no option --worker"),
        ("python pipelines/words.py --epoch 3", "it has no option --epoch"),
        ("pip install 'keras-rnnkit[trian]'", "there is no extra trian"),
        ("curl localhost:8000/v2/models/words/generat -d '{}'", "the server has no address /v2/models/words/generat"),
        ("CUDA_VISIBLE_DEVICES= .venv/bin/rnnkit demo --seconds 3", None),
    ],
)
def test_a_wrong_command_would_be_seen(line, problem):
    assert problem_of(line) == problem


# ---------------------------------------------------------------------- names and files


def public_names() -> set[str]:
    """rk.LSTM and rk.cells.LSTMCell as keras_rnnkit.LSTM and keras_rnnkit.cells.LSTMCell."""
    names = {f"keras_rnnkit.{name}" for name in rk._HOMES}
    for module in MODULES:
        exported = importlib.import_module(f"keras_rnnkit.{module}").__all__
        names |= {f"keras_rnnkit.{module}.{name}" for name in exported if name not in rk._MODULES}
    attention = rk.attention
    names |= {f"{attention.__name__}.{name}" for name in ("Attention", "Additive", "Dot", "General")}
    return names


def documented_names() -> list[str]:
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)


def object_of(name: str):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_the_reference_has_every_public_name():
    documented = documented_names()
    assert len(documented) == len(set(documented))
    objects = [object_of(name) for name in documented]
    missing = {name for name in public_names() - set(documented) if not any(object_of(name) is o for o in objects)}
    assert not missing


def test_every_page_is_in_the_navigation():
    """Pages of docs/benchmarks may be linked from the page on measuring instead."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r"[\w/]+\.md$", navigation, re.MULTILINE))
    measuring = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((benchmarks/[\w/]+\.md)", measuring))
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert named <= pages and pages <= named | linked


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_to_files(page):
    text = re.sub(r"<!--.*?-->", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)\s#]+)", text), *re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert not [target for target in local if not ((ROOT / page).parent / target).exists()]


# ---------------------------------------------------------------------- pictures


@functools.cache
def drawing():
    spec = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "pictures" / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_diagram_is_what_its_script_draws():
    assert (ROOT / "docs" / "pictures" / "road.svg").read_text(encoding="utf-8") == drawing().road()


def test_the_chart_of_training_is_that_of_the_published_results():
    results = json.loads((ROOT / "docs" / "benchmarks" / "train.json").read_text(encoding="utf-8"))
    chart = (ROOT / "docs" / "pictures" / "training_speed.svg").read_text(encoding="utf-8")
    assert chart == drawing().training(results) and chart.count('class="ours"') == 11


def test_the_chart_shows_every_row_of_a_measurement():
    from keras_rnnkit.bench.export import Row
    from keras_rnnkit.timing import Times

    fast, slow = Times(0.2, 0.1, 0.3), Times(2.0, 1.9, 2.2)
    rows = [("LSTM", fast, fast), ("slower than stock", fast, slow), ("GRU", slow, fast), ("refused", None, fast)]
    measured = [Row(model, stock, ours, 0.0, 0.0, 1, 1, 0.1).to_dict() for model, stock, ours in rows]
    settings = {"batch": 1, "steps": 100, "units": 64}
    content = {"machine": "a machine, tensorflow 2", "settings": settings, "rows": measured}
    chart = drawing().speed(json.loads(json.dumps(content)))
    assert all(f">{label}<" in chart for label in ("LSTM", "slower than stock", "GRU", "refused", "fails"))
    assert all(f">{label}<" in chart for label in ("0.2 ms, 1.00x", "2 ms, 0.10x", "0.2 ms, 10.0x", "0.2 ms"))
