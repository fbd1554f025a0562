"""The page in headless Chromium, opened from disk: every kind of model, every place, and five people's tasks."""

import numpy as np
import pytest
from conftest import prepare, tiny_config, write_random_checkpoint
from PIL import Image
from visitor import SIZES, STATIONS, TOOLS, Visitor, upload
from waiting import wait_until

import cct_viz
from cct_viz.architecture.config import Preprocessing, numbered_labels
from cct_viz.architecture.presets import DEFAULT
from cct_viz.checkpoints import safetensors
from cct_viz.inference.load import load
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.html import TITLE
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
# The sum of all shifts that no input caused, as web.dev/cls defines it but for its windows.
COUNT_SHIFTS = """
globalThis.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifts.push(entry.value);
}).observe({type: "layout-shift", buffered: true});
"""


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


@pytest.fixture
def visit(chromium):
    visitors = []

    def open_page(url, **options):
        visitors.append(Visitor(chromium, url, offline=True, **options))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.check_quiet()
        visitor.close()


@pytest.mark.parametrize("kind", MODELS)
def test_every_kind_of_model_opens_in_every_place(visit, picture, tmp_path, cache, kind):
    folder = write_random_checkpoint(tmp_path / "model", MODELS[kind])
    safetensors.write(folder, MODELS[kind], safetensors.read(folder).weights, dtype="float16")
    classifier = load(prepare(folder))
    write_page(classifier, picture, tmp_path / "page.html")
    visitor = visit((tmp_path / "page.html").as_uri(), size="projector")
    trace = classifier.trace(picture)
    shown = visitor.ask("[session.trace.logits, session.trace.evidence].map((values) => Array.from(values))")
    # float32 on both sides, summed in another order
    np.testing.assert_allclose(shown[0], trace.logits, atol=1e-4, rtol=1e-4)
    if trace.pooling_weights is not None:
        np.testing.assert_allclose(shown[1], trace.evidence.ravel(), atol=1e-4, rtol=1e-4)
    for place in (*STATIONS, *TOOLS, None):
        visitor.open(place)
        assert visitor.overflow() <= 0, place


@pytest.mark.parametrize("size", SIZES)
def test_every_place_fits(visit, site, size):
    visitor = visit(site, size=size)
    for place in (None, *STATIONS, *TOOLS):
        visitor.open(place)
        assert visitor.overflow() <= 0, place


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("projector", True), ("phone", False), ("phone", True)])
def test_nothing_serious_stands_in_the_way_of_anyone(visit, site, size, dark):
    visitor = visit(site, size=size, dark=dark)
    for place in (None, *STATIONS, *TOOLS):
        visitor.open(place)
        assert visitor.violations() == [], place


def test_what_is_it(visit, site):
    """A stranger reads one sentence, sees an answer and two buttons, without scrolling."""
    visitor = visit(site, size="projector")
    assert visitor.page.title() == TITLE
    for text in ("See how a small vision transformer recognises a picture", "Take the 5-minute tour", "own photo"):
        box = visitor.page.get_by_text(text).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= SIZES["projector"][1]
    assert visitor.verdict.startswith("The model answers cat, ")


def test_use_my_photo(visit, site, picture):
    """One click opens the dialogue; a bad file leaves everything as it was and says why."""
    visitor = visit(site)
    upload(visitor, DEER)
    wait_until(lambda: visitor.ask("session.shownPicture.name") == "deer")
    visitor.wait()
    classifier = load(DEFAULT)
    label, share = classifier.trace(DEER).top(1)[0]
    assert f"{label}, {share * 100:.1f} %" in visitor.verdict
    before = visitor.ask("[session.shownPicture.id, Array.from(session.trace.logits)]")
    upload(visitor, picture.with_name("notes.png"))
    visitor.page.wait_for_selector("[role=alert]")
    assert "notes.png is not an image that this page reads" in visitor.page.locator("[role=alert]").inner_text()
    assert visitor.ask("[session.shownPicture.id, Array.from(session.trace.logits)]") == before


@pytest.fixture(autouse=True)
def notes(picture):
    picture.with_name("notes.png").write_text("These are notes and no picture.")


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
    box = visitor.page.locator(".equation").first.bounding_box()
    assert box["y"] + box["height"] <= SIZES["projector"][1]


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


def test_back_undoes_a_station_and_a_picture(visit, site):
    visitor = visit(site)
    visitor.open("attention")
    wait_until(lambda: "station=attention" in visitor.page.url)
    visitor.page.go_back()
    wait_until(lambda: visitor.ask("session.selection.station") is None)
    visitor.page.go_forward()
    wait_until(lambda: visitor.ask("session.selection.station") == "attention")


def test_keys_move_the_token_and_open_the_stations(visit, site):
    visitor = visit(site)
    first = visitor.ask("session.active")
    visitor.page.keyboard.press("ArrowRight" if first % 8 < 7 else "ArrowLeft")
    assert abs(visitor.ask("session.active") - first) == 1
    visitor.page.keyboard.press("1")
    assert visitor.ask("session.selection.station") == "pixels"
    visitor.page.keyboard.press("Escape")
    assert visitor.ask("session.active") == first
    visitor.page.keyboard.press("Escape")
    assert visitor.ask("session.selection.station") is None


def test_another_model_explains_the_same_picture(visit, site):
    visitor = visit(site)
    visitor.ask("(session.chooseModel('keras_cct_cifar10'), 0)")
    wait_until(lambda: visitor.ask("session.shownModel.id") == "keras_cct_cifar10")
    assert visitor.ask("session.shownPicture.id") == "chelsea"


def test_nothing_moves_while_the_page_opens(visit, site):
    visitor = visit(site, script=COUNT_SHIFTS)
    wait_until(lambda: visitor.ask("Object.keys(session.marks).length") == visitor.ask("session.pictures.length"))
    assert visitor.page.evaluate("shifts.reduce((sum, one) => sum + one, 0)") < 0.05
