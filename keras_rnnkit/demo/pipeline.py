"""What `rnnkit demo` runs: the shortest pipeline, from a text to the text that onnxruntime writes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

import keras_rnnkit as rk
from keras_rnnkit.data.embedded import python_topics
from keras_rnnkit.demo.settings import Settings, SettingsError
from keras_rnnkit.ops import numpy as numpy_ops
from keras_rnnkit.stages import stages
from keras_rnnkit.training.callbacks import CharacterProgress, TimeLimit

LAYERS = {"lstm": rk.LSTM, "gru": rk.GRU, "vanilla": rk.VanillaRNN}


@dataclass(frozen=True)
class Result:
    """What a run leaves.

    Arguments:
        bits: bits per character on text that the model was not trained on.
        text: the prompt and what onnxruntime wrote after it.
        same: how many of its first characters Keras wrote too.
        folder: the bundle.
    """

    bits: float
    text: str
    same: int
    folder: Path


def run(settings: Settings) -> Result:
    """text -> model -> train -> judge -> export -> write the same text from Keras and from onnxruntime"""
    console = Console(highlight=False)
    vocabulary, training, held_out = read(settings, console)
    model = build(settings, len(vocabulary))
    console.print(f"model      {model_in_words(model, settings)}")
    train(model, training, settings, console)
    bits = evaluate(model, held_out)
    console.print(f"held out   {bits:.2f} bits per character")
    report = export(model, vocabulary, settings)
    bundle = rk.runtime.load(settings.out)
    text, same = write_text(model, bundle, vocabulary, settings, console)
    show_files(report, model, vocabulary, settings, console)
    show_next_commands(settings, console)
    return Result(bits, text, same, Path(report.path))


# ---------------------------------------------------------------------- data


def read(settings: Settings, console: Console) -> tuple[rk.text.Vocabulary, np.ndarray, np.ndarray]:
    """The vocabulary, and the text as numbers: the part to train on, and the part held out at its end."""
    text = python_topics()
    vocabulary = rk.text.Vocabulary.of(text)
    unknown = sorted(set(settings.start) - set(vocabulary.tokens))
    if unknown:
        raise SettingsError(
            f"start must consist of characters of the text. Received: {settings.start!r}, in which "
            f"{', '.join(map(repr, unknown))} do not occur."
        )
    console.print(f"text       {len(text):,} characters of Python's own documentation, {len(vocabulary)} different")
    numbers = vocabulary.encode(text)
    cut = round(len(numbers) * (1 - settings.held_out))
    return vocabulary, numbers[:cut], numbers[cut:]


# ---------------------------------------------------------------------- model


def build(settings: Settings, size: int) -> keras.Model:
    """Characters [B, T] to the logits of the next ones [B, T, size]."""
    stack = rk.Stack(
        LAYERS[settings.cell](settings.units), settings.layers, return_sequences=True, return_state=True, name="stack"
    )
    characters = keras.Input((None,), dtype="int32", name="characters")
    x = keras.layers.Embedding(size, settings.embedding, name="embedding")(characters)
    x, *_ = stack(x)
    return keras.Model(characters, keras.layers.Dense(size, name="logits")(x), name="demo")


def with_states(model: keras.Model) -> keras.Model:
    """The same layers as a model that takes the states of the stack and returns the new ones."""
    embedding, stack, logits = (model.get_layer(name) for name in ("embedding", "stack", "logits"))
    characters = keras.Input((None,), dtype="int32")
    states = [keras.Input((size,)) for size in stack.state_size]
    x, *next_states = stack(embedding(characters), initial_state=states)
    return keras.Model([characters, *states], [logits(x[:, -1]), *next_states])


def model_in_words(model: keras.Model, settings: Settings) -> str:
    row = rk.explain(model, print_fn=None)[0]
    name = f"{settings.layers} x {LAYERS[settings.cell].__name__}({settings.units})"
    return f"{name}, {model.count_params():,} weights, kernel {row.kernel}"


# ---------------------------------------------------------------------- training


def train(model: keras.Model, numbers: np.ndarray, settings: Settings, console: Console) -> None:
    """One pass of `settings.steps` batches of random windows, at a rate that rises and then falls."""
    warmup = max(1, settings.steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10,
        decay_steps=max(1, settings.steps - warmup),
        warmup_target=settings.learning_rate,
        warmup_steps=warmup,
    )
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm), rk.training.NextToken())
    model.optimizer.build(model.trainable_variables)  # otherwise TensorFlow traces the first step twice
    windows = rk.data.Windows(numbers, settings.batch, settings.window, "random", settings.seed)
    callbacks = [
        rk.training.FollowEpochs(windows),
        CharacterProgress(settings.steps, settings.batch * settings.window, console),
    ]
    if settings.seconds:
        callbacks.append(TimeLimit(settings.seconds))
    model.fit(windows.dataset().repeat(), steps_per_epoch=settings.steps, callbacks=callbacks, shuffle=False, verbose=0)


def evaluate(model: keras.Model, numbers: np.ndarray) -> float:
    """Bits per character. Each window starts from zero states, so the figure errs on the high side."""
    windows = rk.data.Windows(numbers, 1, min(256, len(numbers) - 1))
    x, y = (np.concatenate(arrays) for arrays in zip(*windows.batches(), strict=True))
    return model.evaluate(x, y, verbose=0) / math.log(2)


# ---------------------------------------------------------------------- export


def export(model: keras.Model, vocabulary: rk.text.Vocabulary, settings: Settings):
    """The bundle: whole sequences, steps and the token loop as ONNX, exact and in 8 bits, and a SavedModel."""
    with stages("exporting") as progress:
        return rk.export_bundle(
            model,
            settings.out,
            modes=["sequence", "stream", "generate"],
            quantize="int8",
            vocabulary=vocabulary,
            progress=progress,
        )


def write_text(model, bundle, vocabulary, settings: Settings, console: Console) -> tuple[str, int]:
    """The same text twice, from Keras and from onnxruntime, with the same noise: the text, and how much is the same."""
    prompt = vocabulary.encode(settings.start)
    by_keras = keras_tokens(with_states(model), prompt, settings)
    by_onnx = bundle.generate(
        settings.start, settings.length, seed=settings.seed, temperature=settings.temperature
    ).tokens[0]
    same = int(np.argmin([*(by_keras == by_onnx), False]))
    text = vocabulary.decode(by_onnx)
    console.print(Text.assemble("\n", (settings.start, "bold"), text, "\n"), soft_wrap=True)
    verdict = "the same text" if same == len(by_onnx) else f"the same text for {same} characters, then another"
    console.print(f"written    by onnxruntime, {len(by_onnx)} characters; Keras writes {verdict}\n")
    return settings.start + text, same


def keras_tokens(stepper: keras.Model, prompt: np.ndarray, settings: Settings) -> np.ndarray:
    """The tokens that follow a prompt, by the token loop of `rk.decoding` around Keras."""

    def step(tokens, states):
        logits, *states = stepper.predict_on_batch([tokens, *states])
        return logits, states

    states = [np.zeros((1, *state.shape[1:]), "float32") for state in stepper.inputs[1:]]
    logits, states = step(prompt[None], states)
    noise = rk.decoding.noise(settings.seed, 1, settings.length)
    strategy = rk.decoding.Sampling(temperature=settings.temperature)
    return rk.decoding.generate(
        numpy_ops, lambda token, states: step(token[:, None], states), logits, states, strategy, settings.length, noise
    ).tokens[0]


# ---------------------------------------------------------------------- what is shown at the end


def show_files(report, model, vocabulary, settings: Settings, console: Console) -> None:
    """A table of the graphs: size, error, and the time of a character by each way to write one."""
    exact, int8 = rk.runtime.load(settings.out), rk.runtime.load(settings.out, quantized="int8")
    stepper, prompt = with_states(model), vocabulary.encode(settings.start)
    sampling = rk.decoding.Sampling(temperature=settings.temperature)
    times = {
        "stream": per_token(settings, lambda: exact.generate(prompt, settings.length, sampling)),
        "generate": per_token(settings, lambda: exact.generate(prompt, settings.length)),
        "stream int8": per_token(settings, lambda: int8.generate(prompt, settings.length, sampling)),
        "generate int8": per_token(settings, lambda: int8.generate(prompt, settings.length)),
    }
    table = Table("file", "size", "error", "ms per character", box=None, pad_edge=False)
    in_keras = per_token(settings, lambda: keras_tokens(stepper, prompt, settings))
    table.add_row("Keras, for comparison", "", "", f"{in_keras:.3f}")
    for reports, suffix in ((report.reports, ""), (report.quantized, " int8")):
        for mode, graph in reports.items():
            error = graph.quantized_error if suffix else graph.error
            milliseconds = times.get(mode + suffix)
            table.add_row(
                Path(graph.path).name,
                f"{graph.size / 1e6:.2f} MB",
                "" if error is None else f"{error:.0e}",
                "" if milliseconds is None else f"{milliseconds:.3f}",
            )
    console.print(table)


def per_token(settings: Settings, write: Callable[[], object], repeats: int = 3) -> float:
    """Milliseconds a token, the best of some runs after one that warms up."""
    write()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        write()
        seconds.append(time.perf_counter() - began)
    return 1e3 * min(seconds) / settings.length


def show_next_commands(settings: Settings, console: Console) -> None:
    folder = settings.out
    console.print(
        "\nNext:\n"
        f"  rnnkit serve {folder.parent}            # a server, and a page to try the model in the browser\n"
        f"  rnnkit inspect {folder}     # what the bundle takes, gives and holds\n"
        "  rnnkit train language_model --data your.txt   # the same on your own text",
        soft_wrap=True,
    )
