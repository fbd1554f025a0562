"""load("owner/name") from end to end: a real SavedModel, the real Hub client, a Hub on loopback."""

from pathlib import Path

import numpy as np

from cct_viz.checkpoints.cache import is_cached
from cct_viz.checkpoints.hub import cached
from cct_viz.inference.load import load

pytest_plugins = ["fake_hub"]

FOLDER = Path(__file__).parents[1] / "data" / "keras_io_saved_model"


def test_saved_model_on_the_hub_classifies_like_its_own_signature(fake_hub, cache):
    commit = fake_hub.serve(FOLDER, "keras-io/cct")
    seen = []
    classifier = load("keras-io/cct", progress=lambda done, total, text: seen.append((done, total)))
    assert classifier.source.kind == "hub"
    assert classifier.source.name == "keras-io/cct"
    assert classifier.source.revision == commit
    assert seen
    assert seen[-1][0] == seen[-1][1] > 0
    with np.load(FOLDER / "io.npz") as reference:
        logits = np.stack([trace.logits for trace in classifier.traces(reference["x"])])
        np.testing.assert_allclose(logits, reference["logits"], atol=1e-4)  # the mark set for ports; 1e-6 is usual
    (snapshot,) = cached()
    assert (snapshot.repo_id, snapshot.revision) == ("keras-io/cct", commit)
    assert is_cached(snapshot.folder)
    fake_hub.close()
    again = load("keras-io/cct", offline=True)  # from the caches, without the Hub
    assert again.source == classifier.source
