"""The files for clusters in docs/distributed.md are valid by the schemas of Kubernetes and Ray, and fit each other."""

import json
import re
import shlex
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed, which reads the files")

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"


def documents(kind):
    """The YAML documents of a section of the page."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```yaml[^\n]*\n(.*?)```", section, re.DOTALL)
    return [document for block in blocks for document in yaml.safe_load_all(block)]


def of_kind(kind):
    return next(document for document in documents("Kubernetes") if document["kind"] == kind)


def test_the_workers_of_the_job_are_its_pods():
    """A pod of an indexed Job is JOB-INDEX, and the headless service makes it JOB-INDEX.SERVICE."""
    job, service, claim = (of_kind(kind) for kind in ("Job", "Service", "PersistentVolumeClaim"))
    name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
    (container,) = pod["containers"]
    port = container["ports"][0]["containerPort"]
    words = shlex.split(container["args"][0])
    count = job["spec"]["completions"]
    assert job["spec"]["parallelism"] == count and job["spec"]["completionMode"] == "Indexed"
    addresses = words[words.index("--workers") + 1].split(",")
    assert addresses == [f"{name}-{index}.{pod['subdomain']}:{port}" for index in range(count)]
    assert words[words.index("--index") + 1] == "$JOB_COMPLETION_INDEX"
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]  # pods on more than one machine write to it
    mount = container["volumeMounts"][0]["mountPath"]
    assert all(words[words.index(option) + 1].startswith(f"{mount}/") for option in ("--data", "--out"))


@pytest.mark.parametrize("kind", ["Job", "Service", "PersistentVolumeClaim"])
def test_kubernetes_accepts_its_files(kind):
    validator = pytest.importorskip(
        "kubernetes_validate", reason="the schemas of Kubernetes are missing: pip install kubernetes-validate"
    )
    version = validator.latest_version()
    validator.validate(of_kind(kind), version, strict=True)
    with pytest.raises(validator.ValidationError):
        validator.validate({**of_kind(kind), "sepc": {}}, version, strict=True)


def test_ray_accepts_its_file():
    ray = pytest.importorskip("ray", reason="Ray is not installed, which has the schema of its clusters")
    from jsonschema import ValidationError, validate

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    (cluster,) = documents("Ray")
    validate(cluster, schema)
    with pytest.raises(ValidationError):
        validate({**cluster, "worker_ips": []}, schema)


def test_the_ray_cluster_has_a_machine_for_each_worker():
    (cluster,) = documents("Ray")
    provider = cluster["provider"]
    machines = {provider["head_ip"], *provider["worker_ips"]}
    assert len(machines) == 4 and cluster["max_workers"] == 3
    assert "--distribute ray --workers 4" in PAGE.read_text(encoding="utf-8")
