"""A character model, from text to text: what `rnnkit demo` runs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.text import Text

import keras_rnnkit as rk
from keras_rnnkit.data.embedded import python_topics
from keras_rnnkit.demo.settings import Settings, SettingsError
from keras_rnnkit.training.callbacks import CharacterProgress, TimeLimit

LAYERS = {"lstm": rk.LSTM, "gru": rk.GRU, "vanilla": rk.VanillaRNN}


@dataclass(frozen=True)
class Result:
    bits: float
    """Bits per character on text the model was not trained on."""
    text: str
    path: Path


def run(settings: Settings) -> Result:
    console = Console(highlight=False)
    text = python_topics()
    alphabet = Alphabet.of(text)
    start = alphabet.encode(settings.start)
    training, held_out = split(alphabet.encode(text), settings.held_out)
    console.print(f"text      {len(text):,} characters of Python's own documentation, {alphabet.size} different")

    keras.utils.set_random_seed(settings.seed)
    model = build(settings, alphabet.size)
    console.print(f"model     {described(model, settings)}")
    train(model, training, settings, console)
    bits = evaluate(model, held_out)
    console.print(f"held out  {bits:.2f} bits per character\n")

    written = alphabet.decode(generate(model, start, settings))
    console.print(Text.assemble((settings.start, "bold"), written, "\n"), soft_wrap=True)
    path = save(model, alphabet, settings.out)
    console.print(f"saved     {path}")
    return Result(bits, settings.start + written, path)


# ---------------------------------------------------------------------- data


@dataclass(frozen=True)
class Alphabet:
    """The characters of a text, each with its place as a code.

    >>> alphabet = Alphabet.of("banana")
    >>> alphabet.encode("nab"), alphabet.decode([2, 0, 1])
    (array([2, 0, 1], dtype=int32), 'nab')
    >>> alphabet.encode("band")
    Traceback (most recent call last):
    ...
    keras_rnnkit.settings.SettingsError: The text 'band' has characters the model never sees: 'd'. It sees: abn
    """

    characters: str

    @classmethod
    def of(cls, text: str) -> Alphabet:
        return cls("".join(sorted(set(text))))

    @property
    def size(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        unknown = sorted(set(text) - set(self.characters))
        if unknown:
            raise SettingsError(
                f"The text {text!r} has characters the model never sees: {', '.join(map(repr, unknown))}. "
                f"It sees: {self.characters.strip()}"
            )
        codes = {character: code for code, character in enumerate(self.characters)}
        return np.array([codes[character] for character in text], "int32")

    def decode(self, codes) -> str:
        return "".join(self.characters[code] for code in codes)


def split(codes: np.ndarray, held_out: float) -> tuple[np.ndarray, np.ndarray]:
    cut = round(len(codes) * (1 - held_out))
    return codes[:cut], codes[cut:]


def batches(codes: np.ndarray, settings: Settings) -> tf.data.Dataset:
    """Without end: windows [B, T] from random places, and the characters that follow theirs [B, T]."""
    places = tf.data.Dataset.random(seed=settings.seed).map(lambda n: n % (len(codes) - settings.window))
    steps = tf.range(settings.window + 1, dtype="int64")
    windows = places.batch(settings.batch).map(lambda place: tf.gather(codes, place[:, None] + steps))
    return windows.map(lambda window: (window[:, :-1], window[:, 1:])).prefetch(2)


# ---------------------------------------------------------------------- model


def build(settings: Settings, size: int) -> keras.Model:
    """Characters [B, T] to the logits of the next ones [B, T, size]."""
    layer = LAYERS[settings.cell](settings.units)
    stack = rk.Stack(layer, settings.layers, return_sequences=True, return_state=True, name="stack")
    characters = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(size, settings.embedding, name="embedding")(characters)
    x, *_ = stack(x)
    return keras.Model(characters, keras.layers.Dense(size, name="logits")(x))


def with_states(model: keras.Model) -> keras.Model:
    """The same layers as a model that takes the states of the stack and hands on the new ones."""
    embedding, stack, logits = (model.get_layer(name) for name in ("embedding", "stack", "logits"))
    characters = keras.Input((None,), dtype="int32")
    before = [keras.Input((size,)) for size in stack.state_size]
    x, *after = stack(embedding(characters), initial_state=before)
    return keras.Model([characters, *before], [logits(x[:, -1]), *after])


def described(model: keras.Model, settings: Settings) -> str:
    row = rk.explain(model, print_fn=None)[0]
    name = f"{settings.layers} x {LAYERS[settings.cell].__name__}({settings.units})"
    return f"{name}, {model.count_params():,} weights, kernel {row.kernel}"


# ---------------------------------------------------------------------- training


def train(model: keras.Model, codes: np.ndarray, settings: Settings, console: Console) -> None:
    warmup = max(1, settings.steps // 20)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10,
        decay_steps=max(1, settings.steps - warmup),
        warmup_target=settings.learning_rate,
        warmup_steps=warmup,
    )
    model.compile(
        keras.optimizers.Adam(rate, global_clipnorm=settings.clip_norm),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile="auto",
    )
    callbacks = [CharacterProgress(settings.steps, settings.batch * settings.window, console)]
    if settings.seconds:
        callbacks.append(TimeLimit(settings.seconds))
    model.fit(batches(codes, settings), steps_per_epoch=settings.steps, callbacks=callbacks, shuffle=False, verbose=0)


def evaluate(model: keras.Model, codes: np.ndarray, window: int = 256) -> float:
    """Bits per character. Each window starts from empty states, so the figure errs on the high side."""
    count = (len(codes) - 1) // window
    x, y = (codes[first : first + count * window].reshape(count, window) for first in (0, 1))
    return model.evaluate(x, y, verbose=0) / math.log(2)


# ---------------------------------------------------------------------- text


def generate(model: keras.Model, start: np.ndarray, settings: Settings) -> list[int]:
    """The codes that follow `start`, one step of the model for each: the states carry what came before."""
    stepper = with_states(model)
    stepper.compile(jit_compile=False)  # two shapes are run, and compiling them takes longer than they do
    random = np.random.default_rng(settings.seed)
    states = [np.zeros((1, *state.shape[1:]), "float32") for state in stepper.inputs[1:]]
    codes, read = [], start
    for _ in range(settings.length):
        logits, *states = stepper.predict_on_batch([read[None], *states])
        codes.append(drawn(logits[0], settings.temperature, random))
        read = np.array(codes[-1:], "int32")
    return codes


def drawn(logits: np.ndarray, temperature: float, random: np.random.Generator) -> int:
    """A code with probability softmax(logits / temperature): the largest with Gumbel noise added."""
    return int(np.argmax(logits / temperature + random.gumbel(size=logits.shape)))


def save(model: keras.Model, alphabet: Alphabet, out: Path) -> Path:
    """Writes beside the final name and renames, so that no reader sees half a file."""
    out.mkdir(parents=True, exist_ok=True)
    path, unfinished = out / "model.keras", out / "model.unfinished.keras"
    model.save(unfinished)
    (out / "vocabulary.json").write_text(json.dumps(list(alphabet.characters)), encoding="utf-8")
    return unfinished.replace(path)
