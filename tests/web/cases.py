"""What Python computes, for the JavaScript runtime to compute again."""

import hashlib
import json
from itertools import product

import keras
import numpy as np

import keras_rnnkit as rk
import keras_rnnkit.ops.numpy as ops
from keras_rnnkit.decoding import Beam, Greedy, Sampling, generate, noise
from keras_rnnkit.decoding.errors import DecodingError
from keras_rnnkit.runtime import InputError
from keras_rnnkit.runtime.graph import Graph
from keras_rnnkit.text import Subwords, TextError, Vocabulary, Words
from tests.export.conftest import randomised
from tests.export.table import sequential
from tests.seq2seq.table import model_of

L = keras.layers
RESERVED = ["<pad>", "<unk>", "<bos>", "<eos>"]
LETTERS = Vocabulary.of("to be or not", reserved=RESERVED)
CELLS = (
    *(rk.cells.MinGRUCell, rk.cells.MinLSTMCell, rk.cells.SRUCell, rk.cells.LRUCell),
    *(rk.cells.RGLRUCell, rk.cells.SLSTMCell, rk.cells.PeepholeLSTMCell, rk.cells.LayerNormLSTMCell),
)
STRATEGIES = {"greedy": Greedy, "sampling": Sampling, "beam": Beam}
JAVASCRIPT = {"top_k": "topK", "top_p": "topP", "length_penalty": "lengthPenalty", "early_stopping": "earlyStopping"}


def bundles(folder):
    """Sequences and streams, of cells that onnxruntime has no operator for too; generation, translation."""
    reader = randomised(sequential(rk.GRU(4, return_sequences=True, learn_initial_state=True), L.Dense(2)))
    rk.export_bundle(reader, folder / "reader", saved_model=False)
    tokens = keras.Input((None,), dtype="int32", name="letters")
    y = L.Dense(len(LETTERS))(rk.LSTM(4, return_sequences=True)(L.Embedding(len(LETTERS), 3)(tokens)))
    letters = randomised(keras.Model(tokens, y))
    modes = ["stream", "generate"]
    rk.export_bundle(
        letters, folder / "letters", modes=modes, vocabulary=LETTERS, end=3, saved_model=False, quantize="int8"
    )
    rk.export_bundle(of_cells(), folder / "cells", saved_model=False)
    source, target = (Vocabulary.of(text, reserved=RESERVED) for text in ("abcdefgh", "vwxyz"))
    translator = model_of("general, fed", seed=4, limit=10)
    rk.export_bundle(translator, folder / "translator", vocabulary=(source, target), saved_model=False)
    return {name: folder / name for name in ("reader", "letters", "translator", "cells")}


def of_cells():
    """Cells without an operator of their own, side by side: each shows in the output."""
    x = keras.Input((None, 3), name="x")
    branches = [rk.Recurrent(cell(3), return_sequences=True)(x) for cell in CELLS]
    return randomised(keras.Model(x, L.Dense(2)(L.Concatenate()(branches))))


def strategy_case(kind, **options):
    """A strategy, and its form in JavaScript."""
    return STRATEGIES[kind](**options), {"kind": kind, **{JAVASCRIPT.get(n, n): v for n, v in options.items()}}


LOOPS = [
    strategy_case("greedy"),
    strategy_case("sampling"),
    strategy_case("sampling", temperature=0.4),
    strategy_case("sampling", top_k=3),
    strategy_case("sampling", temperature=2.0, top_p=0.8),
    strategy_case("sampling", top_k=4, top_p=0.5),
    strategy_case("beam", width=3),
    strategy_case("beam", width=4, length_penalty=0.7, early_stopping=True),
]


def loops():
    """Token loops over a table that says which token follows which, more surely with every step.

    Were it the same at each step, the same transitions in another order would be as likely, and rounding would choose.
    """
    for (strategy, javascript), seed in product(LOOPS, range(20)):
        rng = np.random.default_rng(seed)
        follow = (2 * rng.normal(size=(7, 7))).astype("float32")
        first, end, forbidden = [seed % 7, 2], (6 if seed % 2 else None), ([5] if seed % 3 == 0 else [])
        random = noise(seed, 2, 12) if strategy.needs_noise else None
        own = strategy.forbidding(forbidden)
        found = generate(ops, follower(follow), follow[first], [np.ones((2, 1), "float32")], own, 12, random, end)
        rows = [np.reshape(x, (2, -1, *x.shape[x.ndim - rank :])) for x, rank in zip(found, (1, 0, 0), strict=True)]
        tokens, scores, lengths = ([x.tolist() for x in array] for array in rows)
        yield {
            "strategy": javascript,
            "seed": seed,
            "rows": 2,
            "steps": 12,
            "end": end,
            "forbidden": forbidden,
            "follow": follow.tolist(),
            "first": first,
            "tokens": tokens,
            "scores": scores,
            "lengths": lengths,
        }


def follower(follow):
    def step(tokens, states):
        scale = states[0] + np.float32(0.125)
        return follow[tokens] * scale, [scale]

    return step


def generated(bundle):
    """By the graph with the loop, and by loops over the step."""
    end = LETTERS.number("<eos>")
    prompts = ["to be", ["to", "not or"], [5, 6]]
    for prompt, seed in product(prompts, range(5)):
        for options in ({}, {"temperature": 0.7, "top_k": 5}, {"top_p": 0.9}):
            yield generated_case(bundle, prompt, {"steps": 9, "seed": seed, **options}, None, None)
    for seed, (strategy, javascript) in product(range(20), LOOPS):
        yield generated_case(bundle, "to be", {"steps": 9, "seed": seed, "end": end}, strategy, javascript)


def generated_int8(folder):
    bundle = rk.runtime.load(folder, quantized="int8")
    for seed, (strategy, javascript) in product(range(3), LOOPS[:3]):
        yield generated_case(bundle, "to be", {"steps": 9, "seed": seed}, strategy, javascript) | {"quantized": "int8"}


def predicted(folder, x):
    """The outputs for whole sequences, and lengths of chunks that together are as long."""
    rng = np.random.default_rng(4)
    cuts = [sorted(rng.choice(np.arange(1, x.shape[1]), size=rng.integers(0, 5), replace=False)) for _ in range(6)]
    chunks = [np.diff([0, *row, x.shape[1]]).tolist() for row in cuts]
    y = rk.runtime.load(folder).predict(x)
    return {"bundle": folder.name, "quantized": None, "x": x.tolist(), "y": y.tolist(), "chunks": chunks}


def generated_case(bundle, prompt, options, strategy, javascript):
    found = bundle.generate(prompt, strategy=strategy, **options)
    scores = np.reshape(found.scores, (len(found.scores), -1))
    tokens = np.reshape(found.tokens, (*scores.shape, -1))
    return {
        "prompt": prompt,
        "options": options,
        "strategy": javascript,
        "quantized": None,
        "tokens": tokens.tolist(),
        "scores": scores.tolist(),
        "text": bundle.text(found),
    }


def translated(bundle):
    options = [(None, None), strategy_case("greedy"), strategy_case("beam", width=3, length_penalty=0.6)]
    for source, (strategy, javascript), seed in product(["abc", "hgfedcba", [4, 5, 6]], options, range(2)):
        found = bundle.translate(source, 9, strategy, seed=seed, best=10)
        yield {
            "source": source,
            "options": {"steps": 9, "seed": seed},
            "strategy": javascript,
            "translations": [
                {"text": t.text, "score": t.score, "tokens": t.tokens.tolist(), "attention": t.attention.tolist()}
                for t in found
            ],
        }


def vocabularies(folder):
    text = "to be, or not to be:\nthat isn't the question. Über 12 œufs & more"
    units = {
        "char": (LETTERS, ["to be", "not"]),
        "word": (Vocabulary.of(text, Words(), RESERVED), ["to be or", "be, or\nnot the end"]),
        "marks": (Vocabulary.of(text, Words(punctuation=True), RESERVED), [text, "isn't  that\n\n12?"]),
    }
    pieces = Subwords.learned([text, "lower lowest low " * 9], size=300)
    units["subword"] = (Vocabulary.of([text, "lowest"], pieces, RESERVED), [text, "slow  lowest\n\n Œuvre 1234's"])
    for name, (vocabulary, texts) in units.items():
        vocabulary.save(folder / f"{name}.json")
        tokens = [vocabulary.encode(text).tolist() for text in texts]
        yield {
            "file": (folder / f"{name}.json").read_text(),
            "texts": texts,
            "tokens": tokens,
            "decoded": [vocabulary.decode(row) for row in tokens],
        }


def plain(folder):
    Vocabulary.of("to be or not").save(folder / "plain.json")
    return (folder / "plain.json").read_text()


def files(folders):
    for path in (path for folder in folders.values() for path in sorted(folder.glob("*.onnx"))):
        graph = Graph(path)
        yield {
            "path": str(path),
            "facts": graph.facts,
            "inputs": [{"name": n, "type": graph.kinds[n], "shape": graph.shapes[n]} for n in graph.shapes],
            "outputs": graph.results,
            "token_counts": graph.token_counts,
        }


def message_of(function, error):
    try:
        function()
    except error as caught:
        return str(caught)
    raise AssertionError("nothing was refused")


def record(folder):
    """All cases, as JSON can hold them; the bundles are written into the folder."""
    folders = bundles(folder)
    reader, letters, translator, _ = (rk.runtime.load(path) for path in folders.values())
    x = np.random.default_rng(3).normal(size=(2, 6, 3)).round(3).astype("float32")
    wrong = [[[1.0, 2.0]], [[[1, 2]]], [[["a", "b", "c"]]]]
    refused = [{"kind": "sampling", "temperature": 0}, {"kind": "sampling", "topP": 1.5}, {"kind": "beam", "width": 0}]
    python = [lambda: Sampling(temperature=0), lambda: Sampling(top_p=1.5), lambda: Beam(width=0)]
    contents = [b"", b"abc", bytes(range(256)) * 5, b"x" * 55, b"x" * 56, b"x" * 64]
    # "wrong" values of other kinds are described by NumPy in words of its own, so the first two are compared.
    return {
        "bundles": {name: str(path) for name, path in folders.items()},
        "noise": [
            {"seed": s, "rows": 2, "steps": 3, "numbers": noise(s, 2, 3).ravel().tolist()}
            for s in (0, 1, 42, 2**32 + 5, 2**53 - 1)
        ],
        "hashes": [{"hex": content.hex(), "sha256": hashlib.sha256(content).hexdigest()} for content in contents],
        "vocabularies": list(vocabularies(folder)),
        "plain_vocabulary": plain(folder),
        "unknown_token": message_of(lambda: Vocabulary.of("to be or not").encode("to be Q"), TextError),
        "loops": list(loops()),
        "files": list(files(folders)),
        "refusals": [
            {"strategy": strategy, "message": message_of(make, DecodingError)}
            for strategy, make in zip(refused, python, strict=True)
        ],
        "predict": [predicted(folders[name], x) for name in ("reader", "cells")],
        "wrong_inputs": [
            {"value": value, "message": message_of(lambda v=value: reader.predict(np.array(v)), InputError)}
            for value in wrong[:2]
        ],
        "generate": [*generated(letters), *generated_int8(folders["letters"])],
        "translate": list(translated(translator)),
    }


def write(folder):
    path = folder / "cases.json"
    path.write_text(json.dumps(record(folder), allow_nan=False))
    return path
