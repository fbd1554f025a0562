"""A cluster of two nodes on this machine, one of which is lost in the middle of its work."""

import dataclasses
import errno
import os
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import wait_until

import cct_viz
from cct_viz.dataset.chunks import Files
from cct_viz.dataset.measures import Question
from cct_viz.dataset.on_ray import run_on_ray
from cct_viz.dataset.parts import TABLES
from cct_viz.dataset.sources import list_chunks
from cct_viz.dataset.worker import Job

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("ray"), reason="Ray is missing; get it with: pip install 'ray[data]'"),
    pytest.mark.filterwarnings("default"),  # Ray's own
]

START = 300  # seconds in which Ray starts on a busy machine
ROOT = Path(__file__).parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Held(Files):
    """Files that say which node reads them, and wait for the loss of the second node if that is the one."""

    notes: Path

    def read(self, names=None):
        import ray

        node = ray.get_runtime_context().get_node_id()
        (self.notes / f"{self.files[0].name} {node}").touch()
        if node == (self.notes / "second").read_text():
            raylet = os.getppid()
            wait_until(lambda: os.getppid() != raylet, patience=START)
            os._exit(1)  # a process that outlives its node for a moment could still answer
        yield from super().read()


@dataclasses.dataclass(frozen=True)
class Away(Files):
    """Files on a disk that is away."""

    def read(self, names=None):
        raise OSError(errno.EIO, "the disk is away")


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, ROOT / "tests", ROOT / "tests" / "dataset"))))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield cluster
    import ray

    ray.shutdown()
    cluster.shutdown()


def test_the_loss_of_a_node_loses_no_picture_and_repeats_none(cluster, tiny_classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("cct_viz.dataset.sources.CHUNK", 2)
    photos, notes = tmp_path / "photos", tmp_path / "notes"
    photos.mkdir()
    notes.mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(photos / f"{i:02}.png")
    (photos / "05.png").write_bytes(b"damaged")
    whole = cct_viz.analyse(tiny_classifier, photos, tmp_path / "whole", methods=["rollout"])
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    (notes / "second").write_text(second.node_id)

    def lose_second():
        wait_until(lambda: list(notes.glob(f"* {second.node_id}")), patience=START)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=lose_second)
    killer.start()
    out = tmp_path / "out"
    for table in TABLES:
        (out / table).mkdir(parents=True)
    chunks = [Held(chunk.fs, chunk.files, notes) for chunk in list_chunks(str(photos))]
    job = Job(tiny_classifier.config, dict(tiny_classifier.weights), Question(("rollout",)), out)
    assert sum(run_on_ray(job, tiny_classifier, list(enumerate(chunks)), 2)) == 12
    killer.join()
    begun = [path.name.split(" ")[0] for path in notes.glob("* *")]
    assert len(begun) > len(set(begun)) == 6  # what the lost node held was begun again
    (out / "manifest.json").write_bytes((tmp_path / "whole" / "manifest.json").read_bytes())
    lost = cct_viz.read_analysis(out)
    assert lost.pictures().equals(whole.pictures())
    assert lost.problems().equals(whole.problems())
    assert all(one.equals(other) for (_, one), (_, other) in zip(lost.patches(), whole.patches(), strict=True))
    with pytest.raises(OSError, match="the disk is away"):
        list(run_on_ray(job, tiny_classifier, [(99, Away(chunks[0].fs, chunks[0].files))], 1))
