"""A run: one training from its data to its report, in a folder of its own."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import platform
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from keras_rnnkit.runs.adoption import run_folder_of
from keras_rnnkit.runs.errors import EndOfRun
from keras_rnnkit.runs.folder import FORMAT, RunFolder
from keras_rnnkit.runs.interruption import Interruption
from keras_rnnkit.runs.lock import FolderLock
from keras_rnnkit.runs.packages import check_packages
from keras_rnnkit.runs.settings import RunSettings
from keras_rnnkit.runs.source import BundleSource, Source, source_of
from keras_rnnkit.settings import SettingsError

PACKAGES = ("keras-rnnkit", "tensorflow", "keras", "numpy", "onnxruntime", "tf2onnx")

HIDDEN = ("examples", "by_length", "sample")


class Run:
    """A run of a pipeline, as a context: it claims the folder of `--out`, and leaves a record however it ends.

    Nothing in the folder changes before `begin` is called, so that wrong data costs no earlier result.

    Arguments:
        settings: the settings of the pipeline.
        pipeline: its name.

    ::

        with Run(settings, "words") as run:
            words = read(settings)
            run.begin(f"{len(words)} words", words)
            history = run.fit(model, batches, loss=loss, validation_data=held_out)
            run.complete(metrics)
    """

    def __init__(self, settings: RunSettings, pipeline: str):
        self.settings: Any = settings  # of any pipeline
        self.pipeline = pipeline
        self.console = Console(highlight=False, soft_wrap=True)
        self.folder = RunFolder(settings.out)
        self.interruption = Interruption()
        self.record: dict[str, Any] = {}
        self.resumes = False
        self.notes: list[str] = []
        self.profile: dict[str, str] = {}
        self.judged: Source | BundleSource | None = None
        self.lock: FolderLock | None = None
        self.group: Any = None
        self.scope = contextlib.ExitStack()  # that of the group, in which models are built until training has ended
        self.began = time.perf_counter()

    def __enter__(self) -> Run:
        from keras_rnnkit.runs import together
        from keras_rnnkit.runs.optimization import prepare

        check_packages(self.settings.packages)
        if self.settings.distribute is None:
            check_claim(self.folder, self.settings, self.pipeline)
        self.source: Source | BundleSource | None = source_of(self.settings.continue_from, self.pipeline)
        if self.settings.bundle is not None:
            self.source = self.judged = BundleSource(self.settings.bundle)
        elif self.settings.evaluate is not None:
            folder = run_folder_of(self.settings.evaluate)
            self.source = self.judged = source_of(folder, self.pipeline, "evaluate")
        prepare(self.settings)
        self.group = together.group_of(self.settings, self.pipeline)
        if self.settings.distribute is not None:
            self._claim_together()
        self.interruption.__enter__()
        self.scope.enter_context(self.group.scope())
        return self

    def _claim_together(self) -> None:
        """The chief claims the folder for all workers."""
        from keras_rnnkit.runs import together

        refusal = None
        if self.is_chief:
            together.resume_if_restarted(self.settings)
            try:
                check_claim(self.folder, self.settings, self.pipeline)
            except SettingsError as error:
                refusal = str(error)
        else:
            self.console = Console(quiet=True)
        together.agree_on_claim(self.group, refusal)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> bool:
        self.interruption.__exit__()
        self.scope.close()
        if self.console.is_terminal:
            self.console.show_cursor()
        if kind is not None and kind is not EndOfRun and self.record:
            with contextlib.suppress(OSError):  # where the disk is full, the reason is the error that ends the run
                self._write(status="interrupted" if issubclass(kind, KeyboardInterrupt) else "failed")
        if self.lock is not None:
            self.lock.release()
        if self.group is not None:
            self.group.close()
        return kind is EndOfRun

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run; of several workers only the first one does."""
        return self.group is None or self.group.is_chief

    @property
    def id(self) -> str:
        """The name of this run in its files, which no other run has."""
        return self.record["run"]

    def say(self, label: str, text: str) -> None:
        """Print a line about a stage."""
        self.console.print(f"{label:<9} {text}", markup=False)

    def begin(self, description: str, *data: Any) -> None:
        """Write the record of the run: from here on, the folder is this run's.

        Arguments:
            description: the data in words.
            data: the data itself, texts and arrays, for the fingerprint by which `--resume` notices other data.
        """
        facts = {"description": description, "fingerprint": fingerprint(data)}
        self.settings.out.mkdir(parents=True, exist_ok=True)
        if self.is_chief:
            self._take_folder(facts)
        if self.group is not None and self.group.workers > 1:
            from keras_rnnkit.runs.together import agree_on_run

            self.record, self.resumes = agree_on_run(self.group, self.record, self.resumes, facts)
        self._write(settings=self.settings.as_json, seed=self.settings.seed, data=facts, versions=versions())
        self._write(status="running")
        self.say("data", description)

    def _take_folder(self, facts: dict[str, Any]) -> None:
        """Lock the folder, and continue the run in it or replace it."""
        self.lock = FolderLock(self.settings.out)
        check_claim(self.folder, self.settings, self.pipeline)  # another run may have begun and ended since
        before = self.folder.record if self.settings.resume else None
        if before is not None:
            check_data(before, facts, self.settings.out)
            self.record, self.resumes = before, True
        else:
            self.folder.clear()
            self.record = {"format": FORMAT, "pipeline": self.pipeline, "run": secrets.token_hex(8), "begun": now()}
            source = None if self.source is None else str(self.source.folder)
            self.record["evaluates" if self.judged else "continued_from"] = source

    def vocabulary(self, make: Callable[[], Any], name: str = "vocabulary") -> Any:
        """The vocabulary to train with: that of the run or of the bundle that was named, otherwise a new one.

        Arguments:
            make: makes a new one.
            name: the name of the vocabulary, where there is more than one.
        """
        kept = {} if self.source is None else self.source.vocabularies
        return kept[name] if name in kept else make()

    def keep(self, vocabulary: Any, name: str = "vocabulary") -> None:
        """Write a vocabulary into the folder, for runs that continue from this one."""
        if self.is_chief:
            vocabulary.save(self.settings.out / f"{name}.json")

    def fit(self, model: Any, batches: Any, **arguments: Any) -> list[dict[str, float]]:
        """Train a model; see `keras_rnnkit.runs.fitting.fit`. All devices and workers of the run train it together."""
        from keras_rnnkit.runs import fitting

        return fitting.fit(self, model, batches, **arguments)

    def end_training(self) -> None:
        """Note that all models of the run have been trained: the chief goes on alone, and the other workers end here.

        What is built after that is outside of the group, so that one process can run it.
        """
        self.scope.close()
        if not self.is_chief:
            raise EndOfRun

    def share(self, batch: int) -> int:
        """The rows that a stateful model has, where the devices and workers of the run share a batch."""
        return batch if self.group is None else self.group.share(batch)

    def restore(self, model: Any, suffix: str = "") -> Any:
        """Give a model the best weights of this run, or of the one that it judges. Others are refused.

        Between two trainings all workers call it, for a model from which the next one begins.
        """
        from keras_rnnkit.runs.best import load_best

        if self.judged is not None:
            from keras_rnnkit.runs.fitting import continue_from

            continue_from(self.judged, model, suffix)
            return model
        load_best(model, self.best_path(suffix), self.id)
        return model

    def best_path(self, suffix: str = "") -> Path:
        """The file of the best weights. Every worker has its own, because the workers may be on several machines."""
        from keras_rnnkit.training.distributed.checkpoints import path_of_worker

        return path_of_worker(self.settings.out / f"best{suffix}.npz", 0 if self.group is None else self.group.index)

    def best_model(self, build: Callable[..., Any], *arguments: Any, suffix: str = "") -> Any:
        """A new model in float32 with the best weights, to judge and to export. No model is trained after that.

        Arguments:
            build: builds the model.
            arguments: those of `build`.
            suffix: what is added to the names of its files.
        """
        import keras

        self.end_training()
        keras.config.set_dtype_policy("float32")
        return self.restore(build(*arguments), suffix)

    def note(self, sentence: str | None) -> None:
        """Print a warning about the model, and put it at the top of the report; None is no warning."""
        if sentence is not None:
            self.notes.append(sentence)
            self.console.print(f"Note: {sentence}", style="bold", markup=False)

    def complete(
        self,
        metrics: dict[str, Any],
        pictures: Sequence[tuple[str, str]] = (),
        text: str = "",
        results: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write the page of the report and note that the run has ended as it should.

        Arguments:
            metrics: the numbers of the run.
            pictures: names of files in the folder of the report, each with a sentence about what it shows.
            text: a text that the model wrote.
            results: the numbers of the page, each by a sentence that says what it is of; None for the metrics, without
                those of `HIDDEN`, which are too long for it.

        Returns the metrics with the time that the run took.
        """
        from keras_rnnkit.runs.page import write_page

        self.end_training()
        metrics["seconds"] = time.perf_counter() - self.began
        self._write(status="complete", ended=now())
        folder = self.settings.out / "report"
        folder.mkdir(parents=True, exist_ok=True)
        shown = {name: value for name, value in metrics.items() if name not in HIDDEN} if results is None else results
        page = write_page(folder, self.title, self.record, shown, pictures, self.notes, text, self.profile)
        for name, value in self.profile.items():
            self.say("profile", f"{name}: {value}")
        self.say("report", f"{page}   {metrics['seconds'] / 60:.1f} min in all")
        return metrics

    @property
    def title(self) -> str:
        """The heading of the report."""
        name = self.pipeline.replace("_", " ")
        if self.judged is not None:
            return f"{name}: evaluation of {self.judged.folder}"
        return f"{name}: search for a learning rate" if self.settings.find_rate else name

    def _write(self, **changes: Any) -> None:
        self.record |= changes
        if self.is_chief:
            self.folder.write_record(self.record)


def check_claim(folder: RunFolder, settings: RunSettings, pipeline: str) -> None:
    """Refuse a folder that holds another run, unless the settings say what is meant."""
    same_folder = settings.continue_from is not None and settings.continue_from.absolute() == folder.path.absolute()
    if settings.overwrite or same_folder:
        return
    record = folder.record
    if settings.resume:
        if record is None:
            raise SettingsError(f"There is no run in {folder.path} to resume. Start it without --resume.")
        if record["pipeline"] != pipeline:
            raise SettingsError(f"{folder.path} holds a run of {record['pipeline']}, which {pipeline} cannot resume.")
        return
    if folder.was_trained_in:
        kind = f"a run of {record['pipeline']}, begun {record['begun']}" if record else "files of an earlier run"
        raise SettingsError(
            f"{folder.path} holds {kind}. Continue it with --resume, replace it with --overwrite, or choose another "
            "folder with --out."
        )


def check_data(record: dict[str, Any], facts: dict[str, Any], folder: Path) -> None:
    """Refuse to resume a run with other data."""
    before = record["data"]
    if before["fingerprint"] != facts["fingerprint"]:
        raise SettingsError(
            f"The run in {folder} was trained on other data. It had {before['description']}, and now it is "
            f"{facts['description']}. Give the same data, or train its weights on the new data in another folder: "
            f"--continue-from {folder} --out FOLDER."
        )


def fingerprint(data: Iterable[Any]) -> str:
    """A hash of texts, numbers, arrays, and lists and tuples of them.

    >>> fingerprint(["a", "b"]) == fingerprint(["ab"]), fingerprint([np.zeros(2)]) == fingerprint([np.zeros(2)])
    (False, True)
    """
    state = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            content = str((value.shape, value.dtype)).encode() + np.ascontiguousarray(value).tobytes()
        elif isinstance(value, (list, tuple)):
            state.update(f"list of {len(value)};".encode())
            for item in value:
                add(item)
            return
        else:
            content = str(value).encode("utf-8", "surrogatepass")
        state.update(f"{type(value).__name__} of {len(content)};".encode())
        state.update(content)

    for value in data:
        add(value)
    return state.hexdigest()


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that have an influence on a result."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")
