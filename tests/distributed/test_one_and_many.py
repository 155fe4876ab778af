"""A group of workers trains as a single process does: the same weights, logs, averages and carried states.

The workers are processes on this machine, all cases run in one group, and everything is float64.
"""

import functools
import json

import pytest

from tests.forking import python

QUICK = {2: ("stateful",)}
STUDY = {
    2: ("resumed", "plain", "translation", "clipvalue", "clipnorm"),
    4: ("stateful", "resumed", "plain", "translation", "clipvalue"),
}


@functools.cache
def differences(workers, cases):
    """For each worker and each case, how its results differ from those of one process."""
    done = python("-W", "ignore", "-m", "tests.distributed.one_and_many", str(workers), *cases, timeout=580)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return json.loads(done.stdout)


def check(workers, cases, case):
    results = [worker[case] for worker in differences(workers, cases)]
    assert len(results) == workers
    for result in results:
        assert result["weights"] <= 1e-6 and result["size"] > 0.1
        assert result["names"][0] == result["names"][1] and result["logs"] <= 1e-6


@pytest.mark.parametrize(("workers", "case"), [(n, case) for n, cases in QUICK.items() for case in cases])
def test_workers_train_as_one_process(workers, case):
    check(workers, QUICK[workers], case)


@pytest.mark.study
@pytest.mark.parametrize(("workers", "case"), [(n, case) for n, cases in STUDY.items() for case in cases])
def test_more_cases_of_workers(workers, case):
    check(workers, STUDY[workers], case)
