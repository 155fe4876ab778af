"""The description of the interface: everything is there, and the requests to copy work."""

import json
import subprocess
import sys

import pytest

from keras_rnnkit.serving.http.openapi import paths


@pytest.fixture(scope="module")
def snippets(tab):
    """For each operation its code in each language."""
    tab.emulate(1280, "light")
    tab.open("/docs")
    tab.wait("document.querySelectorAll('.operation').length > 12")
    tab.value("document.querySelectorAll('.operation').forEach((operation) => (operation.open = true))")
    tab.wait("[...document.querySelectorAll('.operation')].every((operation) => operation.querySelector('.body'))")
    return tab.value(
        "Object.fromEntries([...document.querySelectorAll('.operation')].map((operation) => ["
        "  operation.querySelector('.method').textContent + ' ' + operation.querySelector('summary code').textContent,"
        "  Object.fromEntries([...operation.querySelectorAll('[role=tab]')].map((tab) => {"
        "    tab.click(); return [tab.textContent, operation.querySelector('[role=tabpanel] pre').textContent]; }))]))"
    )


def test_every_operation_is_described_in_its_group(snippets, tab):
    expected = {
        f"{'WS' if operation.get('x-websocket') else method.upper()} {path}"
        for path, methods in paths().items()
        for method, operation in methods.items()
    }
    assert set(snippets) == expected
    assert {"GET /metrics", "WS /v2/models/{model}/stream"} <= expected
    groups = tab.value("[...document.querySelectorAll('#contents a')].map((link) => link.textContent)")
    assert groups == tab.value("[...document.querySelectorAll('.operations h3')].map((heading) => heading.textContent)")
    assert len(groups) >= 5


def test_the_commands_work(snippets):
    for name, languages in snippets.items():
        if not name.startswith("WS"):
            command = languages["curl"].replace("curl ", "curl -s --fail-with-body ", 1)
            ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
            assert ended.returncode == 0, (name, command, ended.stdout)


def test_the_python_works(snippets):
    """In one process, as its start takes longer than all requests."""
    codes = [languages["Python"] for languages in snippets.values()]
    program = "import json, sys\nfor code in json.load(sys.stdin):\n    exec(code, {})\n    print('-----')"
    ended = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(codes), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    answers = ended.stdout.split("-----\n")
    assert len(answers) == len(codes) + 1
    for name, answer in zip(snippets, answers, strict=False):
        assert answer.strip() and "'error'" not in answer and '"error"' not in answer, (name, answer)


def test_the_javascript_works(snippets, tab):
    for name, languages in snippets.items():
        if name.startswith("WS"):
            continue
        logged = tab.driver.execute_async_script(
            "const done = arguments[1]; const lines = []; const console = {log: (line) => lines.push(line)};"
            "const run = Object.getPrototypeOf(async () => {}).constructor;"
            "new run('console', arguments[0])(console).then(() => done(lines), (error) => done(String(error)));",
            languages["JavaScript"],
        )
        assert isinstance(logged, list) and logged and "error" not in json.dumps(logged[0])[:20], (name, logged)


def test_a_stream_in_javascript(snippets, tab):
    code = snippets["WS /v2/models/{model}/stream"]["JavaScript"]
    answer = tab.driver.execute_async_script(
        "const done = arguments[1]; const lines = [];"
        "const console = {log: (line) => lines.push(line) === 2 && done(lines)};"
        "eval(arguments[0])",
        code,
    )
    assert answer[0]["model"] == "tides" and "forecast" in answer[1]["outputs"]
