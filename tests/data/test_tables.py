"""Files of columns: what is read, and the sentence and the line of what cannot be."""

import pytest

from keras_rnnkit.data import read_table
from keras_rnnkit.text import TextError


def written(folder, text, name="table.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_quoted_cells_may_have_commas_quotes_and_lines(tmp_path):
    table = read_table(written(tmp_path, 'text,label\n"a, ""b""\nc",good\n\nd,bad\n'), ["label", "text"])
    assert table.columns == {"label": ["good", "bad"], "text": ['a, "b"\nc', "d"]}
    assert table.lines == [2, 5]  # the second row begins after a cell of two lines and an empty line


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.tsv", "a\tb\n1\t2,5\n"),
        ("x.csv", "a;b\n1;2,5\n"),
        ("x.jsonl", '{"a": 1, "b": "2,5"}\n'),
        ("x.csv", '\ufeffa,b\r\n1,"2,5"\r\n'),
    ],
)
def test_tabs_semicolons_json_lines_and_marks_of_windows(tmp_path, name, text):
    assert read_table(written(tmp_path, text, name), ["a", "b"]).columns == {"a": ["1"], "b": ["2,5"]}


def test_characters_that_end_lines_elsewhere_do_not_here(tmp_path):
    table = read_table(written(tmp_path, "a\nx\u2028y\x85z\n"), ["a"])
    assert table.columns == {"a": ["x\u2028y\x85z"]}


def test_json_has_numbers_texts_and_nothing(tmp_path):
    table = read_table(written(tmp_path, '{"a": 1.5}\n\n{"a": null}\n{"a": "é"}\n', "x.jsonl"), ["a"])
    assert table.columns == {"a": ["1.5", "", "é"]} and table.lines == [1, 3, 4]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("x.csv", "a,b\n1,2\n", r"has no column 'c' \(line 2\). Its columns are 'a', 'b'"),
        ("x.csv", "a,c\n1,2\n1\n", "Line 3 of .* has 1 cells, and line 1 has 2 columns: '1'"),
        ("x.csv", "a,c\n1,2,3\n", "Line 2 of .* has 3 cells, .*Quote cells that have a ',' inside"),
        ("x.csv", 'a,c\n1,2\n"1,2\n', "Line 3 of .* cannot be read: .*Close quotes"),
        ("x.csv", "c,c\n1,2\n", "Line 1 of .* names the column 'c' twice"),
        ("x.csv", "a,c\n", "has no row"),
        ("x.csv", "\n", "is empty"),
        ("x.jsonl", '{"c": 1}\n{"c": \n', "Line 2 of .* is no JSON"),
        ("x.jsonl", "[1]\n", "Line 1 of .* is no JSON object"),
        ("x.jsonl", '{"c": 1}\n{"d": 1}\n', r"has no column 'c' \(line 2\)"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(tmp_path, name, text, sentence):
    with pytest.raises(TextError, match=sentence):
        read_table(written(tmp_path, text, name), ["c"])
