"""`rnnkit bench web`: a step of a stream in a browser beside the same step in Python."""

import json
import re
import shutil
import urllib.request

import pytest
from typer.testing import CliRunner

from keras_rnnkit.bench import web as bench
from keras_rnnkit.bench.settings import WebBench
from keras_rnnkit.cli import app
from tests.serving.page.browser import BROWSER
from tests.serving.page.static_pages import ORT, needs_onnxruntime

SMALL = ("--units", "4", "--features", "2", "--blocks", "2")


def bench_web(*options):
    return CliRunner().invoke(app, ["bench", "web", *SMALL, *map(str, options)])


@needs_onnxruntime
@pytest.mark.skipif(BROWSER is None, reason="install Chromium to measure a step in it: apt-get install chromium")
def test_a_step_in_the_browser_and_in_python():
    done = bench_web("--ort", ORT, "--browser", BROWSER)
    assert done.exit_code == 0, done.output
    assert "A step of GRU(4) with 2 features, the median of 2 blocks:" in done.output
    browser, python = (float(number) for number in re.findall(r"([\d.]+) ms", done.output))
    ratio = float(re.search(r"([\d.]+)\s+browser / Python", done.output).group(1))
    assert 0 < browser < 50 and 0 < python < 50 and ratio > 0


def test_no_browser_is_a_sentence(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = bench_web()
    assert done.exit_code == 1 and "No browser was found to measure in. Name one with --browser" in done.output


def test_a_browser_that_does_not_answer_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "PATIENCE", 0.2)
    with pytest.raises(bench.SiteError, match=r"The browser '.*true' did not answer within 0.2 s"):
        bench.answer_of(shutil.which("true"), tmp_path, tmp_path / "profile", WebBench())


def test_what_the_page_says_of_a_failure_is_a_sentence(monkeypatch, tmp_path):
    """The page sends its error to the server that it came from."""

    class Page:
        def __init__(self, command, **_):
            answer = json.dumps({"error": "the file is missing"}).encode()
            address = command[-1].partition("/bench.html")[0]
            urllib.request.urlopen(urllib.request.Request(f"{address}/result", answer), timeout=10).close()

        def terminate(self):
            pass

        wait = terminate

    monkeypatch.setattr(bench.subprocess, "Popen", Page)
    with pytest.raises(bench.SiteError, match="The page could not measure: the file is missing"):
        bench.answer_of("chromium", tmp_path, tmp_path / "profile", WebBench())
