"""Small changes of the package's code, made by Cosmic Ray, in a random order that a seed decides.

Cosmic Ray knows eleven other operators for each `+` and one other value for each `True`. So a place in the code is
drawn first, all places alike, and then one of the changes that are possible there.
"""

from __future__ import annotations

import ast
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

FOLDERS = ("ops", "cells", "kernels", "layers", "decoding", "data", "training", "runtime")
OPERATORS = {name: get_operator(name) for name in operator_names()}
# These two take arguments, and replace a variable by a random number: a test that runs the line always notices.
OPERATORS = {name: operator() for name, operator in OPERATORS.items() if not operator.arguments()}

Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`-th place, from zero, of an operator of Cosmic Ray in a file."""

    path: str
    operator: str
    occurrence: int
    line: int

    @property
    def name(self) -> str:
        return f"{self.path}:{self.line} {self.operator.removeprefix('core/')} {self.occurrence}"

    def source(self, root: Path) -> str:
        """The whole file with the change."""
        changed = mutate_code((root / self.path).read_text(), OPERATORS[self.operator], self.occurrence)
        if changed is None:
            raise ValueError(f"{self.name} is no place in the code any more. Draw a new sample.")
        return changed

    def difference(self, root: Path) -> list[str]:
        """The lines that the change replaces and those it writes."""
        before, after = (root / self.path).read_text().splitlines(), self.source(root).splitlines()
        if len(before) != len(after):
            return [f"- {before[self.line - 1].strip()}"]
        changed = [(old.strip(), new.strip()) for old, new in zip(before, after, strict=True) if old != new]
        return [line for old, new in changed for line in (f"- {old}", f"+ {new}")]


def sample(root: Path, count: int, seed: int) -> list[Mutant]:
    """`count` mutants of the package below `root`; the first of them are the sample of a smaller count."""
    draw = random.Random(seed)
    places = sorted(all_places(root).items())
    draw.shuffle(places)
    drawn = (draw.choice(mutants) for _, mutants in places)
    return list(islice((mutant for mutant in drawn if is_valid(mutant, root)), count))


def is_valid(mutant: Mutant, root: Path) -> bool:
    """Whether Python takes the changed file without a word, not even about `is` before a literal.

    Cosmic Ray itself fails where it should replace the dotted name of an exception.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(mutant.source(root), mutant.path, "exec")
        except (AttributeError, SyntaxError, SyntaxWarning):
            return False
    return True


def all_places(root: Path) -> dict[tuple[str, Position, str], list[Mutant]]:
    """The mutants of each place: a file, a position in it and a kind of change."""
    places = defaultdict(list)
    for folder in FOLDERS:
        for file in sorted((root / "keras_rnnkit" / folder).glob("**/*.py")):
            for position, mutant in mutants_of(file, root):
                places[mutant.path, position, mutant.operator.split("_")[0]].append(mutant)
    return dict(places)


def mutants_of(file: Path, root: Path) -> Iterator[tuple[Position, Mutant]]:
    """All mutants of a file outside the code that computes nothing."""
    source = file.read_text()
    nodes, ignored = list(ast_nodes(get_ast(source))), list(ignored_spans(ast.parse(source)))
    for name, operator in OPERATORS.items():
        positions = [span[0] for node in nodes for span in operator.mutation_positions(node)]
        for occurrence, position in enumerate(positions):
            if not any(begin <= position < end for begin, end in ignored):
                yield position, Mutant(str(file.relative_to(root)), name, occurrence, position[0])


def ignored_spans(tree: ast.Module) -> Iterator[tuple[Position, Position]]:
    """Where no change can be noticed: annotations, the texts of errors and warnings, `__repr__`, stars that unpack."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(annotation=ast.expr() as annotation) | ast.AnnAssign(annotation=annotation):
                yield span(annotation)
            case ast.FunctionDef(name="__repr__" | "__str__"):
                yield span(node)
            case ast.FunctionDef(returns=ast.expr() as annotation):
                yield span(annotation)
            case ast.Raise() | ast.JoinedStr() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield span(node)
            case ast.Call(func=ast.Attribute(attr="warn")):
                yield span(node)
            case ast.Assign(value=ast.BinOp(op=ast.BitOr(), right=ast.Name() | ast.Constant(value=None))):
                yield span(node.value)  # a union of types
            case ast.Starred() | ast.keyword(arg=None):
                yield stars_of(node.value)
            case ast.Dict():
                yield from (stars_of(value) for key, value in zip(node.keys, node.values, strict=True) if key is None)


def span(node) -> tuple[Position, Position]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def stars_of(unpacked: ast.expr) -> tuple[Position, Position]:
    """The `*` or `**` before an unpacked expression, which Cosmic Ray takes for a product or a power."""
    return (unpacked.lineno, unpacked.col_offset - 2), (unpacked.lineno, unpacked.col_offset)
