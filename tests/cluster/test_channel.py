"""Workers that find each other, compare what must be equal, and never wait longer than they were told."""

import json
import socket
import threading
import time

import pytest

from keras_rnnkit.cluster import Cluster, ClusterError, DisagreementError
from keras_rnnkit.cluster.addresses import from_tf_config, local_cluster
from keras_rnnkit.cluster.agreement import agree, code_facts
from keras_rnnkit.cluster.channel import Channel


def together(*functions):
    """What each of these functions returns or raises, run at the same time."""
    results = [None] * len(functions)

    def run(place):
        try:
            results[place] = functions[place]()
        except ClusterError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results


def worker(addresses, index, action, seconds=5.0):
    def run():
        channel = Channel(Cluster(addresses, index), seconds)
        try:
            return action(channel)
        finally:
            channel.close()

    return run


def meet(channel):
    return channel.exchange(0)


def test_each_worker_receives_the_values_of_all():
    addresses = local_cluster(3)
    workers = [worker(addresses, i, lambda c, i=i: [c.exchange(i), c.exchange({"again": i})]) for i in range(3)]
    expected = [[0, 1, 2], [{"again": 0}, {"again": 1}, {"again": 2}]]
    assert together(*workers) == [expected] * 3


def test_the_port_is_free_again_when_all_are_connected():
    """TensorFlow listens at the same address, while the connections of the channel stay open."""
    addresses = local_cluster(2)

    def listens(channel):
        host, port = addresses[channel.cluster.index].split(":")
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
            listener.listen()
            return channel.exchange("still there")

    assert together(*(worker(addresses, i, listens) for i in range(2))) == [["still there"] * 2] * 2


def test_a_difference_is_one_sentence_on_all_workers():
    addresses = local_cluster(3)
    facts = [{"seed": 1, "units": 8}, {"seed": 1, "units": 8}, {"seed": 2, "units": 8}]
    errors = together(*(worker(addresses, i, lambda c, i=i: agree(c, facts[i], "compared")) for i in range(3)))
    assert all(isinstance(error, DisagreementError) for error in errors)
    assert {str(error) for error in errors} == {
        "Worker 2 does not fit the chief: seed is 1 on the chief and 2 on worker 2. Start all workers with the same "
        "code, data and settings."
    }


def test_code_facts_notice_another_file_of_the_package(monkeypatch, tmp_path):
    from keras_rnnkit.cluster import agreement

    before = code_facts()
    monkeypatch.setattr(agreement, "__file__", str(tmp_path / "package" / "cluster" / "agreement.py"))
    (tmp_path / "package" / "cluster").mkdir(parents=True)
    (tmp_path / "package" / "cluster" / "agreement.py").write_text("# another version")
    after = code_facts()
    assert [name for name in before if before[name] != after[name]] == ["the code of keras_rnnkit"]


def test_a_worker_that_never_comes():
    addresses = local_cluster(3)
    began = time.monotonic()
    errors = together(*(worker(addresses, i, meet, seconds=0.5) for i in (0, 2)))
    assert time.monotonic() - began < 5
    for error in errors:
        assert f"Worker 1 ({addresses[1]}) did not come within 0 seconds. Start the same command there" in str(error)


def test_a_chief_that_never_comes():
    addresses = local_cluster(2)
    (error,) = together(worker(addresses, 1, meet, seconds=0.3))
    assert f"The chief, worker 0, did not answer at {addresses[0]}" in str(error)


@pytest.mark.parametrize("index", [0, 1])
def test_a_port_in_use(index):
    addresses = local_cluster(2)
    host, port = addresses[index].split(":")
    with socket.create_server((host, int(port))):
        (error,) = together(worker(addresses, index, meet))
    assert f"This worker cannot listen at {addresses[index]}: Address already in use. Another program" in str(error)


def test_another_list_of_workers():
    addresses = local_cluster(3)
    errors = together(worker(addresses, 0, meet, seconds=1), worker((*addresses[:2], "other:1"), 1, meet))
    assert "The chief has the workers" in str(errors[1]) and "and worker 1 has" in str(errors[1])
    assert "did not come within 1 seconds" in str(errors[0]) and f"came and was refused: {errors[1]}" in str(errors[0])


def test_two_workers_with_the_same_index():
    addresses = local_cluster(3)
    impostors = [worker(addresses, 1, lambda c: c.exchange(1), seconds=1) for _ in range(2)]
    errors = together(worker(addresses, 0, meet, seconds=1), *impostors)
    assert any(re_used in str(errors) for re_used in ("Two workers have the index 1", "Address already in use"))


def test_a_worker_that_dies_or_falls_silent():
    addresses = local_cluster(2)
    ended = threading.Event()

    def ask(channel):
        try:
            return channel.exchange(0, "compared their data")
        finally:
            ended.set()

    gone, _ = together(worker(addresses, 0, ask), worker(addresses, 1, lambda channel: None))
    assert "Worker 1" in str(gone) and "has gone" in str(gone)
    ended.clear()
    silent, _ = together(worker(addresses, 0, ask, 0.5), worker(addresses, 1, lambda channel: ended.wait(10)))
    assert "was silent for too long while the workers compared their data" in str(silent)


def test_a_program_that_is_no_worker_is_ignored():
    addresses = local_cluster(2)

    def knock():
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                with socket.create_connection(tuple_of(addresses[0])) as visitor:
                    visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    return visitor.recv(1)
            except OSError:
                time.sleep(0.01)
        return None

    def late():
        time.sleep(0.3)
        return worker(addresses, 1, lambda c: c.exchange("b"))()

    assert together(worker(addresses, 0, lambda c: c.exchange("a")), knock, late)[0] == ["a", "b"]


def tuple_of(address):
    host, port = address.split(":")
    return host, int(port)


def test_tf_config():
    config = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 1}}
    assert from_tf_config(json.dumps(config)) == Cluster(("a:1", "b:1", "c:1"), 2)
    assert from_tf_config(Cluster(("a:1", "b:1"), 1).tf_config) == Cluster(("a:1", "b:1"), 1)


CHIEF_OF_ONE = '{"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "chief", "index": 1}}'


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: from_tf_config("{"), "TF_CONFIG cannot be read"),
        (lambda: from_tf_config('{"cluster": {"ps": []}, "task": {"type": "ps"}}'), "makes this process a 'ps'"),
        (lambda: from_tf_config("[]"), "TF_CONFIG cannot be read"),
        (lambda: from_tf_config('{"cluster": {"worker": [1]}, "task": {"index": 0}}'), "host:port.*Received: 1"),
        (lambda: from_tf_config(CHIEF_OF_ONE), "makes this process chief 1, and its cluster has 1"),
        (lambda: Cluster(("a:1", "a:1"), 0), "Two workers have the address a:1"),
        (lambda: Cluster(("a:1",), 1), "there are 1 workers. Received: index 1"),
        (lambda: Cluster(("a",), 0), "must be host:port.*Received: 'a'"),
        (lambda: Cluster(("a:1",), -1), "there are 1 workers. Received: index -1"),
        (lambda: Cluster.from_environment("a:1,b:1"), "--workers needs --index"),
        (lambda: Cluster.from_environment(index=0), "--index needs --workers"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ClusterError, match=sentence):
        make()


def test_two_descriptions_that_differ(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", Cluster(("a:1", "b:1"), 1).tf_config)
    assert Cluster.from_environment("a:1,b:1", 1) == Cluster.from_environment()
    with pytest.raises(ClusterError, match="make this process worker 0 of a:1,b:1, and TF_CONFIG makes it worker 1 of"):
        Cluster.from_environment("a:1,b:1", 0)


def test_a_host_without_an_address():
    (error,) = together(lambda: Channel(Cluster(("no-such-host.invalid:2222", local_cluster(1)[0]), 1), 0.3))
    assert "The chief, worker 0, did not answer at no-such-host.invalid:2222 within 0 seconds" in str(error)


def test_no_addresses_at_all(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ClusterError, match="rnnkit launch"):
        Cluster.from_environment()
