"""Stage two of an export: every foreign node becomes operators of ONNX."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper

from keras_rnnkit.export import lowering
from keras_rnnkit.export.emitter import Emitter, names_read, subgraphs
from keras_rnnkit.export.frame import frame
from keras_rnnkit.export.lowering.situation import Result, Wanted, zeros
from keras_rnnkit.export.site import Site
from keras_rnnkit.ops.onnx import Value

DOMAIN = "keras_rnnkit.tracing"
"""The domain of the nodes that stand for a recurrence between the two stages."""


@dataclass(frozen=True)
class Lowered:
    """How a recurrence was written: the lowering of each of its cells, why not a more direct one, in how many nodes."""

    site: Site
    lowerings: list[str]
    reasons: list[str]
    nodes: int
    outputs: list[str]
    inputs: list[str]


def lower(model: ModelProto, sites: list[Site], prefer: str, batch: int | None) -> list[Lowered]:
    """Rewrite the foreign nodes of `model` in place. The rows are in the order of `sites`."""
    opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    root = Emitter(opset)
    done: dict[int, Lowered] = {}
    Rewriter(sites, prefer, batch, names_read(model.graph.node), done).graph(model.graph, root)
    model.graph.initializer.extend(root.initializers.values())
    for entry in [o for o in model.opset_import if o.domain == DOMAIN]:
        model.opset_import.remove(entry)
    prune(model.graph)
    return [done[i] for i in sorted(done)]


class Rewriter:
    """Walks a graph and the graphs inside it."""

    def __init__(self, sites, prefer, batch, read: set[str], done: dict[int, Lowered]):
        self.sites = sites
        self.prefer = prefer
        self.batch = batch
        self.read = read
        self.done = done

    def graph(self, graph: GraphProto, emitter: Emitter) -> None:
        self.read |= {value.name for value in graph.output}
        nodes, orders = list(graph.node), {}
        del graph.node[:]
        for node in nodes:
            if node.domain == DOMAIN:
                graph.node.extend(self.site(node, emitter, orders))
                continue
            for inner in subgraphs(node):
                self.graph(inner, emitter.inner())
            graph.node.append(node)

    def site(self, node: NodeProto, emitter: Emitter, orders: dict) -> list[NodeProto]:
        """The nodes that take the place of a foreign one."""
        index = int(token_of(node))
        site = self.sites[index]
        emitter.prefix, emitter.nodes = site.name, []
        wanted = [name in self.read for name in node.output]
        choices, (y, states) = write(site, list(node.input), wanted, emitter, orders, self.prefer, self.batch)
        for name, flag, value in zip(node.output, wanted, [y, *states], strict=True):
            if flag:
                bind(emitter, value, name)
        self.done[index] = Lowered(
            site=site,
            lowerings=[choice.name for choice in choices],
            reasons=[choice.reason for choice in choices],
            nodes=sum(1 + inner_nodes(n) for n in emitter.nodes),
            outputs=list(node.output),
            inputs=list(node.input),
        )
        return emitter.nodes


def write(site: Site, names, wanted, emitter, orders, prefer, batch) -> tuple[list[Any], tuple[Any, list[Any]]]:
    """Emit a recurrence: its cells one after the other over one frame."""
    x, states, mask, reset, starts = arrays(site, names, emitter)
    steps = frame(x, mask, reset, site.go_backwards, orders)
    situation = lowering.Situation(site.resets, site.batch or batch, site.features, site.dtype, prefer)
    flags, finals, choices = site.by_cell(wanted[1:]), [], []
    result = Result(None, None, [])
    for i, cell in enumerate(site.cells):
        top = i == len(site.cells) - 1
        choice = lowering.choose(cell, replace(situation, features=steps.x.shape[-1]))
        asked = Wanted(
            sequence=not top or (wanted[0] and site.return_sequences),
            last=top and wanted[0] and not site.return_sequences,
            states=flags[i],
        )
        own = replace(steps, starts=site.by_cell(starts)[i] if starts else None)
        result = choice.lowering.lower(cell, own, site.by_cell(states)[i], asked)
        for n, state, flag in zip(cell.state_sizes, result.states, flags[i], strict=True):
            finals.append(zeros(x, n) if flag and state is None else state)
        steps = replace(steps, x=result.y if result.y is not None else steps.x)
        choices.append(choice)
    zero = site.zero_output_for_mask
    y = (
        None
        if not wanted[0]
        else steps.outputs(result.y, zero)
        if site.return_sequences
        else steps.last(result.last, zero)
    )
    return choices, (y, finals)


def arrays(site: Site, names: list[str], emitter: Emitter):
    """The site's arrays as values: x, states (None where zero), mask, reset flags, starts."""
    rest = iter(names)
    dims = (site.batch, site.length)

    def value(shape, dtype=site.dtype):
        return Value(emitter, next(rest), shape, dtype)

    x = value((*dims, site.features))
    states = [
        None if zero else value((site.batch, n)) for n, zero in zip(site.state_sizes, site.zero_states, strict=True)
    ]
    mask = value(dims, np.bool_) if site.masked else None
    reset = value(dims, np.bool_) if site.resets else None
    starts = [value((site.batch, n)) for n in site.state_sizes] if site.resets else None
    return x, states, mask, reset, starts


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
