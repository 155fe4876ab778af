"""`rnnkit generate` and `rnnkit predict`: a bundle run from the shell, without TensorFlow."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_rnnkit.cli.refusals import USAGE, need, refuse

QUANTIZED = "Use the graphs with such weights, int8 or float16, where the bundle has them."


def generate(
    bundle: Annotated[Path, typer.Argument(help="A bundle of a model that continues texts or tokens.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The text to continue; token ids with commas where there is no vocabulary.")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", "-n", min=1, help="The largest number of tokens.")] = 100,
    strategy: Annotated[
        str, typer.Option(help="exported (as the bundle has it), sample, greedy or beam.")
    ] = "exported",
    temperature: Annotated[float | None, typer.Option(help="Of sampling: below 1 safer, above 1 wilder.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Of sampling: only the k likeliest tokens; 0 for all.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Of sampling: only the likeliest tokens of this mass.")] = None,
    beams: Annotated[int, typer.Option(min=1, help="Of beam: how many hypotheses are kept.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of sampling; the same seed gives the same text.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="How many texts, with seeds from --seed on.")] = 1,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Let a strategy other than exported pick the token <unk>.")
    ] = False,
    quantized: Annotated[str | None, typer.Option(help=QUANTIZED)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a text, with tokens and score.")] = False,
) -> None:
    """Continue a text with a bundle; standard input is the prompt where none is given."""
    with loaded(bundle, quantized) as model:
        text = sys.stdin.read().rstrip("\n") if prompt is None else prompt
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        chosen = strategy_of(strategy, options, beams)
        exported_options = options if chosen is None else {}
        for number in range(samples):
            prompt_tokens = tokens_of(model, text)
            result = model.generate(
                prompt_tokens, steps, chosen, seed + number, allow_unknown=allow_unknown, **exported_options
            )
            show(model, text, result, seed + number, as_json)


def strategy_of(name: str, options: dict[str, Any], beams: int) -> Any:
    """The strategy by its name, None for the exported one."""
    from keras_rnnkit.decoding import Beam, Greedy, Sampling

    numbers = {option: value for option, value in options.items() if value is not None}
    makers: dict[str, Any] = {
        "exported": lambda: None,
        "sample": lambda: Sampling(**numbers),
        "greedy": Greedy,
        "beam": lambda: Beam(beams),
    }
    if name not in makers:
        refuse(f"--strategy must be one of {', '.join(makers)}. Received: {name}.", USAGE)
    if numbers and name in ("greedy", "beam"):
        refuse(
            f"--{next(iter(numbers)).replace('_', '-')} is an option of sampling. Received: --strategy {name}.", USAGE
        )
    try:
        return makers[name]()
    except ValueError as error:
        refuse(str(error), USAGE)


def tokens_of(model: Any, text: str) -> Any:
    """The prompt as the bundle takes it: the text, or token ids where it has no vocabulary."""
    if model.vocabulary is not None:
        return text
    try:
        return [int(number) for number in text.replace(",", " ").split()]
    except ValueError:
        refuse(
            f"The bundle has no vocabulary, so the prompt must be token ids, such as 3,1,4. Received: {text!r}.", USAGE
        )


def show(model: Any, prompt: str, result: Any, seed: int, as_json: bool) -> None:
    """The best text of a result, or its token ids where there is no vocabulary."""
    best = (0,) * (result.tokens.ndim - 1)
    tokens = result.tokens[best][: int(result.lengths[best])].tolist()
    text = None if model.vocabulary is None else model.text(tokens)
    if as_json:
        facts = {"prompt": prompt, "text": text, "tokens": tokens, "score": float(result.scores[best]), "seed": seed}
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo(",".join(map(str, tokens)) if text is None else prompt + text)


def predict(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    file: Annotated[
        Path, typer.Argument(help="Inputs: .npy, .npz with the inputs by name, or .csv with a step a line.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the outputs: .npy, .npz by name, or .csv.")
    ] = None,
    quantized: Annotated[str | None, typer.Option(help=QUANTIZED)] = None,
) -> None:
    """Run a bundle on the whole sequences in a file; a .csv file is one sequence with a header or without."""
    if not file.exists():
        refuse(f"There is no file {file}.", USAGE)
    with loaded(bundle, quantized) as model:
        outputs = model.predict(read_inputs(file))
        by_name = outputs if isinstance(outputs, dict) else {"output": outputs}
        if out is not None:
            write_outputs(out, by_name)
            typer.echo(f"{out}: " + ", ".join(f"{name} {list(y.shape)}" for name, y in by_name.items()))
            return
        for name, y in by_name.items():
            names = labels_of(model, y)
            typer.echo(f"{name} {list(y.shape)}{f', of {names}' if names else ''}\n{y}")


def labels_of(model: Any, y: Any) -> str:
    """The names of the labels with commas, where an output has a number for each of them."""
    fits = model.labels is not None and y.shape[-1:] == (len(model.labels),)
    return ", ".join(model.labels) if fits else ""


def read_inputs(file: Path) -> Any:
    """The arrays of a file: one, or several by name."""
    import numpy as np

    try:
        if file.suffix == ".csv":
            return read_csv(file)
        with open(file, "rb"):
            arrays = np.load(file, allow_pickle=False)
    except (OSError, ValueError) as error:
        refuse(f"{file} must be a .npy, .npz or .csv file of numbers. Reading it failed: {error}", USAGE)
    return {name: arrays[name] for name in arrays.files} if hasattr(arrays, "files") else arrays


def read_csv(file: Path) -> Any:
    """One sequence [1, T, D], a line a step; a first line of names is left out."""
    import numpy as np

    lines = [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    rows = [line.split(",") for line in lines]
    if rows and not all(is_number(cell) for cell in rows[0]):
        rows = rows[1:]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]) or not all(map(is_number, row)):
            raise ValueError(f"row {number} must have {len(rows[0])} numbers, and is {','.join(row)!r}")
    if not rows:
        raise ValueError("it has no row of numbers")
    return np.array([[[float(cell) for cell in row] for row in rows]], np.float32)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def write_outputs(out: Path, by_name: dict[str, Any]) -> None:
    """Write the arrays under a temporary name, then rename."""
    import numpy as np

    temporary = out.with_name(f".{out.name}.part{out.suffix}")
    if out.suffix == ".npz":
        np.savez(temporary, **by_name)
    elif len(by_name) > 1:
        refuse(f"The model has the outputs {', '.join(by_name)}; name a .npz file. Received: --out {out}.", USAGE)
    elif out.suffix == ".csv":
        (y,) = by_name.values()
        np.savetxt(temporary, y.reshape(-1, y.shape[-1]), delimiter=",", fmt="%.9g")
    elif out.suffix == ".npy":
        np.save(temporary, *by_name.values())
    else:
        refuse(f"--out must end in .npy, .npz or .csv. Received: {out}.", USAGE)
    temporary.replace(out)


@contextmanager
def loaded(folder: Path, quantized: str | None) -> Iterator[Any]:
    """The bundle in a folder; inside, what is wrong with it or with an input ends the command with a sentence."""
    need("serve", "onnxruntime")
    from keras_rnnkit import runtime
    from keras_rnnkit.text import TextError

    try:
        yield runtime.load(folder, quantized=quantized)
    except (runtime.BundleError, runtime.InputError, TextError) as error:
        refuse(str(error), USAGE)
