"""Workers that are killed or stopped under `rnnkit launch`: the run ends with the weights of an undisturbed one."""

import json
import os
import random

import numpy as np
import pytest

from tests.forking import python

KILLS = int(os.environ.get("RNNKIT_KILLS", "20"))

FAULTS = {
    "in a step": {"where": "step", "step": 5},
    "in the validation": {"where": "validation", "step": 8},
    "while writing": {"where": "writing", "step": 4},
    "stopped": {"where": "step", "step": 11, "signal": "SIGSTOP"},
}


def trained(folder, fault):
    """(weights and states of both workers, what the supervisor said) after a training with a fault."""
    folder.mkdir()
    (folder / "fault.json").write_text(json.dumps(fault))
    silence = 15 if fault.get("signal") == "SIGSTOP" else 120
    done = python("-W", "ignore", "-m", "tests.distributed.supervised", folder, silence, with_keras=True)
    assert done.returncode == 0, done.stderr[-3000:]
    code, said = json.loads(done.stdout)
    assert code == 0, [*said, done.stderr[-3000:]]
    return results_of(folder, 2), said


def results_of(folder, workers):
    """Weights of the chief, and the carried states of all workers one above the other."""
    everyone = [list(np.load(folder / f"result{index}.npz").values()) for index in range(workers)]
    weights, states = everyone[0][:-2], zip(*(arrays[-2:] for arrays in everyone), strict=True)
    return [*weights, *(np.concatenate(rows) for rows in states)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of one process without any workers."""
    folder = tmp_path_factory.mktemp("alone")
    done = python("-W", "ignore", "-m", "tests.distributed.kills", folder, env={"TF_CONFIG": ""}, with_keras=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return results_of(folder, 1)


def check(results, undisturbed):
    for array, expected in zip(results, undisturbed, strict=True):
        np.testing.assert_allclose(array, expected, atol=1e-6)


@pytest.mark.study
@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("worker", [0, 1])
def test_a_fault_changes_nothing(name, worker, tmp_path, undisturbed):
    results, said = trained(tmp_path / "run", {**FAULTS[name], "worker": worker})
    assert len(said) == 1 and "start again" in said[0]
    check(results, undisturbed)


@pytest.mark.study
@pytest.mark.parametrize("number", range(KILLS))
def test_a_random_kill_changes_nothing(number, tmp_path, undisturbed):
    """RNNKIT_KILLS says how many."""
    draw = random.Random(20 + number)
    where = draw.choice(["step", "validation", "writing"])
    steps = {"step": (1, 23), "validation": (8, 24), "writing": (1, 11)}[where]
    fault = {"worker": draw.randrange(2), "where": where, "step": draw.randint(*steps)}
    results, said = trained(tmp_path / "run", fault)
    assert len(said) == 1 and "SIGKILL" in said[0], fault
    check(results, undisturbed)
