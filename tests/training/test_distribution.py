"""Clipping on two replicas of `tf.distribute` is clipping on one device, and where it is not, `fit` says so."""

import json

import pytest

from tests.forking import python


@pytest.fixture(scope="module")
def results():
    """What `two_replicas` prints; logical devices can only be made before TensorFlow starts, so in a new process."""
    done = python("-m", "tests.training.two_replicas", with_keras=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["global_clipnorm", "clipnorm", "clipvalue", "watched, averaging"])
def test_two_replicas_take_the_step_of_one(name, results):
    """To 1e-12 in float64, with tokens that occur on both replicas and more than once on each."""
    result = results[name]
    assert result["synchronized"] <= 1e-12 and result["moved"] > 5e-3
    assert max(result["logs"].values()) < 1e-6


def test_without_synchronized_they_do_not(results):
    assert results["global_clipnorm"]["stock"] > 1e-3


def test_gradients_are_logged_and_averages_validated_on_two_replicas(results):
    names = {"gradient_norm", "largest_gradient_norm", "clip_ratio", "val_loss", "loss"}
    assert set(results["watched, averaging"]["logs"]) == names


def test_fit_warns_of_a_clipped_or_watched_optimizer(results):
    sentences = results["warnings"]
    assert len(sentences["clips"]) == 1 and "clips (clipnorm=0.2) on each of 2 replicas" in sentences["clips"][0]
    assert "measures gradients on each of 2 replicas" in sentences["watched"][0]
    assert sentences["synchronized"] == sentences["plain"] == []


def of_group(case):
    """What `two_replicas` prints about a group of two devices."""
    done = python("-m", "tests.training.two_replicas", case)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.study
@pytest.mark.parametrize("case", ["stateful", "plain"])
def test_a_group_of_two_devices_trains_as_one(case):
    """Carried states on both, which a validation leaves as they were; batches that cannot be divided equally."""
    result = of_group(case)
    assert result["weights"] <= 1e-6 and result["logs"] <= 1e-6


@pytest.mark.study
@pytest.mark.parametrize(("policy", "rounding"), [("mixed_float16", 0.005), ("mixed_bfloat16", 0.04)])
def test_lower_precision_and_clipping_on_two_devices(policy, rounding):
    """Within the rounding of 12 steps, of 11 bits and of 8, as a share of the way that the weights have moved."""
    result = of_group(policy)
    assert result["off_first"] == 0 and result["scaled"] == (policy == "mixed_float16")
    assert result["moved"] > 0.1 and result["off"] < rounding * result["moved"]


@pytest.mark.study
def test_float16_steps_are_skipped_on_all_replicas_or_on_none():
    infinite, finite = of_group("float16")
    assert infinite == {"moved": [0.0, 0.0], "scale": 2.0}
    assert finite["moved"][0] == finite["moved"][1] > 0 and finite["scale"] == 2.0


@pytest.mark.study
def test_a_metric_from_outside_of_the_group_is_refused():
    assert "'mean_squared_error' was made outside of the group" in of_group("metric")
