"""A group of workers trains as a single process does: the same weights, logs, averages and carried states.

The workers are processes on this machine, all cases run in one group, and everything is float64.
"""

import functools
import json

import pytest

from tests.forking import python

QUICK = ("language_model", "translation")
STUDY = {
    2: ("plain", "resumed", "stateful", "uneven", "pairs_of_all_lengths", "clipvalue", "clipnorm"),
    4: ("plain", *QUICK, "resumed", "stateful", "uneven", "pairs_of_all_lengths", "clipvalue"),
}


@functools.cache
def differences(workers, cases):
    """For each worker and each case, how its results differ from those of one process."""
    arguments = "-W", "ignore", "-m", "tests.distributed.one_and_many", workers, *cases
    done = python(*arguments, timeout=580, with_keras=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    results = json.loads(done.stdout)
    assert len(results) == workers
    return results


def check(results, kind):
    for result in results:
        assert result[kind]["difference"] <= 1e-6 and result[kind]["size"] > 0.1


@pytest.mark.parametrize("kind", ["weights", "averages", "states", "logs"])
def test_two_workers_train_the_language_model_of_one_process(kind):
    """It is stateful, its gradients are clipped, and its weights averaged."""
    check([worker["language_model"] for worker in differences(2, QUICK)], kind)


@pytest.mark.parametrize("kind", ["weights", "logs"])
def test_two_workers_train_the_translator_of_one_process(kind):
    """Its steps are plain, and of 7 pairs, which two workers do not share equally."""
    check([worker["translation"] for worker in differences(2, QUICK)], kind)


@pytest.mark.study
@pytest.mark.parametrize(("workers", "case"), [(n, case) for n, cases in STUDY.items() for case in cases])
def test_more_cases_of_workers(workers, case):
    results = [worker[case] for worker in differences(workers, STUDY[workers])]
    for kind in results[0]:
        check(results, kind)
