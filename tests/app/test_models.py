"""The models of an app: loading at the start, downloads in the background, and their error messages."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from waiting import wait_until

from cct_viz.app import models as app_models
from cct_viz.app.models import HUB_REPO, Models
from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.hub import HubError
from cct_viz.images.decode import ImageError

PIXELS = np.zeros((12, 20, 3), np.uint8)


class Net:
    """A stub for a Classifier that counts concurrent calls."""

    def __init__(self, name, kind="hub", accuracy=None):
        self.accuracy = accuracy
        self.config = tiny_config()
        self.labels = self.config.labels
        self.num_parameters = 1234
        self.source = SimpleNamespace(
            kind=kind, name=name, sha256="ab" * 32, revision="c" * 40 if kind == "hub" else None
        )
        self.inside = self.most = 0
        self.crowded = threading.Event()

    def preprocess(self, image):
        return image

    def trace(self, image):
        self.inside += 1
        self.most = max(self.most, self.inside)
        if self.inside > 1:
            self.crowded.set()
        self.crowded.wait(0.01)  # time for a second call to enter, if it were possible
        self.inside -= 1
        return make_trace(self.config)


@pytest.fixture(autouse=True)
def no_presets(monkeypatch):
    monkeypatch.setattr(app_models, "PRESETS", {})
    monkeypatch.setattr(app_models.hub, "cached", list)  # tests do not depend on the cache of this machine


def downloading(load, *sources):
    models = Models(sources, load=load)
    models.download()
    return models


def wait(models):
    wait_until(lambda: not models.hub_line().busy)
    return models.hub_line()


def test_without_weights_there_is_a_message():
    models = Models(hub=False)
    assert models.names() == []
    assert "no trained weights" in models.problem
    with pytest.raises(CheckpointError, match="available: none"):
        models.trace("keras_cct_cifar10", PIXELS)


def test_damaged_bundled_weights_give_a_message_and_do_not_stop_the_start(monkeypatch, tmp_path):
    monkeypatch.setattr(app_models, "PRESETS", {"mine": SimpleNamespace(folder=tmp_path)})

    def load(source, **options):
        raise CheckpointError("mine: model.safetensors is not the file of this release")

    models = Models(hub=False, load=load)
    assert "model.safetensors" in models.problem


def test_a_folder_is_served(tiny_classifier, tiny_folder):
    models = Models([str(tiny_folder)], hub=False)
    assert models.names() == ["tiny"]
    assert models.problem == ""
    model = models.get("tiny")
    assert (model.source.kind, model.accuracy) == ("folder", None)
    assert model.source.sha256 == tiny_classifier.source.sha256
    np.testing.assert_array_equal(models.trace("tiny", PIXELS).logits, tiny_classifier.trace(PIXELS).logits)


def test_a_folder_comes_before_the_bundle_and_says_its_accuracy(tmp_path, monkeypatch):
    monkeypatch.setattr(app_models, "PRESETS", {"bundled": SimpleNamespace(folder=tmp_path)})
    (tmp_path / "net").mkdir()
    models = Models([str(tmp_path / "net")], hub=False, load=lambda source: Net(Path(source).name, "folder", 0.815))
    assert models.names() == ["net", "bundled"]
    assert models.get("net").accuracy == 0.815


def test_two_folders_of_one_name_are_both_listed(tmp_path):
    folders = [tmp_path / "a" / "net", tmp_path / "b" / "net"]
    for folder in folders:
        folder.mkdir(parents=True)
    models = Models([str(folder) for folder in folders], hub=False, load=lambda source: Net("net", "folder"))
    assert len(models.names()) == 2
    assert models.get(models.names()[0]) is not models.get(models.names()[1])


def test_folder_named_as_bundled_weights_does_not_replace_them(tmp_path, monkeypatch):
    monkeypatch.setattr(app_models, "PRESETS", {"net": SimpleNamespace(folder=tmp_path / "bundle")})
    (tmp_path / "net").mkdir()

    def load(source):
        return Net("net", "bundled" if source == "net" else "folder")

    models = Models([str(tmp_path / "net")], hub=False, load=load)
    assert models.names() == ["net'", "net"]
    assert [models.get(name).source.kind for name in models.names()] == ["folder", "bundled"]
    assert Models(["net"], hub=False, load=load).names() == ["net"]


def test_invalid_folder_is_refused_at_the_start(tmp_path):
    with pytest.raises(CheckpointError):
        Models([str(tmp_path)], hub=False)
    with pytest.raises(CheckpointError, match="the Hub is off"):
        Models(["owner/name"], hub=False)


def test_invalid_image_is_refused_before_the_model_runs(tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    net = Net("mine", "folder")
    models = Models([str(tmp_path)], hub=False, load=lambda source: net)
    with pytest.raises(ImageError, match=r"notes\.png"):
        models.trace("mine", tmp_path / "notes.png")
    assert net.most == 0


@pytest.mark.parametrize("kind", ["offline", "not found", "forbidden", "busy", "damaged"])
def test_hub_error_gives_a_line_and_retry_downloads(kind):
    answers = [HubError(kind, f"The Hub says {kind}: do this."), Net(HUB_REPO)]

    def load(source, progress):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    models = downloading(load)
    line = wait(models)
    assert line.can_retry
    assert HUB_REPO in line.text
    assert f"The Hub says {kind}: do this." in line.text
    models.download()
    line = wait(models)
    assert not line.can_retry
    assert models.names() == [HUB_REPO]
    assert models.get(HUB_REPO).source.revision == "c" * 40
    models.download()  # nothing is missing, so there is no request
    assert not models.hub_line().busy


def test_nothing_is_downloaded_before_the_app_serves():
    """A download takes processor time, for which the page would have to wait."""
    models = Models(load=lambda source, **options: pytest.fail("a request"))
    assert models.hub_line() == app_models.HubLine("")


def test_line_names_the_downloaded_and_the_failed_repo():
    def load(source, progress):
        if source == HUB_REPO:
            raise HubError("offline", "The Hub is away: do this.")
        return Net(source)

    line = wait(downloading(load, "a/b"))
    assert "Downloaded from the Hub: a/b." in line.text
    assert f"{HUB_REPO} could not be loaded. The Hub is away: do this." in line.text
    assert line.can_retry


@pytest.mark.parametrize("error", [CheckpointError("keras-io/cct: 3 weights are missing"), RuntimeError("secret path")])
def test_every_error_gives_a_line(error):
    def load(source, progress):
        raise error

    line = wait(downloading(load))
    assert line.can_retry
    assert line.text.startswith(HUB_REPO)
    assert "secret" not in line.text


def test_progress_is_shown_and_a_second_retry_does_nothing():
    go, calls = threading.Event(), []

    def load(source, progress):
        calls.append(source)
        progress(10, 100, "keras-io/cct: 10 %")
        go.wait(5)
        return Net(source)

    models = downloading(load)
    wait_until(lambda: models.hub_line().text == "keras-io/cct: 10 %")
    assert models.hub_line().busy
    models.download()
    go.set()
    wait(models)
    assert calls == [HUB_REPO]


def test_one_model_call_at_a_time(tmp_path):
    net = Net("mine", "folder")
    models = Models([str(tmp_path)], hub=False, load=lambda source: net)
    threads = [threading.Thread(target=models.trace, args=("mine", PIXELS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.most == 1


def test_cached_hub_models_are_listed_without_a_request(monkeypatch, tmp_path):
    ready, raw, damaged = (SimpleNamespace(repo_id=f"a/{name}", folder=tmp_path / name) for name in ("b", "c", "d"))
    monkeypatch.setattr(app_models.hub, "cached", lambda: [ready, raw, damaged])
    monkeypatch.setattr(app_models.cache, "is_ready", lambda folder: folder != raw.folder)

    def load(source, *, offline):
        assert offline
        if source == "a/d":
            raise CheckpointError("it is damaged")
        return Net(source)

    models = Models(hub=False, load=load)
    assert models.names() == ["a/b"]
    assert models.hub_line().text == "The cached a/d cannot be used: it is damaged"


def test_works_follows_the_last_call():
    net = Net("mine")
    models = Models(load=lambda source, **options: net, hub=False)
    assert (models.is_there(), models.works()) == (False, True)
    models = downloading(lambda source, **options: net)
    wait(models)
    assert (models.is_there(), models.works()) == (True, True)

    def fail(image):
        raise RuntimeError("out of memory")

    models.get(HUB_REPO).trace, whole = fail, net.trace
    with pytest.raises(RuntimeError):
        models.trace(HUB_REPO, PIXELS)
    assert not models.works()
    net.trace = whole
    models.trace(HUB_REPO, PIXELS)
    assert models.works()


def test_works_is_false_during_a_call_that_hangs(monkeypatch):
    go, net = threading.Event(), Net("mine")
    net.trace = lambda image: go.wait(5)
    models = downloading(lambda source, **options: net)
    wait(models)
    thread = threading.Thread(target=models.trace, args=(HUB_REPO, PIXELS))
    thread.start()
    try:
        wait_until(models._running.locked)
        assert models.works()
        monkeypatch.setattr(app_models, "STUCK_SECONDS", -1.0)
        assert not models.works()
    finally:
        go.set()
        thread.join()


def test_one_session_serves_every_call(tiny_folder, monkeypatch):
    import onnxruntime

    calls, session = [], onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **o: calls.append(session(*a, **o)) or calls[-1])
    models = Models([str(tiny_folder)], hub=False)
    threads = [threading.Thread(target=models.trace, args=("tiny", PIXELS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
