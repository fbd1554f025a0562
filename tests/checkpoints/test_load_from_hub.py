"""load("owner/name") from end to end: a real SavedModel, the real Hub client, a Hub on loopback."""

from pathlib import Path

import keras_models
import numpy as np
import pytest

from cct_viz.checkpoints.cache import is_ready
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
    assert is_ready(snapshot.folder)
    fake_hub.close()
    again = load("keras-io/cct", offline=True)  # from the caches, without the Hub
    assert again.source == classifier.source


@pytest.mark.parametrize("name", ["checkpoint.weights.h5", "model.keras"])
def test_what_keras_3_saves_loads_from_the_hub_by_name(fake_hub, cache, tmp_path, name):
    """As someone who followed today's keras.io example has it in a repository, beside other files."""
    folder = tmp_path / "repository"
    folder.mkdir()
    model = keras_models.example()
    model.save(folder / name) if name.endswith(".keras") else model.save_weights(folder / name)
    (folder / "README.md").write_text("# My transformer")
    (folder / "training.log").write_text("epoch 1")
    fake_hub.serve(folder, "somebody/my-cct")
    classifier = load("somebody/my-cct")
    pixels = np.random.default_rng(1).integers(0, 256, (3, *classifier.config.image_size, 3), np.uint8)
    logits = np.stack([trace.logits for trace in classifier.traces(pixels)])
    np.testing.assert_allclose(logits, keras_models.answer(model, pixels), atol=1e-5)
    assert classifier.config.assumptions  # the form of GELU at least
    asked = {request.path.rpartition("/")[2] for request in fake_hub.requests if request.route == "file"}
    assert asked == {name}
