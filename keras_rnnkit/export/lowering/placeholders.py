"""Every placeholder node becomes ONNX operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx import GraphProto, ModelProto, NodeProto, helper

from keras_rnnkit.export.lowering.cells import GUARDED, RecurrenceInputs, write
from keras_rnnkit.export.lowering.recurrence import Recurrence
from keras_rnnkit.export.lowering.steps import Compaction
from keras_rnnkit.export.writing.emitter import Emitter, names_read, subgraphs
from keras_rnnkit.export.writing.rewriting import rewritten
from keras_rnnkit.ops.onnx import Value

DOMAIN = "keras_rnnkit.tracing"
"""The domain of the nodes that stand for a recurrence between the two stages."""


@dataclass(frozen=True)
class Lowered:
    """How a recurrence was written: the lowering of each of its cells, why not a more direct one, in how many nodes."""

    recurrence: Recurrence
    lowerings: list[str]
    reasons: list[str]
    nodes: int
    outputs: list[str]
    inputs: list[str]


def lower(model: ModelProto, recurrences: list[Recurrence], prefer: str, batch: int | None) -> list[Lowered]:
    """Rewrite the placeholder nodes of `model` in place. The rows are in the order of `recurrences`."""
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    root = Emitter(opset)
    done: dict[int, Lowered] = {}
    Rewriter(recurrences, prefer, batch, names_read(model.graph.node), done).graph(model.graph, root)
    model.graph.initializer.extend(root.initializers.values())
    for entry in [o for o in model.opset_import if o.domain == DOMAIN]:
        model.opset_import.remove(entry)
    prune(model.graph)
    return [done[i] for i in sorted(done)]


class Rewriter:
    """Walks a graph and the graphs inside it. `full`: the values that are known to have rows and steps."""

    def __init__(self, recurrences, prefer, batch, read: set[str], done: dict[int, Lowered]):
        self.recurrences = recurrences
        self.prefer = prefer
        self.batch = batch
        self.read = read
        self.done = done
        self.full: set[str] = set()

    def graph(self, graph: GraphProto, emitter: Emitter) -> None:
        self.read |= {value.name for value in graph.output}
        nodes, orders = list(graph.node), dict[Any, Compaction]()
        del graph.node[:]
        for node in nodes:
            if node.op_type == "PyFunc":  # in the branches of an If, tf2onnx leaves out the domain
                graph.node.extend(self.recurrence(node, emitter, orders))
                continue
            for inner in subgraphs(node):
                self.graph(inner, emitter.inner())
            graph.node.append(node)

    def recurrence(self, node: NodeProto, emitter: Emitter, orders: dict) -> list[NodeProto]:
        """The nodes that take the place of a placeholder."""
        index = int(token_of(node).rpartition(":")[2])
        recurrence = self.recurrences[index]
        emitter.prefix, emitter.nodes = recurrence.name, []
        wanted = [name in self.read for name in node.output]
        written = write(
            RecurrenceInputs.of(recurrence, list(node.input), emitter),
            wanted,
            orders,
            self.prefer,
            self.batch,
            node.input[0] in self.full,
        )
        for name, flag, value in zip(node.output, wanted, [written.y, *written.states], strict=True):
            if flag and value is not None:
                bind(emitter, value, name)
        if written.choices[-1].name in GUARDED:
            self.full |= set(node.output)
        nodes = rewritten(emitter.nodes, emitter.initializers, self.read, emitter.opset)
        self.done[index] = Lowered(
            recurrence=recurrence,
            lowerings=[choice.name for choice in written.choices],
            reasons=[choice.reason for choice in written.choices],
            nodes=sum(1 + inner_nodes(n) for n in nodes),
            outputs=list(node.output),
            inputs=list(node.input),
        )
        return nodes


def bind(emitter: Emitter, value: Value, name: str) -> None:
    """Make `value` known by the name that the rest of the graph reads."""
    if not emitter.rename(value.name, name):
        source = emitter.renamed.get(value.name, value.name)
        emitter.nodes.append(helper.make_node("Identity", [source], [name], name=emitter.name("Identity")))


def token_of(node: NodeProto) -> str:
    return next(a.s.decode() for a in node.attribute if a.name == "token")


def inner_nodes(node: NodeProto) -> int:
    return sum(len(g.node) + sum(map(inner_nodes, g.node)) for g in subgraphs(node))


def prune(graph: GraphProto) -> None:
    """Drop the nodes and constants that no output depends on."""
    read = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in read for name in node.output if name):
            read |= names_read([node])
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    initializers = [i for i in graph.initializer if i.name in read]
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    del graph.value_info[:]
