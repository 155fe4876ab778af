"""What Keras computes with the models that pipelines export, kept beside the runs, to compare it with the bundles.

The inputs are not those on which the export itself compares them.
"""

import contextlib
from pathlib import Path

import keras
import numpy as np

import keras_rnnkit as rk
from keras_rnnkit.runtime.generation import without_unknown

STEPS = 6
FIRST = 1
"""A stream is pushed so many steps, and then the others."""
BEST = ("scores", "lengths", "attention")
"""What is compared of the best translations, beside their tokens."""


@contextlib.contextmanager
def recorded():
    """Inside, what Keras computes with every model that is exported is kept in a file beside the folder of its run."""
    export = rk.export_bundle

    def recording(model, folder, **settings):
        report = export(model, folder, **settings)
        keep = translations if isinstance(model, rk.Seq2Seq) else sequences
        np.savez(record_of(folder), **keep(model, rk.runtime.load(folder), settings))
        return report

    rk.export_bundle = recording
    try:
        yield
    finally:
        rk.export_bundle = export


def record_of(bundle) -> Path:
    """The file with what Keras computes of a bundle."""
    return Path(bundle).parent.parent / f"{Path(bundle).name}.npz"


def joined(**groups):
    """Arrays by "group/name"."""
    return {f"{group}/{name}": np.asarray(x) for group, arrays in groups.items() for name, x in arrays.items()}


def group(arrays, name):
    """The arrays of a group by name."""
    return {key.split("/")[1]: arrays[key] for key in arrays if key.startswith(f"{name}/")}


# ---------------------------------------------------------------------- in Keras


def sequences(model, bundle, settings):
    """Inputs and outputs of a model of sequences; and the score of the likeliest tokens, where it generates."""
    inputs = inputs_of(model, settings.get("calibration"))
    outputs = called(model, inputs)
    outputs = outputs if isinstance(outputs, dict) else {bundle.sequence.outputs[0]: outputs}
    if "generate" not in bundle.manifest["graphs"]:
        return joined(inputs=inputs, outputs=outputs)
    written = generated(bundle, inputs)
    tokens = next(iter(inputs))
    whole = np.concatenate([inputs[tokens], written["tokens"]], 1)
    (logits,) = keras.tree.flatten(called(model, inputs | {tokens: whole}))
    before = inputs[tokens].shape[1] - 1
    log_p = logits[:, before:-1] - np.log(np.exp(logits[:, before:-1]).sum(-1, keepdims=True))
    gains = np.take_along_axis(log_p, written["tokens"][..., None], -1)[..., 0]
    live = np.arange(gains.shape[1]) < written["lengths"][:, None]
    return joined(inputs=inputs, outputs=outputs, generate=written | {"scores": (gains * live).sum(1)})


def inputs_of(model, calibration):
    """Inputs by name: some of the pipeline's own, or made-up ones."""
    from keras_rnnkit.export.checking.trials.calibration import batches
    from keras_rnnkit.export.reading.input_values import Limits
    from keras_rnnkit.export.reading.signature import signature_of

    signature, rng, limits = signature_of(model), np.random.default_rng(7), Limits(model)
    arrays = [limits.array(rng, spec, 3, 5) for spec in signature.inputs]
    if calibration is not None:
        arrays = [x[-3:] for x in batches(signature, calibration)[-1]]
    return {spec.name: x for spec, x in zip(signature.inputs, arrays, strict=True)}


def called(model, inputs):
    """The output of a model, or its outputs by name."""
    feeds = list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values()))
    return keras.tree.map_structure(np.asarray, model(inputs if isinstance(model.input, dict) else feeds))


def translations(model, bundle, settings):
    """What the encoder computes of sources, a step of the decoder, and the translations."""
    spec = bundle.manifest["translation"]
    rng, calibration = np.random.default_rng(7), settings.get("calibration")
    sources = rng.integers(4, spec["source_tokens"], (3, 5)) if calibration is None else calibration[-3:]
    sources = sources.astype("int32" if calibration is None else "float32")
    memory, states = model.reading(sources)
    token = rng.integers(0, spec["tokens"], 3).astype("int32")
    logits, after, attention = model.decoder.step(token, states, memory)
    encoder = {**memory.arrays, **{f"state_{i}": state for i, state in enumerate(states)}}
    step = {"logits": logits, **{f"next_state_{i}": state for i, state in enumerate(after)}}
    step |= {} if attention is None else {"attention": attention}
    strategy = without_unknown(settings["strategy"], settings["vocabulary"][1], allow_unknown=False)
    written = model.translate(sources, strategy, STEPS)
    best = {name: getattr(written, name)[:, 0] for name in ("tokens", *BEST)}
    return joined(inputs={"source": sources, "token": token}, encoder=encoder, step=step, translate=best)


# ---------------------------------------------------------------------- through onnxruntime


def differences(bundle) -> dict[str, float]:
    """For each graph of a bundle, the largest difference from Keras in proportion to the size of the numbers."""
    with np.load(record_of(bundle)) as record:
        arrays = dict(record)
    bundle = rk.runtime.load(bundle)
    pairs = (translated if "translation" in bundle.manifest else run)(bundle, arrays, group(arrays, "inputs"))
    assert set(pairs) == set(bundle.manifest["graphs"])
    return {
        mode: max(difference(actual[name], x) for name, x in expected.items())
        for mode, (actual, expected) in pairs.items()
    }


def difference(actual, expected) -> float:
    """The largest difference, in proportion to numbers above 1."""
    assert np.shape(actual) == np.shape(expected)
    return float(np.max(np.abs(actual - expected.astype(np.float64)) / np.maximum(1.0, np.abs(expected)), initial=0.0))


def run(bundle, arrays, inputs):
    """(what is computed, what Keras computes) by the mode of the graph."""
    outputs = group(arrays, "outputs")
    pairs = {"sequence": (by_name(bundle.predict(inputs), outputs), outputs)}
    if "stream" in bundle.manifest["graphs"]:
        pairs["stream"] = by_name(streamed(bundle, inputs), outputs), outputs
    if "generate" in bundle.manifest["graphs"]:
        pairs["generate"] = generated(bundle, inputs), group(arrays, "generate")
    return pairs


def by_name(outputs, like):
    return outputs if isinstance(outputs, dict) else dict.fromkeys(like, outputs)


def streamed(bundle, inputs):
    axes = bundle.manifest["graphs"]["stream"]["inputs"]
    fixed = {name: x for name, x in inputs.items() if not str(axes[name][1]).endswith("time")}
    stream = bundle.stream(len(next(iter(inputs.values()))), **fixed)
    steps = {name: x for name, x in inputs.items() if name not in fixed}
    chunks = [
        by_name(stream.push({name: x[:, part] for name, x in steps.items()}), bundle.sequence.outputs)
        for part in (slice(FIRST), slice(FIRST, None))
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks], 1) for name in chunks[0]}


def generated(bundle, inputs):
    """The likeliest tokens after a prompt, with their scores."""
    tokens, *others = inputs
    fixed = {name: inputs[name] for name in others}
    written = bundle.generate(inputs[tokens], STEPS, top_k=1, **fixed)
    return {"tokens": written.tokens, "scores": written.scores, "lengths": written.lengths}


def translated(bundle, arrays, inputs):
    """(what is computed, what Keras computes) by the mode of the graph."""
    encoder = bundle.graph("encoder").run_arrays({"source": inputs["source"]})
    wanted = {"token": inputs["token"], **group(arrays, "encoder")}
    step = bundle.graph("step").run({name: wanted[name] for name in bundle.graph("step").shapes})
    written = bundle.graph("generate").run({"source": inputs["source"], "steps": STEPS})
    best = {"tokens": written["generated"][:, 0], **{name: written[name][:, 0] for name in BEST}}
    return {
        "encoder": (encoder, group(arrays, "encoder")),
        "step": (step, group(arrays, "step")),
        "generate": (best, group(arrays, "translate")),
    }
