"""Tokens from a graph's loop against tokens from Keras' own."""

from __future__ import annotations

from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from keras import tree
from onnx import ModelProto

from keras_rnnkit.decoding import Sampling, Strategy, generate, noise, read_prompts
from keras_rnnkit.export.checking.comparison import session
from keras_rnnkit.export.checking.probes import Limits
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.generation import Decoding
from keras_rnnkit.export.reading.layer_hooks import LayerHooks
from keras_rnnkit.export.reading.model_calls import ModelCall
from keras_rnnkit.export.reading.signature import Spec
from keras_rnnkit.ops import keras as kops

STEPS = 6
PROMPTS = ((2, 3), (1, 1), (3, 5))
"""Rows and steps of the prompts tried."""
LENGTHS = (None, None, (2, 5, 3))
"""Lengths of the prompts tried, None where all rows have the same."""
NUMBERS = (0.9, 5, 0.9)
"""Temperature, top-k and top-p tried."""
SCORE_TOLERANCE = 1e-4


def tokens_and_scores(model_call: ModelCall) -> bool:
    """Whether the model gives probabilities; ExportError if it does not map tokens to scores of the next one."""
    inputs, tokens = model_call.signature.inputs, model_call.signature.tokens()
    if tokens is None:
        known = ", ".join(f"{spec.name!r} {spec.dtype}{list(spec.shape)}" for spec in inputs)
        raise refused(f"it takes {known}, and not one input of tokens, integers [batch, time]")
    timed = [spec.name for spec in inputs if spec is not tokens and len(spec.shape) > 1 and spec.shape[1] is None]
    if timed:
        raise refused(f"its input {timed[0]!r} has steps too, and nothing tells what it is for tokens still to come")
    prompt = prompts(model_call)[0]
    outputs = tree.flatten(run(model_call, prompt, started(model_call, PROMPTS[0][0]))[0])
    if len(outputs) != 1 or len(outputs[0].shape) not in (2, 3):
        shapes = ", ".join(str(list(y.shape)) for y in outputs)
        raise refused(f"its outputs are {shapes}, not scores [batch, time, tokens] or [batch, tokens]")
    y = np.asarray(outputs[0], "float64")
    return bool(np.all(y >= 0) and np.allclose(y.sum(-1), 1, atol=1e-3))


def refused(why: str) -> ExportError:
    return ExportError(f"The model cannot generate: {why}.")


def prompts(model_call: ModelCall) -> list[dict[str, np.ndarray]]:
    """What the model takes, by name."""
    rng, limits, tokens = np.random.default_rng(0), Limits(model_call.model), model_call.signature.tokens()
    most = max(limits.tokens, 2)
    return [
        {
            spec.name: rng.integers(1, most, size=(rows, steps)).astype(spec.dtype)
            if spec is tokens
            else limits.array(rng, spec, rows, 1)
            for spec in model_call.signature.inputs
        }
        for rows, steps in PROMPTS
    ]


def started(model_call: ModelCall, rows: int) -> list[Any]:
    return [np.repeat(state.start[None], rows, axis=0) for state in model_call.states]


def run(model_call: ModelCall, inputs: dict[str, Any], states: list[Any]):
    with tf.device("/CPU:0"):
        arrays = [keras.ops.convert_to_tensor(inputs[spec.name]) for spec in model_call.signature.inputs]
        return model_call.run(arrays, states, LayerHooks({}))


def in_keras(
    model_call: ModelCall, how: Decoding, strategy: Strategy, prompt: dict[str, np.ndarray], lengths, drawn
) -> list[np.ndarray]:
    """What Keras generates, one call of the model a token; each row goes on from its own prompt."""
    tokens = cast(Spec, model_call.signature.tokens())

    def scores(inputs, states):
        outputs, states = run(model_call, inputs, states)
        (y,) = tree.flatten(outputs)
        y = y[:, -1] if len(y.shape) == 3 else y
        return (keras.ops.log(keras.ops.maximum(y, 1e-30)) if how.probabilities else y), states

    def step(token, states):
        return scores({**every, tokens.name: keras.ops.cast(token[:, None], tokens.dtype)}, states)

    every = {name: np.repeat(x, strategy.rows, axis=0) for name, x in prompt.items()}

    def read(chunk, states_and_fixed):
        fixed = dict(zip(fixed_names, states_and_fixed[count:], strict=True))
        logits, states = scores({**fixed, tokens.name: chunk}, states_and_fixed[:count])
        return logits, [*states, *states_and_fixed[count:]]

    fixed_names, count = [name for name in prompt if name != tokens.name], len(model_call.states)
    start = [*started(model_call, len(prompt[tokens.name])), *(prompt[name] for name in fixed_names)]
    start = [keras.ops.convert_to_tensor(array) for array in start]
    chunk = keras.ops.convert_to_tensor(prompt[tokens.name])
    logits, states = read_prompts(kops, read, chunk, start, lengths)
    states = states[:count]
    drawn = None if drawn is None else keras.ops.convert_to_tensor(drawn)
    return [np.asarray(x) for x in generate(kops, step, logits, states, strategy, STEPS, drawn, how.end)]


def verify_generation(model_call: ModelCall, model: ModelProto, how: Decoding) -> float:
    """The largest error of a score; ExportError if a token or a score is another one."""
    runner, errors = session(model), []
    for number, (prompt, (rows, _), lengths) in enumerate(zip(prompts(model_call), PROMPTS, LENGTHS, strict=True)):
        drawn = noise(number, rows, STEPS) if how.strategy.needs_noise else None
        strategy = Sampling(*NUMBERS) if how.named == "sample" else how.strategy
        rest = [np.array(STEPS) if drawn is None else drawn]
        rest += [
            np.array(n, np.float32 if isinstance(n, float) else np.int64) for n in NUMBERS if how.named == "sample"
        ]
        names = [value.name for value in runner.get_inputs() if value.name not in prompt]
        feeds = prompt | dict(zip(names, rest, strict=True))
        if lengths is not None:
            (optional,) = runner.get_overridable_initializers()
            feeds[optional.name] = np.array(lengths)
        found = runner.run(None, feeds)
        errors.append(compared(in_keras(model_call, how, strategy, prompt, lengths, drawn), found))
    return max(errors)


def compared(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest error of a score; other tokens are right only where both are equally likely."""
    tokens, scores, _ = expected
    error = float(np.max(np.abs(scores - found[1])))
    if error > SCORE_TOLERANCE * max(1.0, float(np.max(np.abs(scores)))):
        what = "scores the same tokens otherwise" if np.array_equal(tokens, found[0]) else "generates other tokens"
        raise ExportError(
            f"The graph {what} than Keras: {tokens.tolist()} in Keras with scores {scores.round(4).tolist()}, "
            f"{found[0].tolist()} in the graph with {found[1].round(4).tolist()}. No file was written."
        )
    return error
