"""The token loop inside a graph: a prompt goes in, tokens and their scores come out of one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from keras_rnnkit.decoding import Beam, Greedy, Sampling, Strategy
from keras_rnnkit.decoding.loop import widened
from keras_rnnkit.export.checking.file_check import FileCheck, Verified
from keras_rnnkit.export.checking.reference import Reference
from keras_rnnkit.export.checking.trials.tokens import TokenTrials
from keras_rnnkit.export.checking.trials.trial import Trial
from keras_rnnkit.export.errors import ExportError
from keras_rnnkit.export.generating.generation_check import TokenCheck, gives_probabilities
from keras_rnnkit.export.generating.prompt_reader import UNSET, read_prompts
from keras_rnnkit.export.generating.prompt_trial import PromptTrial, made_up_prompts, prompt_trial
from keras_rnnkit.export.generating.token_loop import TokenLoop
from keras_rnnkit.export.graph import Graph
from keras_rnnkit.export.lowering.context import length_of
from keras_rnnkit.export.modes import Streams
from keras_rnnkit.export.reading.model_calls import State
from keras_rnnkit.export.reading.signature import Spec, distinct
from keras_rnnkit.export.writing.emitter import Emitter
from keras_rnnkit.export.writing.finish import check, describe
from keras_rnnkit.export.writing.inlining import Inlined
from keras_rnnkit.export.writing.quantization import quantized
from keras_rnnkit.export.writing.while_loop import length_of_second_axis
from keras_rnnkit.ops import onnx as ops
from keras_rnnkit.ops.onnx import Value

STRATEGIES = {"sample": Sampling, "greedy": Greedy, "beam": Beam}


@dataclass(frozen=True)
class Decoding:
    """How tokens follow from the model. named: the strategy's name where its numbers are inputs of the graph.

    probabilities: whether the model gives probabilities, not logits. end: the token that ends a row, or None.
    """

    strategy: Strategy
    named: str | None
    end: int | None
    probabilities: bool


def decoding(
    strategy: str | Strategy, end: int | None, probabilities: bool, forbidden: tuple[int, ...] = ()
) -> Decoding:
    """How tokens follow. forbidden: tokens that are never picked, besides those that the strategy itself forbids."""
    end = int(end) if isinstance(end, np.integer) else end
    if isinstance(strategy, Strategy):
        return Decoding(strategy.forbidding([*strategy.forbidden, *forbidden]), None, end, probabilities)
    if strategy not in STRATEGIES:
        names = ", ".join(map(repr, STRATEGIES))
        raise ExportError(
            f"Received: strategy={strategy!r}. Expected one of {names}, or a keras_rnnkit.decoding.Strategy."
        )
    return Decoding(STRATEGIES[strategy]().forbidding(forbidden), strategy, end, probabilities)


def check_end(end: Any, tokens: int) -> None:
    if end is not None and (isinstance(end, bool) or not isinstance(end, int | np.integer) or not 0 <= end < tokens):
        raise ExportError(
            f"end is the token at which a row ends, an integer from 0 to {tokens - 1}, or None. Received: end={end!r}."
        )


@dataclass(frozen=True)
class Loop:
    """The graph of a token loop, and where in it the step over the prompt stands.

    outputs: the names of tokens, scores and lengths. inner: the tensors of the step's outputs, by name; prefix: of
    all tensors of that step. lengths: the name of the input for lengths of prompts.
    """

    model: ModelProto
    outputs: list[str]
    inner: dict[str, str]
    prefix: str
    lengths: str


def loop_around(step: Graph, how: Decoding, model: ModelProto) -> Loop:
    """The graph of the whole loop, from the graph of one chunk; `model` is that graph, or one with fewer bits."""
    writer = Writer(replace(step, model=model), how)
    outputs = writer.write()
    whole = writer.model(model, outputs, tokens=writer.tokens.name, prompt_lengths=writer.lengths)
    return Loop(whole, [value.name for value, _ in outputs], writer.inner, writer.prefix, writer.lengths)


class Generations(Streams):
    """A file from a prompt to tokens: the token loop, written around the step that a stream's file has."""

    mode = "generate"

    def trace(self):
        return self.drafts.keep((Streams.mode, "trace"), self.traced)

    def graph(self) -> Graph:
        return self.drafts.keep((self.mode, "graph", self.settings.prefer), self.around)

    def step(self) -> Graph:
        return Streams(self.model, self.settings, self.drafts).graph()

    def around(self) -> Graph:
        """The exact loop, with the rows of the step around which it stands."""
        step = self.step()
        return replace(step, model=self.loop(step.model).model, retrace=False)

    def loop(self, model: ModelProto) -> Loop:
        return loop_around(self.step(), self.decoding(), model)

    def written(self) -> ModelProto:
        if not self.settings.quantize:
            return self.graph().model
        return self.loop(quantized(self.step(), self.settings.quantize)).model

    def decoding(self) -> Decoding:
        return self.drafts.keep((self.mode, "decoding"), self.decided)

    def decided(self) -> Decoding:
        reference = Reference(self.trace().model_call)
        prompts = made_up_prompts(TokenTrials(reference)) if reference.signature.tokens() else []
        probabilities = gives_probabilities(reference, prompts)
        return decoding(self.settings.strategy, self.settings.end, probabilities, self.settings.forbidden)

    # ------------------------------------------------------------------ check

    def verified(self, content: bytes) -> Verified:
        """The step over prompts, then the tokens: weights in fewer bits may choose others than Keras."""
        if not self.settings.verify:
            return Verified()
        loop = self.drafts.keep((self.mode, "loop"), lambda: self.loop(self.step().model))
        verified = FileCheck(content, self.graph(), self.trial(), self.settings.tolerance, f"{loop.prefix}/")()
        prompts = cast(PromptTrial, self.trial()).with_lengths(loop.lengths)
        error, notes = TokenCheck(content, prompts, self.decoding(), loop.outputs, self.settings.tolerance)()
        return replace(verified, error=max(verified.error or 0.0, error), notes=[*verified.notes, *notes])

    def made_up(self, model_call) -> Trial:
        loop = self.drafts.keep((self.mode, "loop"), lambda: self.loop(self.step().model))
        return prompt_trial(model_call, loop.inner)

    def tried(self, trial: Trial) -> Trial:
        return trial


class Surroundings:
    """A graph around a loop.

    inputs: each with the names of its axes; optional: those that have a value if they are left out. taken: names in
    use.
    """

    def __init__(self, how: Decoding, opset: int, taken: set[str]):
        self.how, self.taken = how, taken
        self.root = Emitter(opset, prefix="generate")
        self.inputs: list[tuple[Value, list[Any]]] = []
        self.optional: list[tuple[Value, list[Any]]] = []
        self.defaults: dict[str, Any] = {}

    def settings(self) -> tuple[Strategy, Value | None, Value]:
        """The strategy, its numbers inputs where it was only named; its noise; the greatest number of tokens."""
        strategy = self.how.strategy
        if not strategy.needs_noise:
            return strategy, None, self.own_input("steps", (), "int64", [])
        noise = self.own_input("noise", (None, None), "float32", ["batch", "steps"])
        if self.how.named:
            numbers = {"temperature": ("float32", 1.0), "top_k": ("int64", 0), "top_p": ("float32", 1.0)}
            self.defaults = {name: default for name, (_, default) in numbers.items()}
            strategy = type(strategy)(
                **{name: self.own_input(name, (), kind, []) for name, (kind, _) in numbers.items()}
            ).forbidding(strategy.forbidden)
        return strategy, noise, length_of_second_axis(noise)

    def own_input(self, name: str, shape, dtype, dims: list[Any]) -> Value:
        """An input by which a runner says how tokens are chosen; runners know it by its name."""
        check_free([name], self.taken)
        return self.input(name, shape, dtype, dims)

    def input(self, name: str, shape, dtype, dims: list[Any]) -> Value:
        self.taken.add(name)
        value = Value(self.root, name, shape, dtype)
        self.inputs.append((value, dims))
        return value

    def optional_input(self, name: str, default: np.ndarray, dims: list[Any]) -> Value:
        """An input that may be left out: ONNX takes an initializer of the same name for its default."""
        (name,) = distinct([name], self.taken)
        self.taken.add(name)
        self.root.initializers[name] = numpy_helper.from_array(default, name)
        value = Value(self.root, name, [None] * default.ndim, default.dtype)
        self.optional.append((value, dims))
        return value

    def named(self, value: Value, name: str) -> Value:
        self.taken.add(name)
        if not self.root.rename(value.name, name):
            self.root.nodes.append(helper.make_node("Identity", [value.name], [name]))
        return Value(self.root, name, value.shape, value.dtype)

    def facts(self) -> dict[str, Any]:
        """What a runner must know: how tokens are chosen, and what may be given when nothing was asked for."""
        strategy = self.how.named or type(self.how.strategy).__name__
        return {
            "strategy": strategy,
            "beams": self.how.strategy.rows,
            "end": self.how.end,
            "forbidden": list(self.how.strategy.forbidden),
            "defaults": self.defaults,
        }

    def model(self, like: ModelProto, outputs: list[tuple[Value, list[Any]]], **facts: Any) -> ModelProto:
        """The whole, with what `like` says of its versions; checked."""
        graph = helper.make_graph(
            self.root.nodes,
            "keras_rnnkit",
            [value_info(value, dims) for value, dims in [*self.inputs, *self.optional]],
            [value_info(value, dims) for value, dims in outputs],
            list(self.root.initializers.values()),
        )
        model = ModelProto()
        model.CopyFrom(like)
        del model.metadata_props[:]
        model.graph.CopyFrom(graph)
        describe(model, mode="generate", states=[], **self.facts(), **facts)
        check(model)
        return model


class Writer(Surroundings):
    """Writes the loop of a model that continues a prompt.

    inner: the tensors of the step over the prompt, by the names of its outputs.
    """

    prefix = "step_0"

    def __init__(self, step: Graph, how: Decoding):
        super().__init__(how, step.settings["opset"], {spec.name for spec in step.model_call.signature.inputs})
        check_end(how.end, step.model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)
        self.step = step
        self.inlined_step = Inlined(step.model, self.root)
        signature = step.model_call.signature
        self.tokens = cast(Spec, signature.tokens())
        self.fixed = [spec for spec in signature.inputs if spec is not self.tokens]
        self.inner: dict[str, str] = {}
        self.lengths = ""

    def write(self) -> list[tuple[Value, list[Any]]]:
        prompt = self.input(self.tokens.name, (None, None), self.tokens.dtype, ["batch", "time"])
        fixed = {s.name: self.input(s.name, s.shape, s.dtype, ["batch", *s.shape[1:]]) for s in self.fixed}
        strategy, noise, limit = self.settings()
        states = [self.started(prompt, state) for state in self.step.model_call.states]
        lengths = self.optional_input("prompt_lengths", UNSET, ["batch"])
        self.lengths = lengths.name

        def chunk(graph: Emitter, tokens: Value, states: list[Value]):
            return self.call(graph, tokens, states, fixed)

        logits, states = read_prompts(self.root, chunk, prompt, lengths, states)
        logits, every = widened(ops, strategy, logits, [*states, *fixed.values()])
        states, rest = every[: len(states)], dict(zip(fixed, every[len(states) :], strict=True))

        def step(graph: Emitter, token: Value, states: list[Value]):
            tokens = ops.as_dtype(ops.expand_dims(token, 1), np.dtype(self.tokens.dtype))
            return *self.call(graph, tokens, states, rest), None

        loop = TokenLoop(self.root, strategy, self.how.end, noise, limit)
        carry, tokens, _ = loop.run(step, logits, states)
        results = strategy.result(ops, carry, tokens)
        rows = ["batch"] if strategy.rows == 1 else ["batch", strategy.rows]
        names = ["generated", "scores", "lengths"]
        check_free(names, self.taken)
        dims = [[*rows, "generated_time"], rows, rows]
        return [(self.named(value, name), axes) for value, name, axes in zip(results, names, dims, strict=True)]

    def call(self, graph: Emitter, tokens: Value, states: list[Value], fixed: dict[str, Value]):
        """(logits [R, V] after the last step, next states)."""
        feeds = {self.tokens.name: tokens, **fixed}
        feeds |= {before: state for (before, _), state in zip(self.step.states, states, strict=True)}
        results = self.inlined_step.call(graph, feeds)
        self.inner = self.inner or {name: value.name for name, value in results.items()}
        y = next(iter(results.values()))
        y = y[:, -1] if len(y.shape) == 3 else y
        y = ops.log(ops.maximum(y, 1e-30)) if self.how.probabilities else y
        return y, [results[after] for _, after in self.step.states]

    def started(self, prompt: Value, state: State) -> Value:
        """The state with which every row begins."""
        tail = np.array(state.start.shape, np.int64)
        shape = ops.concatenate([length_of(prompt, 0), tail], axis=0)
        (name,) = self.root.node("Expand", [self.root.constant(state.start[None]), shape.name])
        return Value(self.root, name, state.shape, state.start.dtype)


def check_free(names: list[str], taken: set[str]) -> None:
    clashes = [name for name in names if name in taken]
    if clashes:
        raise ExportError(
            f"The model's input {clashes[0]!r} has the name of an input or output that the token loop adds. Give it "
            "another one with input_names=[...]."
        )


def value_info(value: Value, dims: list[Any]):
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    named = [name if name is not None else f"{value.name}_{axis}" for axis, name in enumerate(dims)]
    return helper.make_tensor_value_info(value.name, kind, named)
