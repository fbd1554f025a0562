"""The page in headless Chromium: every kind of model in every place, numbers as in Python, links for every device."""

import numpy as np
import pytest
from conftest import tiny_config, write_random_checkpoint
from PIL import Image
from playwright.sync_api import expect
from visitor import STATIONS, TOOLS
from waiting import wait_until

import cct_viz
from cct_viz.architecture.config import Preprocessing, numbered_labels
from cct_viz.architecture.presets import DEFAULT
from cct_viz.checkpoints import safetensors
from cct_viz.inference.load import load
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.site import write_page, write_site

DEER = next(path for path in EXAMPLES if path.stem == "deer")
MODELS = {
    "class token": tiny_config(pool="class_token"),
    "mean": tiny_config(pool="mean"),
    "max": tiny_config(pool="max"),
    "fourteen layers": tiny_config(num_layers=14, num_heads=3),
    "105 classes": tiny_config(labels=numbered_labels(105)),
    "grey": tiny_config(channels=1, preprocessing=Preprocessing(mean=(0.4,), std=(0.3,))),
    "one class": tiny_config(labels=("tumour",), output="sigmoid"),
    "independent classes": tiny_config(output="sigmoid"),
}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A picture of neither the size nor the shape of any model's input."""
    path = tmp_path_factory.mktemp("pictures") / "garden.png"
    colours = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    Image.fromarray(colours).resize((160, 100), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of the bundled models with the project's gallery."""
    return write_site([load(DEFAULT), load("keras_cct_cifar10")], tmp_path_factory.mktemp("site")).as_uri()


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_opens_in_every_place(visit, picture, tmp_path, cache, kind):
    folder = write_random_checkpoint(tmp_path / "model", MODELS[kind])
    safetensors.write(folder, MODELS[kind], safetensors.read(folder).weights, dtype="float16")
    classifier = load(folder)
    write_page(classifier, picture, tmp_path / "page.html")
    visitor = visit((tmp_path / "page.html").as_uri(), size="projector", still=True)
    trace = classifier.trace(picture)
    shown = visitor.ask("[session.trace.logits, session.trace.evidence].map((values) => Array.from(values))")
    # float32 on both sides, summed in another order
    np.testing.assert_allclose(shown[0], trace.logits, atol=1e-4, rtol=1e-4)
    if trace.pooling_weights is not None:
        np.testing.assert_allclose(shown[1], trace.evidence.ravel(), atol=1e-4, rtol=1e-4)
    for place in (*STATIONS, *TOOLS, None):
        visitor.open(place)
        assert visitor.overflow() <= 0, place


def test_why_this_class(visit, site):
    """The equation stands in view with the model's numbers: weight x evidence = contribution, and their sum."""
    visitor = visit(site, size="projector")
    token, target = visitor.ask("[session.active, session.target]")
    trace = load(DEFAULT).trace(cct_viz.web.html.PHOTOS / "chelsea.jpg")
    assert target == int(trace.logits.argmax())
    assert token == int(trace.contributions[:, target].argmax())
    text = " ".join(visitor.page.locator(".equation").first.inner_text().split())
    assert f"{trace.pooling_weights[token] * 100:.2f} %" in text
    assert f"{trace.evidence[token, target]:+.2f}" in text
    assert f"{trace.contributions[token, target]:+.3f}" in text
    expect(visitor.page.locator(".equation").first).to_be_in_viewport(ratio=1)


def test_open_the_link_on_a_phone(visit, site):
    """The address that the desktop shows opens the same picture, token, class and station on a phone."""
    visitor = visit(site)
    visitor.ask("(session.choosePicture('ship'), 0)")
    wait_until(lambda: visitor.ask("session.shownPicture.id") == "ship")
    visitor.wait()
    visitor.ask("(session.selection.token = 12, session.selection.target = 3, session.selection.open('pool'), 0)")
    wait_until(lambda: "token=12" in visitor.page.url)
    seen = "[session.shownPicture.id, session.active, session.target, session.selection.station]"
    assert visitor.ask(seen) == ["ship", 12, 3, "pool"]
    phone = visit(visitor.page.url, size="phone")
    assert phone.ask(seen) == ["ship", 12, 3, "pool"]
