"""The page of a report, and the words about models that have learned nothing."""

from html.parser import HTMLParser

import pytest

from keras_rnnkit.runs.degenerate import degenerate, repetitive
from keras_rnnkit.runs.page import table_of, width_of, write_page
from keras_rnnkit.runs.reporting import figure_of

RECORD = {
    "begun": "2026-01-01 10:00:00",
    "data": {"description": "20 <words>"},
    "settings": {"units": 8},
    "versions": {"keras": "3.12"},
}


class Links(HTMLParser):
    """Collects what a page would load, and its text."""

    def __init__(self):
        super().__init__()
        self.loaded, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_page_is_one_file_and_loads_nothing(tmp_path):
    (tmp_path / "curves.png").write_bytes(b"picture")
    pictures = [("curves.png", "Loss after each epoch."), ("absent.png", "Not there.")]
    page = write_page(tmp_path, "words", RECORD, {"perplexity": 3.14159}, pictures, ["A <note>."], "a text")
    links = Links()
    links.feed(page.read_text(encoding="utf-8"))
    assert len(links.loaded) == 1 and links.loaded[0].startswith("data:image/png;base64,")
    for words in ("A <note>.", "20 <words>", "3.142", "a text", "Loss after each epoch.", "units", "3.12"):
        assert words in links.text
    assert "Not there." not in links.text and "width=device-width" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["", "", "a"], "2 of 3 captions are empty"),
        (["a b"] * 9 + ["c"], "9 of 10 captions are the same"),
        (["a", "b", "c"], None),
        (["a"], None),
    ],
)
def test_models_that_always_write_the_same_are_told(texts, words):
    sentence = degenerate(texts, "captions")
    assert (sentence is None) if words is None else (words in sentence)


def test_samples_that_are_empty_or_repeat_are_told():
    assert "is empty" in repetitive("  \n ")
    assert "repeats 'the'" in repetitive("the " * 20)
    assert repetitive("the cat sat on the mat and the dog on the log") is None


@pytest.mark.parametrize(("width", "kind"), [(6.6, "picture"), (9, 'picture wide" style="--width: 630px')])
def test_wide_pictures_are_scrolled_on_a_phone_and_narrow_ones_fit(width, kind, tmp_path):
    figure = figure_of(width, 1)
    figure.savefig(tmp_path / "curves.png", dpi=150)
    assert width_of((tmp_path / "curves.png").read_bytes()) == pytest.approx(width, rel=0.01)
    page = write_page(tmp_path, "words", RECORD, {}, [("curves.png", "Loss.")])
    assert f'<div class="{kind}">' in page.read_text()


def test_dicts_of_dicts_are_tables_and_other_values_are_rows():
    text = table_of({"count": 3, "grid": {"<a>": {"x": 1.23456}}, "mixed": {"a": {"x": 1}, "b": 2}})
    assert "<h3>grid</h3><table><tr><th></th><th>x</th></tr><tr><td>&lt;a&gt;</td><td>1.235</td></tr></table>" in text
    assert text.startswith("<table><tr><td>count</td><td>3</td></tr>") and "a: x: 1<br>b: 2" in text
