"""The token loop inside a graph gives what Keras' token loop gives, token for token."""

import itertools
import json

import keras
import numpy as np
import onnx
import pytest

import keras_rnnkit as rk
from keras_rnnkit.decoding import Beam, Greedy, Sampling, Strategy
from keras_rnnkit.export.checking.sessions import session
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating import generation_check as generated
from keras_rnnkit.export.generating import prompt_reader
from tests.covering import studied
from tests.export.conftest import randomised
from tests.export.table import sequential

L = keras.layers
V, END = 12, 3


def language_model(*recurrent, mask_zero=False, activation=None):
    return sequential(
        L.Embedding(V, 5, mask_zero=mask_zero),
        *recurrent,
        L.Dense(V, activation=activation, name="scores"),
        shape=(None,),
        dtype="int32",
    )


def conditioned():
    x, v = keras.Input((None,), dtype="int32", name="words"), keras.Input((4,), name="image")
    cell = rk.cells.ConditionedCell(rk.cells.LSTMCell(6), 4)
    y = rk.Recurrent(cell, return_sequences=True)(L.Embedding(V, 5)(x), condition=v)
    return keras.Model({"words": x, "image": v}, L.Dense(V)(y))


MODELS = {
    "gru": lambda: language_model(rk.GRU(6, return_sequences=True)),
    "two layers": lambda: language_model(L.LSTM(6, return_sequences=True), L.GRU(5, return_sequences=True)),
    "probabilities of the last step": lambda: language_model(rk.VanillaRNN(6), activation="softmax"),
    "masked, learned start": lambda: language_model(
        rk.LSTM(6, return_sequences=True, learn_initial_state=True), mask_zero=True
    ),
    "a cell of ours": lambda: language_model(rk.Recurrent(rk.cells.LayerNormLSTMCell(6), return_sequences=True)),
    "a condition": conditioned,
}


class Rare(Strategy):
    """A user's strategy: the third likeliest token."""

    def pick(self, ops, logits, noise):
        return ops.top_k(logits, 3)[1][:, 2]


STRATEGIES = {
    "greedy": "greedy",
    "sample": "sample",
    "beam": "beam",
    "fixed sampling": Sampling(0.8, top_k=4),
    "penalised beam": Beam(3, length_penalty=0.7),
    "a user's": Rare(),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """written(model, strategy) -> (model, path): each file once. The export itself compares with Keras' loop."""
    folder, known = tmp_path_factory.mktemp("generate"), {}

    def write(model="gru", strategy="greedy"):
        if (model, strategy) not in known:
            built = randomised(MODELS[model](), spread=0.9)
            path = folder / f"{len(known)}.onnx"
            report = rk.export_onnx(built, path, mode="generate", strategy=STRATEGIES[strategy], end=END)
            assert report.error < 1e-4
            known[model, strategy] = built, path
        return known[model, strategy]

    return write


@studied(
    "model, strategy",
    itertools.product(MODELS, ["sample", "beam"]),
    [(name, "beam" if name in ("two layers", "a condition") else "sample") for name in MODELS],
)
def test_models(written, model, strategy):
    written(model, strategy)


@studied("strategy", STRATEGIES, [name for name in STRATEGIES if name != "penalised beam"])
def test_strategies(written, strategy):
    """Against a loop over Keras that shares nothing with the export's own comparison but the strategy."""
    model, path = written("two layers" if strategy == "beam" else "gru", strategy)
    chosen = STRATEGIES[strategy]
    named = {"greedy": Greedy(), "sample": Sampling(0.7, 5, 0.95), "beam": Beam(4)}
    chosen = named[chosen] if isinstance(chosen, str) else chosen
    prompt, steps = np.array([[1, 5, 4]], "int32"), 10
    u = rk.decoding.noise(7, 1, steps)
    feeds = {"x": prompt, "noise": u, "steps": np.array(steps)}
    feeds |= {"temperature": np.float32(0.7), "top_k": np.array(5), "top_p": np.float32(0.95)}
    runner = session(path.read_bytes())
    tokens, scores, lengths = runner.run(None, {i.name: np.asarray(feeds[i.name]) for i in runner.get_inputs()})
    if chosen.rows == 1:
        assert tokens[0].tolist() == grown(model, chosen, prompt[0], u[0])
        assert lengths[0] == len(tokens[0])
    for line, score, length in zip(tokens.reshape(chosen.rows, -1), scores.flat, lengths.flat, strict=True):
        np.testing.assert_allclose(score, score_of(model, prompt[0], line[:length]), atol=1e-4)


def log_p(model, tokens):
    y = keras.ops.convert_to_numpy(model(np.array([tokens], "int32")))[0]
    return y - np.log(np.exp(y).sum(-1, keepdims=True))


def grown(model, strategy, prompt, u):
    """The whole sequence through Keras anew for every token: no states at all."""
    tokens = list(prompt)
    for t in range(len(u)):
        tokens.append(int(strategy.pick(rk.ops.numpy, log_p(model, tokens)[-1:], u[t : t + 1])[0]))
        if tokens[-1] == END:
            break
    return tokens[len(prompt) :]


def score_of(model, prompt, tokens):
    rows = log_p(model, [*prompt, *tokens])[len(prompt) - 1 :]
    return sum(row[token] for row, token in zip(rows, tokens, strict=False))


def test_the_loop_stops_when_all_rows_have_ended(tmp_path):
    model = language_model(rk.GRU(4, return_sequences=True))
    model.layers[-1].set_weights([np.zeros((4, V)), np.where(np.arange(V) == END, 9.0, 0.0)])
    rk.export_onnx(model, tmp_path / "model.onnx", mode="generate", strategy="greedy", end=END, verify=False)
    tokens, _, lengths = session((tmp_path / "model.onnx").read_bytes()).run(
        None, {"x": np.array([[1], [2]], "int32"), "steps": np.array(50)}
    )
    assert tokens.tolist() == [[END], [END]] and lengths.tolist() == [1, 1]


def test_without_an_end_token_all_steps_are_made(tmp_path):
    rk.export_onnx(MODELS["gru"](), tmp_path / "model.onnx", mode="generate", strategy="beam", verify=False)
    tokens, *_ = session((tmp_path / "model.onnx").read_bytes()).run(
        None, {"x": np.array([[1], [2]], "int32"), "steps": np.array(9)}
    )
    assert tokens.shape == (2, 4, 9)


def test_the_file_says_how_it_is_run(written):
    _, path = written("gru", "sample")
    facts = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert facts == {
        "keras_rnnkit.mode": "generate",
        "keras_rnnkit.states": [],
        "keras_rnnkit.tokens": "x",
        "keras_rnnkit.prompt_lengths": "prompt_lengths",
        "keras_rnnkit.strategy": "sample",
        "keras_rnnkit.beams": 1,
        "keras_rnnkit.end": END,
        "keras_rnnkit.forbidden": [],
        "keras_rnnkit.defaults": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    }


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: sequential(rk.GRU(3, return_sequences=True)),
            "cannot generate: it takes 'x' float32.*and not one input of tokens",
        ),
        (lambda: language_model(L.Bidirectional(L.GRU(3, return_sequences=True))), "cannot be streamed"),
        (
            lambda: keras.Model(
                (x := keras.Input((None,), dtype="int32")), L.GRU(3, return_state=True)(L.Embedding(5, 2)(x))
            ),
            "cannot generate: its outputs are",
        ),
    ],
)
def test_models_that_cannot_generate(build, sentence, tmp_path):
    with pytest.raises(ExportError, match=sentence):
        rk.export_onnx(build(), tmp_path / "model.onnx", mode="generate")
    assert not list(tmp_path.iterdir())


def test_an_unknown_strategy(tmp_path):
    with pytest.raises(
        ExportError, match="Received: strategy='nucleus'. Expected one of 'sample', 'greedy', 'beam', or"
    ):
        rk.export_onnx(MODELS["gru"](), tmp_path / "model.onnx", mode="generate", strategy="nucleus")


def test_other_tokens_than_keras_are_an_error(tmp_path, monkeypatch):
    class Odd(Strategy):
        def pick(self, ops, logits, noise):
            return ops.argmax(logits if ops is generated.kops else -logits, axis=-1)

    with pytest.raises(ExportError, match="The graph generates other tokens than Keras"):
        rk.export_onnx(randomised(MODELS["gru"]()), tmp_path / "model.onnx", mode="generate", strategy=Odd())
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "words"
    model = randomised(MODELS["two layers"](), spread=0.9)
    rk.export_bundle(model, folder, modes=["stream", "generate"], end=END, saved_model=False)
    return rk.runtime.load(folder)


def test_a_bundle_generates_by_its_graph_as_by_its_steps(bundle):
    by_graph = bundle.generate([1, 5, 4], steps=12, seed=3, temperature=0.8, top_k=6, top_p=0.9)
    by_steps = bundle.generate([1, 5, 4], steps=12, seed=3, strategy=Sampling(0.8, 6, 0.9), end=END)
    for a, b in zip(by_graph, by_steps, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    streamed = list(bundle.tokens([1, 5, 4], steps=12, seed=3, strategy=Sampling(0.8, 6, 0.9), end=END))
    np.testing.assert_array_equal(np.stack(streamed, 1), by_steps.tokens)


PROMPTS = [[1, 5, 4], [7], [2, 2, 6, 8, 1], [9, 4, 10]]


@pytest.mark.parametrize("strategy", [None, Greedy(), Beam(3), Sampling(0.8, top_k=6)])
def test_each_row_goes_on_from_its_own_prompt(bundle, strategy):
    """Greedy and beams: as if it were alone. Sampling draws by the row, so there the graph and the loop agree."""
    together = bundle.generate(PROMPTS, steps=7, seed=2, strategy=strategy, end=END)
    if strategy is not None and not strategy.needs_noise:
        for row, prompt in enumerate(PROMPTS):
            alone = bundle.generate(prompt, steps=7, strategy=strategy, end=END)
            n = alone.tokens.shape[-1]
            np.testing.assert_array_equal(together.tokens[row, ..., :n], alone.tokens[0])
            np.testing.assert_allclose(together.scores[row], alone.scores[0], atol=1e-4)
    else:
        options = {} if strategy is None else {"temperature": 0.8, "top_k": 6}
        sampling = Sampling(options.get("temperature", 1.0), options.get("top_k"))
        by_graph = bundle.generate(PROMPTS, steps=7, seed=2, **options)
        by_steps = bundle.generate(PROMPTS, steps=7, seed=2, strategy=sampling, end=END)
        for a, b in zip(by_graph, by_steps, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
        streamed = bundle.tokens(PROMPTS, steps=7, seed=2, strategy=sampling, end=END)
        np.testing.assert_array_equal(np.stack(list(streamed), 1), by_steps.tokens)


def test_what_stands_behind_a_prompt_is_never_read(written):
    _, path = written("gru", "greedy")
    graph = rk.runtime.Graph(path)
    lengths, steps = np.array([len(prompt) for prompt in PROMPTS]), np.array(6)
    padded = [np.array([prompt + [filler] * (6 - len(prompt)) for prompt in PROMPTS], "int32") for filler in (0, 11)]
    padded.append(np.where(np.arange(6) < lengths[:, None], padded[0], -999).astype("int32"))
    first, *others = (
        graph.run_checked({"x": tokens, "prompt_lengths": lengths, "steps": steps})["generated"] for tokens in padded
    )
    assert all(np.array_equal(first, other) for other in others)
    alone = graph.run({"x": [PROMPTS[1]], "steps": steps})["generated"][0]
    np.testing.assert_array_equal(first[1, : len(alone)], alone)


@studied("fault", ["one too few", "none", "no stop"], ["one too few", "no stop"])
def test_a_loop_that_reads_too_far_is_caught(fault, tmp_path, monkeypatch):
    """Lengths that are off by one, and rows that do not stop at the end of their prompt."""
    good = prompt_reader.whole_lengths
    model = randomised(MODELS["gru"](), spread=0.9)
    name, wrong = {
        "one too few": ("whole_lengths", lambda *a: good(*a) - (good(*a) > 1)),
        "none": ("whole_lengths", lambda prompts, lengths: good(prompts, lengths * 0)),
        "no stop": ("chosen", lambda rows, a, b: a),
    }[fault]
    monkeypatch.setattr(prompt_reader, name, wrong)
    with pytest.raises(ExportError, match="than Keras|not exact"):
        rk.export_onnx(model, tmp_path / "m.onnx", mode="generate", strategy="greedy")
    assert not list(tmp_path.iterdir())


def test_a_bundle_generates_by_any_strategy(bundle):
    found = bundle.generate([[1, 2], [3, 4]], steps=5, strategy=Beam(3), end=END)
    assert found.tokens.shape[:2] == (2, 3) and (np.diff(found.scores, axis=1) <= 0).all()
    with pytest.raises(rk.runtime.InputError, match="Beam changes tokens it gave before"):
        bundle.tokens([1], strategy=Beam(2))


def test_settings_that_make_no_sense(bundle):
    with pytest.raises(ValueError, match="top_p must be a probability"):
        bundle.generate([1], top_p=7.0)
    with pytest.raises(rk.runtime.InputError, match="one token id or more. Received: the shape"):
        bundle.generate(np.zeros((1, 0), "int32"))
