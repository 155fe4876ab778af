"""What a pipeline survives: a process that is killed, a full disk, Ctrl-C twice, two runs at once, and wrong data.

After each fault --resume gives what an undisturbed run gives, bit for bit. A small pipeline that was made for tests is
in the quick suite; all others, at every place, are a study.
"""

import json
from pathlib import Path

import pytest

from keras_rnnkit.cli.training import load_pipeline, pipeline_names
from keras_rnnkit.runs.errors import Interrupted
from keras_rnnkit.runs.folder import RunFolder
from keras_rnnkit.runs.lock import FolderLock
from keras_rnnkit.settings import SettingsError
from tests.forking import python
from tests.pipelines.interrupted import best_weights, same
from tests.runs import letters

ROOT = Path(__file__).parents[2]
FAULTS = {
    "kill in an epoch": 2,
    "kill in validation": 1,
    "kill while writing a checkpoint": 3,
    "kill while exporting": 1,
    "full disk at a checkpoint": 3,
    "full disk while exporting": 1,
    "Ctrl-C twice": 2,
}
"""At which call of its function each fault happens."""
SMALL = {"smoke": True, "seed": 5}
OWN = {
    "words": {"epochs": 2, "units": 8, "count": 3},
    "captioning": {"rows": 8},
    "frames": {"batch": 4},
    "glimpses": {"batch": 16},
}
"""Settings by which an epoch has enough batches for every fault to happen."""


def settings_of(name, out, **changes):
    return {**SMALL, **OWN.get(name, {}), "out": str(out), **changes}


def pipeline_of(name):
    return letters if name == letters.__name__ else load_pipeline(name)


def faulty(name, fault, out, **changes):
    """The process of a run to which a fault happened."""
    arguments = ["-m", "tests.pipelines.faulty", name, fault, str(FAULTS.get(fault, 1))]
    settings = json.dumps(settings_of(name, out, **changes))
    return python(*arguments, settings, cwd=ROOT, with_keras=True)


def undisturbed(name, out, **changes):
    pipeline = pipeline_of(name)
    return pipeline.run(pipeline.Settings(**settings_of(name, out, **changes) | {"out": Path(out)}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folders and numbers of undisturbed runs, by the name of the pipeline; each runs once."""
    done = {}

    def run(name):
        if name not in done:
            out = tmp_path_factory.mktemp("whole") / name
            done[name] = out, undisturbed(name, out)
        return done[name]

    return run


def comparable(metrics):
    """The numbers of a run that must not depend on what happened on the way."""
    return {key: value for key, value in metrics.items() if "seconds" not in key and key != "by_time"}


def check_fault(name, fault, folder, whole, **changes):
    """The process ends as it should, nothing is lost, and the run that is resumed is the undisturbed one."""
    done = faulty(name, fault, folder, **changes)
    assert done.returncode != 0 and RunFolder(folder).record["status"] != "complete", done.stdout
    if fault.startswith("kill"):
        assert done.returncode == -9
    else:
        assert "Traceback" not in done.stderr, done.stderr
    if fault.startswith("full"):
        assert "No space left on device" in done.stderr and "Make room, then continue" in done.stderr
    metrics = undisturbed(name, folder, resume=True, **changes)
    assert comparable(metrics) == comparable(whole[1])
    assert same(best_weights(folder), best_weights(whole[0]))
    assert RunFolder(folder).record["status"] == "complete" and not list(folder.rglob("*.part"))


@pytest.mark.parametrize("fault", ["kill in validation", "full disk at a checkpoint", "Ctrl-C twice"])
def test_a_small_pipeline_survives(fault, tmp_path, whole):
    check_fault(letters.__name__, fault, tmp_path / "run", whole(letters.__name__))


@pytest.mark.study
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", pipeline_names())
def test_every_pipeline_survives(name, fault, tmp_path, whole):
    check_fault(name, fault, tmp_path / "run", whole(name))


@pytest.mark.study
@pytest.mark.parametrize("name", pipeline_names())
def test_every_pipeline_survives_one_fault_after_another(name, tmp_path, whole):
    """All faults in one folder, each in a process that continues what the one before it left: the cheapest study."""
    happened = []
    for fault in FAULTS:
        resumed = {"resume": True} if (tmp_path / "run.json").exists() else {}
        done = faulty(name, fault, tmp_path, **resumed)
        if done.returncode == 0:  # there was less left to do than the fault needs, such as an epoch
            continue
        happened.append(fault)
        assert RunFolder(tmp_path).record["status"] != "complete", done.stdout
        assert done.returncode == -9 if fault.startswith("kill") else "Traceback" not in done.stderr, done.stderr
    assert {"kill in an epoch", "kill in validation", "kill while exporting", "full disk while exporting"} <= {
        *happened
    }
    assert comparable(undisturbed(name, tmp_path, resume=True)) == comparable(whole(name)[1])
    assert same(best_weights(tmp_path), best_weights(whole(name)[0]))
    assert RunFolder(tmp_path).record["status"] == "complete" and not list(tmp_path.rglob("*.part"))


@pytest.mark.study
@pytest.mark.parametrize("name", pipeline_names())
def test_every_pipeline_is_resumed_twice(name, tmp_path, whole):
    for fault in ("kill in an epoch", "kill in validation"):
        faulty(name, fault, tmp_path, **({"resume": True} if (tmp_path / "run.json").exists() else {}))
    assert comparable(undisturbed(name, tmp_path, resume=True)) == comparable(whole(name)[1])
    again = undisturbed(name, tmp_path, resume=True)  # a run that is complete
    assert comparable(again) == comparable(whole(name)[1])


def test_two_runs_at_once_in_one_folder(tmp_path):
    """The second one is told so before it changes anything; the lock ends with the process that has it."""
    lock = FolderLock(tmp_path)
    with pytest.raises(SettingsError, match=r"Another process is running in .*Wait until it has ended, or choose"):
        undisturbed("words", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}
    lock.release()
    FolderLock(tmp_path).release()


def test_a_run_that_began_and_ended_while_the_data_was_read_is_not_replaced(tmp_path, monkeypatch):
    words = load_pipeline("words")
    read = words.words_of

    def slowly(settings):
        if not (tmp_path / "best.npz").exists():
            RunFolder(tmp_path).write_record({"format": 1, "pipeline": "words", "run": "other", "begun": "just now"})
            (tmp_path / "best.npz").write_bytes(b"theirs")
        return read(settings)

    monkeypatch.setattr(words, "words_of", slowly)
    with pytest.raises(SettingsError, match="holds a run of words, begun just now"):
        undisturbed("words", tmp_path)
    assert (tmp_path / "best.npz").read_bytes() == b"theirs"


def test_an_interruption_before_training_leaves_nothing(tmp_path, monkeypatch):
    import signal

    words = load_pipeline("words")
    monkeypatch.setattr(words, "words_of", lambda settings: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        undisturbed("words", tmp_path)
    assert not list(tmp_path.iterdir())
