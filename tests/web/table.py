"""Every model of the tables of the export's tests as a bundle, and what Python computes with it."""

import json
from itertools import product

import keras
import numpy as np

import keras_rnnkit as rk
from tests.export.conftest import randomised
from tests.export.table import CASES, sequential
from tests.export.test_quantize import MODELS
from tests.export.test_stream import STREAMS
from tests.web.cases import LOOPS

L = keras.layers
ROWS, STEPS, TOKENS = 2, 7, 9
WRITERS = {
    "lstm": rk.cells.LSTMCell,
    "gru": rk.cells.GRUCell,
    "vanilla": rk.cells.VanillaCell,
    "qrnn": rk.cells.QRNNCell,
    "ind_rnn": rk.cells.IndRNNCell,
    "mlstm": rk.cells.MLSTMCell,
    "slstm": rk.cells.SLSTMCell,
    "min_gru": rk.cells.MinGRUCell,
}
"""The cells that write tokens, each by the graph with the loop and by loops over its step."""


def models():
    """(name, model, arguments of export_bundle, weights) of every bundle that computes with whole sequences."""
    for name, case in CASES.items():
        yield name, randomised(case.build(), case.spread), case.arguments, None
    for name, streamed in STREAMS.items():
        yield f"stream-{name}", randomised(streamed.build()), {}, None
    for (name, (build, _)), bits in product(MODELS.items(), ("int8", "float16")):
        yield f"{bits}-{name}", randomised(build(), spread=0.15), {"quantize": bits}, bits


def record(folder):
    """Write all bundles and `cases.json` into the folder."""
    cases = {"predict": list(predictions(folder)), "generate": list(generations(folder))}
    (folder / "cases.json").write_text(json.dumps(cases))


def predictions(folder):
    rng = np.random.default_rng(7)
    for number, (name, model, arguments, quantized) in enumerate(models()):
        place = folder / str(number)
        rk.export_bundle(model, place, saved_model=False, verify=False, **arguments)
        bundle = rk.runtime.load(place, quantized=quantized)
        feeds = inputs_of(bundle.sequence, rng)
        case = {"name": name, "bundle": str(number), "quantized": quantized, "inputs": tensors(feeds)}
        yield case | {"outputs": outputs(bundle.predict(feeds)), "stream": streamed(bundle, feeds, rng)}
        keras.backend.clear_session()


def inputs_of(graph, rng):
    """Random values; where a model masks zeros, the last steps of one row are masked."""
    return {name: values(graph, name, rng) for name in graph.inputs}


def values(graph, name, rng):
    shape = [n if isinstance(n, int) else ROWS if axis == 0 else STEPS for axis, n in enumerate(graph.shapes[name])]
    kind = graph.kinds[name]
    if kind == "bool":
        return rng.random(shape) < 0.6
    if "int" in kind:
        x = rng.integers(1, graph.token_counts.get(name, 3), size=shape).astype(kind)
    else:
        x = rng.normal(size=shape).astype(kind)
    if len(shape) > 1 and shape[1] == STEPS:
        x[-1, -2:] = 0
    return x


def streamed(bundle, feeds, rng):
    """What a stream gives for each chunk of random length; None for a model that cannot be run chunk by chunk."""
    if "stream" not in bundle.manifest["graphs"]:
        return None
    graph = bundle.step
    along = [
        name for name in graph.inputs if len(graph.shapes[name]) > 1 and not isinstance(graph.shapes[name][1], int)
    ]
    steps = min(feeds[name].shape[1] for name in along)
    cuts = sorted(rng.choice(np.arange(1, steps), size=rng.integers(1, 4), replace=False).tolist())
    rows = feeds[along[0]].shape[0]
    stream = bundle.stream(rows, **{name: feeds[name] for name in graph.inputs if name not in along})
    answers = []
    for begin, end in zip([0, *cuts], [*cuts, steps], strict=True):
        answers.append(outputs(stream.push({name: feeds[name][:, begin:end] for name in along})))
    whole = bundle.stream(rows, **stream.fixed).push({name: feeds[name][:, :steps] for name in along})
    return {"along": along, "cuts": [0, *cuts, steps], "rows": rows, "answers": answers, "whole": outputs(whole)}


def generations(folder):
    """20 seeds of every strategy by loops over the step, and 20 seeds of the graph that holds the loop."""
    for (name, cell), bits in product(WRITERS.items(), (None, "int8", "float16")):
        place = folder / f"writer-{name}-{bits}"
        rk.export_bundle(
            randomised(writer(cell, 48 if bits else 4), spread=0.3),
            place,
            modes=["stream", "generate"],
            saved_model=False,
            verify=False,
            quantize=bits,
        )
        bundle = rk.runtime.load(place, quantized=bits)
        for seed, (strategy, javascript) in product(range(20), [(None, None), *LOOPS]):
            prompt = [seed % TOKENS, 2]
            generation = bundle.generate(prompt, 8, strategy, seed=seed)
            tokens = np.reshape(generation.tokens, (-1, 8)).tolist()
            yield {"bundle": place.name, "quantized": bits, "seed": seed, "strategy": javascript} | {
                "prompt": prompt,
                "tokens": tokens,
            }
        keras.backend.clear_session()


def writer(cell, units):
    x = L.Embedding(TOKENS, units)
    layers = [rk.Recurrent(cell(units), return_sequences=True) for _ in range(2)]
    return sequential(x, *layers, L.Dense(TOKENS), shape=(None,), dtype="int32")


def tensors(feeds):
    return {name: {"dims": list(x.shape), "data": x.ravel().tolist()} for name, x in feeds.items()}


def outputs(found):
    named = found if isinstance(found, dict) else {"": found}
    return {name: np.asarray(x, "float64").ravel().tolist() for name, x in named.items()}
