"""Tokens for clients: a loop over the step graph that takes its turns in the model's batcher.

What many generate at the same time runs as one batch, and what nobody waits for any more stops at the next token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Mapping
from typing import Any

import numpy as np

from keras_rnnkit.decoding import Beam, Generated, Greedy, Sampling, Strategy, noise
from keras_rnnkit.decoding.loop import TokenStep, token_steps
from keras_rnnkit.ops import numpy as ops
from keras_rnnkit.runtime.generation import logits_of, without_unknown
from keras_rnnkit.serving.errors import ServingError, malformed, too_large
from keras_rnnkit.serving.models.served_model import ServedModel
from keras_rnnkit.text import TextError
from keras_rnnkit.text.vocabulary import BEGIN

STEPS = 100
"""Tokens of a generation, where a request says nothing."""
LETTERS = 8
"""Characters of a text for each step that a request may have; a token seldom has more."""
WIDE = 20_000
"""Scores of a step that are turned into a token on the event loop: about a millisecond of sampling."""
NUMBERS = {
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "seed",
    "beam",
    "length_penalty",
    "stop_at_end",
    "allow_unknown",
}


class Generation:
    """One request for text.

    request: {"text_input": "Once", "max_tokens": 100, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 0,
    "beam": 4, "length_penalty": 1.0, "allow_unknown": false}; all but the text may stand in "parameters" too, as
    Triton's clients send them, and "tokens", a list of numbers, in the place of the text.
    """

    def __init__(self, model: ServedModel, request: Mapping[str, Any]):
        if model.step is None:
            raise malformed(f"The model {model.name!r} has no step graph, so it does not generate.")
        self.model, self.graph = model, model.step.graph
        if len(self.graph.inputs) != 1 or self.graph.kinds[self.graph.inputs[0]][:3] != "int":
            raise malformed(f"The model {model.name!r} does not go from tokens to the next token.")
        options = dict(request.get("parameters") or {}) if isinstance(request.get("parameters") or {}, dict) else {}
        options |= {name: request[name] for name in NUMBERS if name in request}
        self.steps = whole(options, "max_tokens", min(STEPS, model.settings.max_tokens), 1)
        if self.steps > model.settings.max_tokens:
            raise too_large(f"max_tokens must be {model.settings.max_tokens} or less. Received: {self.steps}.")
        self.seed = whole(options, "seed", 0, 0)
        self.strategy = without_unknown(strategy_of(options), model.vocabulary, flag(options, "allow_unknown"))
        self.prompt = self.prompt_of(request)
        self.end = model.end

    def prompt_of(self, request: Mapping[str, Any]) -> np.ndarray:
        """The tokens [1, T] to go on from."""
        vocabulary, text, tokens = self.model.vocabulary, request.get("text_input"), request.get("tokens")
        if tokens is not None:
            fits = isinstance(tokens, list) and tokens and all(type(n) is int and abs(n) < 2**31 for n in tokens)
            if not fits:
                raise malformed('"tokens" must be a list of one number or more.')
            prompt = np.array([tokens], self.graph.kinds[self.graph.inputs[0]])
        elif not isinstance(text, str):
            raise malformed('A generation must have "text_input", a text, or "tokens", a list of numbers.')
        elif vocabulary is None:
            raise malformed(f'The model {self.model.name!r} has no vocabulary: send "tokens", a list of numbers.')
        else:
            limit = LETTERS * self.model.settings.max_steps
            if len(text) > limit:
                raise too_large(f"A text may have {limit:,} characters. Received: {len(text):,}.")
            try:
                prompt = vocabulary.encode(text)[None]
            except TextError as error:
                raise malformed(str(error)) from None
            begin = vocabulary.number(BEGIN)
            if begin is not None and (not prompt.size or prompt[0, 0] != begin):
                prompt = np.concatenate([[[begin]], prompt], axis=1)
            if not prompt.size:
                raise malformed("The text is empty. Send one character or more to go on from.")
        return self.model.checked(self.graph, {self.graph.inputs[0]: prompt})[0][self.graph.inputs[0]]

    async def tokens(self) -> AsyncIterator[int]:
        """One after the other, for a strategy that never takes one back."""
        if self.strategy.rows > 1:
            raise malformed("A beam may take back what it gave: use generate, or leave out beam.")
        async for turn in self.walk():
            token = int(turn.carry.token[0])
            if token == self.end:
                return
            yield token

    async def whole(self) -> Generated:
        """All tokens at once."""
        async for turn in self.walk():
            last = turn
        return Generated(*self.strategy.result(ops, last.carry, last.tokens))

    async def walk(self) -> AsyncIterator[TokenStep]:
        """The turns of the loop, with others' requests between two steps."""
        drawn = noise(self.seed, 1, self.steps) if self.strategy.needs_noise else None
        logits, states = await self.scores(self.prompt, list(self.graph.start(1).values()))
        loop = token_steps(ops, logits, states, self.strategy, self.steps, drawn, self.end)
        wide = logits.shape[-1] * self.strategy.rows > WIDE
        turn = await advanced(loop, None, wide)
        yield turn
        while not turn.last:
            scores = await self.scores(turn.carry.token[:, None], turn.states)
            turn = await advanced(loop, scores, wide)
            yield turn

    async def scores(self, tokens: np.ndarray, states: list[np.ndarray]):
        name, batcher = self.graph.inputs[0], self.model.step
        assert batcher is not None
        carried = {pair["input"]: state for pair, state in zip(self.graph.states, states, strict=True)}
        feeds = {name: tokens.astype(self.graph.kinds[name]), **carried}
        results = await batcher.run(feeds, len(tokens), self.model.settings.deadline)
        y = results[self.graph.outputs[0]]
        y = y[:, -1] if y.ndim == 3 else y
        return logits_of(y), [results[pair["output"]] for pair in self.graph.states]

    def text(self, tokens) -> str:
        """What tokens say; their numbers where there is no vocabulary."""
        vocabulary = self.model.vocabulary
        return vocabulary.decode(tokens) if vocabulary is not None else " ".join(str(int(n)) for n in tokens)


async def advanced(loop: Generator[TokenStep, Any, None], scores: Any, wide: bool) -> TokenStep:
    """The next turn of the token loop; on a thread where there is much to sort."""
    return await asyncio.to_thread(loop.send, scores) if wide else loop.send(scores)


async def complete(generation: Generation) -> dict[str, Any]:
    """The answer to `generate`: the best text, and with a beam all of them with their scores."""
    generated = await generation.whole()
    tokens, scores, lengths = (np.atleast_1d(part[0]) for part in generated)
    tokens, rows = np.atleast_2d(tokens), []
    for row, score, length in zip(tokens, np.ravel(scores), np.ravel(lengths), strict=True):
        kept = row[: int(length)]
        kept = kept[:-1] if generation.end is not None and len(kept) and kept[-1] == generation.end else kept
        rows.append({"text": generation.text(kept), "tokens": kept.tolist(), "score": float(score)})
    count = int(np.max(lengths))
    generation.model.metrics.tokens.labels(generation.model.name).inc(count)
    answer = {"model_name": generation.model.name, "model_version": "1", "text_output": rows[0]["text"], **rows[0]}
    answer.pop("text")
    return answer | ({"hypotheses": rows} if len(rows) > 1 else {})


async def pieces(generation: Generation) -> AsyncIterator[dict[str, Any]]:
    """The answers of `generate_stream`, a token each."""
    model, began = generation.model, time.perf_counter()
    lately: list[int] = []
    async for token in generation.tokens():
        if not lately:
            model.metrics.first_token.labels(model.name).observe(time.perf_counter() - began)
        piece = generation.text([*lately, token])[len(generation.text(lately)) :]
        lately = [*lately[-7:], token]
        model.metrics.tokens.labels(model.name).inc()
        yield {"model_name": model.name, "model_version": "1", "text_output": piece, "token": token}
        await asyncio.sleep(0)  # others' turn, and the moment in which a client that has left is noticed


def strategy_of(options: Mapping[str, Any]) -> Strategy:
    beam = whole(options, "beam", 1, 1)
    if beam > 64:
        raise too_large(f"beam must be 64 or less. Received: {beam}.")
    try:
        if beam > 1:
            return Beam(beam, number(options, "length_penalty", 0.0))
        temperature, top_k = number(options, "temperature", 1.0), whole(options, "top_k", 0, 0)
        if temperature == 0 or top_k == 1:
            return Greedy()
        return Sampling(temperature, top_k or None, number(options, "top_p", 1.0))
    except (ValueError, TypeError) as error:
        raise ServingError(400, "malformed", str(error)) from None


def whole(options: Mapping[str, Any], name: str, default: int, least: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
        raise malformed(f"{name} must be a whole number, {least} or more. Received: {str(value)[:40]!r}.")
    return value


def flag(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise malformed(f"{name} must be true or false. Received: {str(value)[:40]!r}.")
    return value


def number(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e6:
        raise malformed(f"{name} must be a number. Received: {str(value)[:40]!r}.")
    return float(value)
