"""Measure how far gradients reach in seven recurrent networks, and let them prove it on two tasks of long memory.

python pipelines/gradient_flow.py --units 64 --adding-steps 200
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import keras_rnnkit as rk
from keras_rnnkit.runs.gradient_report import panel, results, table_of
from keras_rnnkit.runs.metrics_file import write_metrics
from keras_rnnkit.runs.run import Run
from keras_rnnkit.runs.settings import TrainingSettings, option
from keras_rnnkit.settings import SettingsError

NAMES = ("linear", "tanh", "relu", "lstm", "gru", "layernorm_lstm", "residual")
VANILLA = ("linear", "tanh", "relu")
"""Networks with a tenth of the learning rate: their gradients are steeper."""
EXPORTED = "gru"
"""The network that is exported, as it has learned to add."""
IGNORED = ("cell", "layers", "embedding", "dropout")
"""Settings of other pipelines that mean nothing here."""
PICTURES = (
    ("gradients.png", "How much of the gradient of the last step's loss is left so many steps back."),
    ("learning.png", "What the networks make of it: loss on held-out examples of the two tasks."),
    ("products.png", "Singular values of the Jacobian of the last state by an earlier one, before training."),
    (
        "spectra.png",
        "Singular values of the recurrent matrices, before training; one line for the matrix of each gate.",
    ),
    ("clipping.png", "A linear network whose recurrent matrix is a little too large, with and without clipping."),
    ("starts.png", "The same networks with other first weights: gradients before training, and loss on adding."),
)


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The settings of the pipeline; each field is an option of the command."""

    networks: Annotated[str, f"Networks to compare, with commas: {', '.join(NAMES)}."] = ",".join(NAMES)
    copying_networks: Annotated[str, "Networks that learn to copy too, with commas."] = "linear,tanh,lstm,gru"
    copying_units: Annotated[int, "Units of each layer of the networks that copy."] = 128
    adding_steps: Annotated[int, "Steps of the sequences whose two marked numbers are added."] = 200
    copying_steps: Annotated[int, "Steps for which ten symbols are kept before they are copied."] = 50
    adding_batches: Annotated[int, "Batches of an epoch of the adding task."] = 100
    copying_batches: Annotated[int, "Batches of an epoch of the copying task."] = 50
    batch: Annotated[int, "Sequences in a batch."] = 64
    held_out: Annotated[int, "Sequences for validation, of each task."] = 500
    units: Annotated[int, "Units of each layer of the networks that are measured, and add."] = 64
    epochs: Annotated[int, "Epochs of each training, at most; one that solves its task ends."] = 8
    learning_rate: Annotated[float, "Learning rate; vanilla networks have a tenth of it."] = 1e-2
    schedule: Annotated[
        Literal["constant", "halving", "cosine", "plateau"],
        "How the learning rate falls; plateau: after an epoch without improvement.",
    ] = "cosine"
    starts: Annotated[bool, "Also compare initial weights, and training layer by layer."] = True
    out: Annotated[Path, "Folder of the run: bundle, report, log and checkpoint."] = Path("exported/gradient_flow")

    SIZES = ("copying_units", "adding_steps", "copying_steps", "adding_batches", "copying_batches", "batch", "held_out")
    COUNTS = (*TrainingSettings.COUNTS, *SIZES)
    SMOKE = {
        "networks": "tanh,gru",
        "copying_networks": "gru",
        "copying_units": 8,
        "adding_steps": 10,
        "copying_steps": 4,
        "adding_batches": 4,
        "copying_batches": 4,
        "units": 8,
        "held_out": 16,
        "epochs": 1,
        "starts": False,
    }

    def __post_init__(self):
        super().__post_init__()
        if not set(self.names) <= set(NAMES) or EXPORTED not in self.names:
            raise SettingsError(
                f"networks must be some of {', '.join(NAMES)}, {EXPORTED} among them, which is exported. Received: "
                f"{self.networks!r}."
            )
        if not set(names_in(self.copying_networks)) <= set(NAMES) or not (self.find_rate or self.names_for("copying")):
            raise SettingsError(
                f"copying_networks must be some of the networks that are compared, {', '.join(self.names)}. Received: "
                f"{self.copying_networks!r}."
            )
        ignored = [name for name in IGNORED if getattr(self, name) != getattr(type(self), name)]
        if ignored:
            raise SettingsError(f"{option(ignored[0])} has no effect here: --networks says what is compared.")
        if min(self.adding_steps, self.copying_steps) < 4:
            raise SettingsError("adding_steps and copying_steps must be 4 or more.")

    @property
    def names(self) -> list[str]:
        """The networks that are compared; --find-rate searches for the one that is exported."""
        return [EXPORTED] if self.find_rate else names_in(self.networks)

    def names_for(self, task: str) -> list[str]:
        """The networks that learn a task."""
        copying = names_in(self.copying_networks)
        return self.names if task == "adding" else [name for name in self.names if name in copying]


def names_in(text: str) -> list[str]:
    """
    >>> names_in("gru, lstm")
    ['gru', 'lstm']
    """
    return [name.strip() for name in text.split(",")]


def run(settings: Settings) -> dict:
    """tasks -> measure -> train -> measure again -> compare -> judge -> export -> report"""
    from keras_rnnkit.runs.start_comparison import compared_starts

    with Run(settings, "gradient_flow") as run:
        tasks = read(settings, run)
        measurements = measure(tasks["adding"], settings, run)
        losses = {name: train_all(name, task, measurements, settings, run) for name, task in tasks.items()}
        measurements |= compared_starts(settings, run) if settings.starts else {}
        metrics = judge(tasks, measurements, losses, settings, run)
        metrics |= export(tasks["adding"], settings, run)
        report(tasks, measurements, losses, metrics, settings)
        return run.complete(metrics, PICTURES, results=results(metrics))


# ---------------------------------------------------------------------- data


def read(settings: Settings, run: Run) -> dict[str, Any]:
    """The two tasks, by name. Examples to learn from are drawn anew for every batch."""
    from keras_rnnkit.runs.memory_tasks import adding, copying

    tasks = {"adding": adding(settings.adding_steps), "copying": copying(settings.copying_steps)}
    names = " and ".join(task.name for task in tasks.values())
    held_out = [array for task in tasks.values() for array in task.examples(settings.held_out, settings.seed)]
    run.begin(f"{names}; new examples in every batch, {settings.held_out:,} of each held out", *held_out)
    return tasks


# ---------------------------------------------------------------------- measuring


def networks_of(settings: Settings) -> dict[str, Any]:
    """How each network that was asked for is built, by name."""
    from keras_rnnkit.runs.memory_networks import NETWORKS

    return {name: NETWORKS[name] for name in settings.names}


def measure(task, settings: Settings, run: Run) -> dict[str, Any]:
    """Gradients by lag, singular values of Jacobians and of recurrent matrices, and what clipping does."""
    from keras_rnnkit.runs import gradient_study
    from keras_rnnkit.training.gradient_flow import warning

    measurements: dict[str, Any] = gradient_study.measured(task, networks_of(settings), settings)
    run.console.print(f"\ngradients of untrained networks, {task.name}")
    for name, norms in measurements["norms"].items():
        run.console.print(f"  {name}: {warning(norms) or 'gradients reach the first step.'}", markup=False)
    measurements["clipping"] = gradient_study.clipped_and_not(task, settings, batches=min(60, settings.adding_batches))
    measurements["norms after training"] = {}
    return measurements


# ---------------------------------------------------------------------- training


def train_all(name: str, task, measurements: dict[str, Any], settings: Settings, run: Run) -> dict[str, list[float]]:
    """Train every network on a task; the validation losses of its epochs, by network."""
    from keras_rnnkit.runs.gradient_study import built, learned, norms

    losses, batches = {}, getattr(settings, f"{name}_batches")
    units = settings.units if name == "adding" else settings.copying_units
    for network in settings.names_for(name):
        run.console.print(f"\n{task.name}: {network}")
        model = built(task, networks_of(settings)[network], settings, network, units)
        rate = settings.learning_rate / (10 if network in VANILLA else 1)
        losses[network] = learned(model, task, batches, run, suffix_of(name, network), learning_rate=rate)
        if name == "adding" and losses[network]:
            measurements["norms after training"][network] = norms(model, task, settings)
    return losses


def suffix_of(task: str, network: str) -> str:
    """What the names of a network's files end in; those of the exported one are plain."""
    return "" if (task, network) == ("adding", EXPORTED) else f"_{task}_{network}"


# ---------------------------------------------------------------------- evaluation


def judge(tasks, measurements: dict[str, Any], losses, settings: Settings, run: Run) -> dict[str, Any]:
    """How far the gradients of each network reach, and whether it solves the tasks; tables on the console."""
    from keras_rnnkit.training.gradient_flow import reach

    reaches = {name: reach(norms) for name, norms in measurements["norms"].items()}
    metrics: dict[str, Any] = {"reach": reaches, "held out": settings.held_out}
    for key, task in tasks.items():
        best = {network: min(epochs, default=None) for network, epochs in losses[key].items()}
        metrics[key] = {"task": task.name, "unit": task.unit, "baseline": task.baseline, "target": task.target}
        metrics[key] |= {
            "loss": best,
            "solved": [name for name, loss in best.items() if loss is not None and loss < task.target],
        }
        run.console.print(table_of(metrics, key))
    if "start losses" in measurements:
        metrics["starts"] = {name: epochs[-1] for name, epochs in measurements["start losses"].items() if epochs}
        metrics["start task"] = measurements["start task"].name
    return metrics


# ---------------------------------------------------------------------- export


def export(task, settings: Settings, run: Run) -> dict[str, Any]:
    """Write the bundle of the network that adds, and compare it with Keras on held-out sequences."""
    from keras_rnnkit.runs.gradient_study import built

    model = run.restore(built(task, networks_of(settings)[EXPORTED], settings, EXPORTED))
    folder = settings.out / "bundle"
    written = rk.export_bundle(model, folder, modes=["sequence"], saved_model=False)
    x, _ = task.examples(64, settings.seed)
    error = float(abs(rk.runtime.load(folder).predict(x) - model.predict(x, verbose=0)).max())
    run.say("exported", f"{folder}, error {written.error:.1e}; {error:.1e} on 64 sequences of {task.name}")
    return {"export_error": error}


# ---------------------------------------------------------------------- report


def report(tasks, measurements: dict[str, Any], losses, metrics: dict[str, Any], settings: Settings) -> None:
    """metrics.json and the pictures."""
    from keras_rnnkit.runs import gradient_pictures as pictures

    folder = write_metrics(settings, metrics, losses)
    after = {"before training": measurements["norms"], "after training to add": measurements["norms after training"]}
    pictures.plot_norms(after, folder / "gradients.png")
    pictures.plot_products(measurements["products"], folder / "products.png")
    pictures.plot_spectra(measurements["spectra"], folder / "spectra.png")
    pictures.plot_clipping(measurements["clipping"], folder / "clipping.png")
    panels = {
        task.name: panel(task, losses[name], getattr(settings, f"{name}_batches")) for name, task in tasks.items()
    }
    pictures.plot_learning(panels, folder / "learning.png")
    if "start norms" in measurements:
        task = measurements["start task"]
        chart = panel(task, measurements["start losses"], settings.adding_batches)
        pictures.plot_starts(f"before training, {task.name}", measurements["start norms"], chart, folder / "starts.png")


def main(settings: Settings) -> None:
    """Measure gradients by lag, singular values and clipping, and train seven networks on two tasks of long memory."""
    run(settings)


if __name__ == "__main__":
    from keras_rnnkit.cli.training import start

    start(main, Settings)
