"""A group of workers trains as a single process does: the same weights, logs, averages and carried states.

The workers are processes on this machine, all cases run in one group, and everything is float64.
"""

import functools
import json

import pytest

from tests.forking import python

QUICK = ("plain", "language_model", "translation")
GUARANTEES = {
    "plain": ("plain", "weights"),
    "clipped": ("language_model", "logs"),  # among them the norm of the gradient, and how often it was clipped
    "averaged": ("language_model", "averages"),
    "stateful": ("language_model", "states"),
    "language model": ("language_model", "weights"),
    "translation": ("translation", "weights"),
}
"""What is compared in the quick tests: the case, and the kind of its results."""

STUDY = {
    2: ("resumed", "stateful", "uneven", "pairs_of_all_lengths", "clipvalue", "clipnorm"),
    4: (*QUICK, "stateful", "resumed", "uneven", "pairs_of_all_lengths", "clipvalue"),
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


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_two_workers_train_as_one_process(guarantee):
    case, kind = GUARANTEES[guarantee]
    check([worker[case] for worker in differences(2, QUICK)], kind)


@pytest.mark.study
@pytest.mark.parametrize(("workers", "case"), [(n, case) for n, cases in STUDY.items() for case in cases])
def test_more_cases_of_workers(workers, case):
    results = [worker[case] for worker in differences(workers, STUDY[workers])]
    for kind in results[0]:
        check(results, kind)
