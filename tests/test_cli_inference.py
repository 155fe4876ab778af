"""`rnnkit generate` and `rnnkit predict`: bundles run from the shell."""

import json

import keras
import numpy as np
import pytest
from keras import layers as L
from typer.testing import CliRunner

import keras_rnnkit as rk
from keras_rnnkit.cli import app
from tests.export.conftest import randomised

LETTERS = rk.text.Vocabulary("abcde")


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """A bundle that continues texts, and the same without a vocabulary."""
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    y = L.Dense(5)(rk.GRU(6, return_sequences=True)(L.Embedding(5, 3)(tokens)))
    model, folder = randomised(keras.Model(tokens, y)), tmp_path_factory.mktemp("bundles")
    for name, vocabulary in (("text", LETTERS), ("ids", None)):
        modes = ["stream", "generate"]
        rk.export_bundle(model, folder / name, modes=modes, vocabulary=vocabulary, saved_model=False, verify=False)
    return folder


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    model = randomised(keras.Sequential([keras.Input((None, 2), name="x"), rk.GRU(3, return_sequences=True)]))
    folder = tmp_path_factory.mktemp("bundles") / "reader"
    rk.export_bundle(model, folder, modes=["sequence"], saved_model=False, verify=False)
    return model, folder


def rnnkit(*arguments, **keywords):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **keywords)


def test_a_prompt_is_continued_as_the_runtime_does(writer):
    done = rnnkit("generate", writer / "text", "abc", "-n", 8, "--seed", 3, "--temperature", 0.7)
    result = rk.runtime.load(writer / "text").generate("abc", 8, seed=3, temperature=0.7)
    assert done.output == "abc" + LETTERS.decode(result.tokens[0]) + "\n"


def test_standard_input_is_the_prompt_and_samples_differ_by_seed(writer):
    done = rnnkit("generate", writer / "text", "-n", 12, "--samples", 3, "--json", input="ab\n")
    texts = [json.loads(line) for line in done.output.splitlines()]
    assert [text["seed"] for text in texts] == [0, 1, 2] and all(text["prompt"] == "ab" for text in texts)
    assert len({text["text"] for text in texts}) == 3 and all(text["score"] < 0 for text in texts)


@pytest.mark.parametrize("strategy", ["greedy", "beam", "sample"])
def test_another_strategy(writer, strategy):
    done = rnnkit("generate", writer / "text", "abc", "-n", 6, "--strategy", strategy, "--json")
    tokens = json.loads(done.output)["tokens"]
    chosen = {"greedy": rk.decoding.Greedy(), "beam": rk.decoding.Beam(5), "sample": rk.decoding.Sampling()}[strategy]
    result = rk.runtime.load(writer / "text").generate("abc", 6, chosen)
    assert tokens == np.reshape(result.tokens, (-1, result.tokens.shape[-1]))[0].tolist()


def test_token_ids_where_there_is_no_vocabulary(writer):
    done = rnnkit("generate", writer / "ids", "0,1,2", "-n", 4)
    assert done.output.strip() == ",".join(map(str, rk.runtime.load(writer / "ids").generate([0, 1, 2], 4).tokens[0]))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["text", "xyz"], "'x', 'y', 'z'"),
        (["ids", "abc"], "must be token ids, such as 3,1,4. Received: 'abc'"),
        (["text", "a", "--strategy", "best"], "--strategy must be one of exported, sample, greedy, beam"),
        (["text", "a", "--strategy", "beam", "--top-k", "3"], "--top-k is an option of sampling"),
        (["text", "a", "--quantized", "int8"], "has no int8 graphs"),
        (["nothing", "a"], "nothing"),
    ],
)
def test_what_cannot_be_generated_gets_a_sentence(writer, arguments, sentence):
    done = rnnkit("generate", writer / arguments[0], *arguments[1:])
    assert done.exit_code == 2 and sentence in done.output and "Traceback" not in done.output


@pytest.mark.parametrize("kind", ["npy", "npz", "csv"])
def test_predictions_of_a_file_are_those_of_keras(reader, kind, tmp_path):
    model, folder = reader
    x = np.random.default_rng(0).normal(size=(1, 4, 2)).astype("float32")
    file, out = tmp_path / f"x.{kind}", tmp_path / f"y.{kind}"
    if kind == "csv":
        file.write_text("\ufefffirst,second\n" + "\n".join(f"{a},{b}" for a, b in x[0]) + "\n", encoding="utf-8")
    else:
        np.save(file, x) if kind == "npy" else np.savez(file, x=x)
    done = rnnkit("predict", folder, file, "--out", out)
    assert done.exit_code == 0, done.output
    y = np.loadtxt(out, delimiter=",")[None] if kind == "csv" else np.load(out)
    y = next(iter(y.values())) if kind == "npz" else y
    np.testing.assert_allclose(y, model(x), atol=1e-6)
    assert str(list(y.shape))[1:-1] in done.output and len(list(tmp_path.iterdir())) == 2
    assert "[1, 4, 3]" in rnnkit("predict", folder, file).output


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", "1,2\n3\n", "row 2 must have 2 numbers, and is '3'"),
        ("x.csv", "", "it has no row of numbers"),
        ("x.npy", "text", "must be a .npy, .npz or .csv file"),
        ("missing.npy", None, "There is no file"),
        ("x.csv", "1,2,3\n", "2"),
    ],
)
def test_a_file_that_cannot_be_read_gets_a_sentence(reader, name, content, sentence, tmp_path):
    if content is not None:
        (tmp_path / name).write_text(content)
    done = rnnkit("predict", reader[1], tmp_path / name)
    assert done.exit_code == 2 and sentence in done.output and "Traceback" not in done.output


def test_outputs_need_a_name_that_says_their_form(reader, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 2, 2), "float32"))
    done = rnnkit("predict", reader[1], tmp_path / "x.npy", "--out", tmp_path / "y.txt")
    assert done.exit_code == 2 and "--out must end in .npy, .npz or .csv" in done.output
