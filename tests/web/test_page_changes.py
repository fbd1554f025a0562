"""The picture is changed by hand, and the whole page follows. Needs Chromium."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect
from visitor import page_with
from waiting import wait_until

import cct_viz
from cct_viz.images.preprocessing import normalise

TOLERANCE = 0.005  # logits: the page carries the weights as float16


@pytest.fixture(scope="module")
def model():
    return cct_viz.load("cct_2_3x2_32_cifar10")


@pytest.fixture(scope="module")
def site(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "site.html"
    path.write_text(page_with(model, cct_viz.load("cct_2_3x2_seqpool_seed0")))
    return path


@pytest.fixture
def view(visit, site):
    def open_one(size="projector", hash="station=paint", dark=False):
        return visit(f"{site.as_uri()}#{hash}", size=size, dark=dark, still=True)

    return open_one


def wait_for_changes(visitor) -> None:
    """Until the page shows the pixels under the hand."""
    wanted = "String(session.edits.pixels ?? session.untouched.pixels)"
    wait_until(lambda: visitor.ask(f"String(session.trace.pixels) === {wanted}"))


def draw(visitor, *places) -> None:
    """A stroke of the mouse from place to place, each a share of the picture's width and height."""
    box = visitor.page.locator(".canvas").bounding_box()
    for number, (x, y) in enumerate(places):
        visitor.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            visitor.page.mouse.down()
    visitor.page.mouse.up()
    wait_for_changes(visitor)


def answer(visitor) -> str:
    """As "The model answers cat, 97.4 %"."""
    return visitor.verdict.split(" sure.")[0]


def button(visitor, name):
    return visitor.page.get_by_role("button", name=name, exact=True)


def test_a_stroke_reaches_every_station_and_is_undone_from_any(view, model):
    visitor = view()
    own = answer(visitor)
    expect(button(visitor, "Undo")).to_have_attribute("aria-disabled", "true")
    button(visitor, "Black").click()
    button(visitor, "9").click()
    draw(visitor, (0.3, 0.4), (0.5, 0.5), (0.7, 0.4))
    pixels = np.array(visitor.ask("Array.from(session.trace.pixels)"), np.uint8).reshape(32, 32, 3)
    expected = model.forward(normalise(pixels[None], model.config.preprocessing))[0]
    np.testing.assert_allclose(visitor.ask("Array.from(session.trace.logits)"), expected, atol=TOLERANCE)
    share = f"{100 * np.exp(expected).max() / np.exp(expected).sum():.1f}"
    painted = answer(visitor)
    assert f"{model.config.labels[expected.argmax()]}, {share}" in painted
    assert painted != own
    for station in ("pixels", "convolution", "tokens", "attention", "pool", "classes", None):
        visitor.open(station)
        shown = visitor.page.locator(".hero text.large").last.text_content()
        assert share in shown, station  # the drawing's answer
        expect(visitor.page.locator(".hero .tick").first).to_be_attached()  # the untouched picture's
        assert visitor.page.locator(".change").inner_text().startswith("Changed. Before: cat, 97.4")
    button(visitor, "Show before").click()
    assert answer(visitor) == own
    button(visitor, "Show before").click()
    assert answer(visitor) == painted
    visitor.open("pool")
    visitor.page.keyboard.press("Control+z")
    wait_for_changes(visitor)
    assert visitor.ask("session.changed") is None
    assert answer(visitor) == own
    visitor.page.keyboard.press("Control+Shift+Z")
    wait_for_changes(visitor)
    assert answer(visitor) == painted
    button(visitor, "Back to the original").click()
    wait_for_changes(visitor)
    expect(visitor.page.locator(".change")).to_have_count(0)


@pytest.mark.parametrize("size", ["small phone", "phone on its side"])
def test_a_phone_presents_a_changed_picture_with_all_its_words(view, size):
    visitor = view(size, hash="presenter=1&station=attention")
    visitor.page.evaluate(
        """() => {
          const { edits, untouched } = cctExplorer.session;
          edits.begin();
          edits.draw(untouched.pixels.map((level) => 255 - level));
        }"""
    )
    wait_for_changes(visitor)
    parts = [visitor.page.get_by_text("Changed. Before: cat"), button(visitor, "Back to the original")]
    parts += [visitor.page.locator(".presenter .foot b"), button(visitor, "Close")]
    for part in parts:
        expect(part).to_be_in_viewport(ratio=1)
    boxes = [part.bounding_box() for part in parts]
    assert boxes[1]["y"] + boxes[1]["height"] <= boxes[2]["y"]


def test_a_change_is_told_in_the_presenter_beside_messages_and_in_files(view):
    visitor = view()
    page = visitor.page
    draw(visitor, (0.3, 0.4), (0.6, 0.5))
    for hash in ("presenter=1&station=pool", ""):
        page.evaluate("(hash) => { location.hash = hash }", hash)
        page.evaluate("cctExplorer.session.say('done', () => 'Said beside it.')")
        line = page.get_by_text("Changed. Before: cat")
        expect(line).to_be_in_viewport(ratio=1)
        button(visitor, "Show before").click()
        assert not visitor.ask("session.showsChange")
        button(visitor, "Show before").click()
    expect(page.get_by_text("Said beside it.")).to_be_in_viewport(ratio=1)
    visitor.open("take")
    for shown, name in (("Show before", "cat"), ("Show before", "cat_changed")):
        button(visitor, shown).click()
        with page.expect_download() as download:
            button(visitor, "Save as JSON").click()
        assert download.value.suggested_filename == f"{name}.json"
        assert json.loads(download.value.path().read_text())["picture"]["changed"] is name.endswith("changed")


def test_the_next_picture_starts_unchanged(view):
    visitor = view()
    draw(visitor, (0.3, 0.4), (0.6, 0.6))
    visitor.ask("session.choosePicture(session.pictures[1].id)")
    assert visitor.ask("[session.changed, session.edits.steps.before.length]") == [None, 0]
    visitor.page.keyboard.press("Control+z")
    assert visitor.ask("session.edits.pixels") is None


def test_another_model_is_given_the_changed_picture_and_its_own_the_one_before(view):
    visitor = view()
    draw(visitor, (0.3, 0.4), (0.6, 0.6))
    for model, shown in (("models[1]", "trace"), ("shownModel", "untouched")):
        compared = f"session.compare(session.shownPicture, session.{model}).then((right) => String(right.pixels))"
        assert visitor.ask(compared) == visitor.ask(f"String(session.{shown}.pixels)"), model

    visitor.ask("session.chooseModel(session.models[1].id)")
    wait_for_changes(visitor)
    assert visitor.ask("session.changed.pixels.some((level, i) => level !== session.untouched.pixels[i])")


def test_a_stroke_goes_on_from_what_was_painted_also_while_the_page_shows_what_was_before(view):
    visitor = view()
    draw(visitor, (0.2, 0.2), (0.4, 0.2))
    painted = visitor.ask("session.changed.pixels.filter((level, i) => level !== session.untouched.pixels[i]).length")
    button(visitor, "Show before").click()
    assert visitor.ask("session.trace === session.untouched")
    draw(visitor, (0.6, 0.8), (0.8, 0.8))
    assert visitor.ask("session.trace === session.changed")
    both = visitor.ask("session.changed.pixels.filter((level, i) => level !== session.untouched.pixels[i]).length")
    assert both > 1.5 * painted


def test_what_changes_no_pixel_is_no_change(view):
    visitor = view()
    button(visitor, "Eraser").click()
    draw(visitor, (0.3, 0.4), (0.6, 0.6))
    button(visitor, "Move a square").click()
    draw(visitor, (0.5, 0.5))
    assert visitor.ask("[session.changed, session.edits.pixels]") == [None, None]
    expect(visitor.page.locator(".change")).to_have_count(0)


def test_a_square_that_was_taken_stays_in_its_picture(view):
    visitor = view()
    button(visitor, "Move a square").click()
    visitor.page.locator(".canvas").focus()
    visitor.page.keyboard.press("Enter")
    visitor.ask("session.choosePicture(session.pictures[1].id)")
    visitor.page.locator(".canvas").focus()
    visitor.page.keyboard.press("ArrowRight")
    wait_for_changes(visitor)
    assert visitor.ask("session.edits.pixels") is None


def test_a_change_that_cannot_be_shown_is_taken_back_and_says_why(view):
    visitor = view()
    draw(visitor, (0.2, 0.2), (0.4, 0.2))
    shown = visitor.ask("String(session.changed.pixels)")
    visitor.ask("(session.traceOf = () => Promise.reject(new Error('The server is busy.')), 0)")
    draw(visitor, (0.6, 0.8), (0.8, 0.8))
    expect(visitor.page.get_by_role("alert")).to_be_visible()
    assert visitor.ask("String(session.edits.pixels)") == visitor.ask("String(session.trace.pixels)") == shown
    visitor.ask("(delete session.traceOf, 0)")
    draw(visitor, (0.6, 0.8), (0.8, 0.8))
    expect(visitor.page.get_by_role("alert")).to_have_count(0)
    assert visitor.ask("String(session.trace.pixels)") != shown


def test_a_tour_leaves_the_tool_open_and_its_next_step_has_the_picture_as_it_came(view):
    visitor = view("phone", hash="step=0")
    visitor.open("paint")
    visitor.page.locator(".canvas").focus()
    visitor.page.keyboard.press("Enter")
    wait_for_changes(visitor)
    assert visitor.ask("[session.selection.station, session.changed !== null]") == ["paint", True]
    visitor.ask("session.selection.set({step: 1})")
    wait_until(lambda: visitor.ask("session.changed") is None)
    visitor.page.keyboard.press("Control+z")
    wait_for_changes(visitor)
    assert visitor.ask("session.changed !== null")  # it is not lost


def test_a_stroke_that_is_faster_than_the_model_ends_with_the_last_pixels(view):
    visitor = view()
    drawn = visitor.ask(
        """(() => {
          const pixels = session.untouched.pixels.slice();
          session.edits.begin();
          for (let i = 0; i < 40; i++) {
            pixels[i] = 255 - pixels[i];
            session.edits.draw(pixels.slice());
          }
          return String(pixels);
        })()"""
    )
    wait_for_changes(visitor)
    assert visitor.ask("String(session.trace.pixels)") == drawn


def test_with_keys_a_patch_moves_and_sliders_turn_and_brighten(view):
    visitor = view()
    page, keyboard = visitor.page, visitor.page.keyboard
    button(visitor, "Move a square").click()
    canvas = page.locator(".canvas")
    canvas.focus()
    for key in ("ArrowUp", "Enter", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "Enter", "ArrowLeft"):
        keyboard.press(key)
    wait_for_changes(visitor)
    own, moved = (
        np.array(visitor.ask(f"Array.from(session.{name}.pixels)")).reshape(32, 32, 3)
        for name in ("untouched", "trace")
    )
    np.testing.assert_array_equal(moved[14:17, 19:22], own[14:17, 15:18])
    assert (moved[14:17, 15:18] == moved[15, 16]).all()  # the mean colour is left
    assert (moved != own).any(axis=-1).sum() <= 18
    page.get_by_role("slider", name="Brightness").press("ArrowRight")
    wait_for_changes(visitor)
    brighter = np.array(visitor.ask("Array.from(session.trace.pixels)")).reshape(32, 32, 3)
    np.testing.assert_allclose(brighter, np.minimum(255, 1.05 * moved), atol=0.51)  # rounded
    page.get_by_role("slider", name="Turn").press("ArrowLeft")
    wait_for_changes(visitor)
    expect(page.get_by_text("\u22125°")).to_be_visible()
    for _ in range(3):
        keyboard.press("Control+z")
    wait_for_changes(visitor)
    assert visitor.ask("session.changed") is None
    assert visitor.violations() == []


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_a_touch_paints_and_nothing_moves(view, dark):
    visitor = view("phone", dark=dark)
    canvas = visitor.page.locator(".canvas")
    canvas.scroll_into_view_if_needed()
    before = canvas.bounding_box()
    canvas.tap(position={"x": 60, "y": 60})
    wait_for_changes(visitor)
    assert canvas.bounding_box() == before
    assert visitor.ask("session.changed !== null")
    visitor.open("pool")
    expect(visitor.page.get_by_text(re.compile("Changed. Before: cat"))).to_be_visible()
    assert visitor.overflow() <= 0
    assert visitor.violations() == []
    button(visitor, "Undo").tap()
    wait_for_changes(visitor)
    assert visitor.ask("session.changed") is None


def test_another_pool_reaches_the_whole_page_and_is_a_step_of_undo(view, model):
    visitor = view(hash="station=pool")
    button(visitor, "Try other weights").click()
    button(visitor, "Mean").click()
    trace = model.trace(np.array(visitor.ask("Array.from(session.trace.pixels)"), np.uint8).reshape(32, 32, 3))
    expected = trace.evidence.mean(axis=0) + trace.bias
    np.testing.assert_allclose(visitor.ask("Array.from(session.trace.logits)"), expected, atol=TOLERANCE)
    share = f"{100 * np.exp(expected).max() / np.exp(expected).sum():.1f}"
    assert share in answer(visitor)
    for station in ("attention", "pool", "classes", "remove", "curves", "trust", "take"):
        visitor.open(station)
        expect(visitor.page.locator(".hero text.large").last).to_have_text(re.compile(f"^{share}"))
        assert visitor.violations() == [], station
    visitor.open("pool")
    button(visitor, "Try other weights").click()
    expect(button(visitor, "Mean")).to_have_attribute("aria-pressed", "true")
    visitor.page.keyboard.press("Control+z")
    expect(button(visitor, "Model")).to_have_attribute("aria-pressed", "true")
    assert visitor.ask("session.trace === session.untouched")
    visitor.check_quiet()


def test_removed_tokens_are_gone_from_the_whole_page(view, model):
    visitor = view(hash="station=remove")
    grid = visitor.page.locator(".grid").first
    box = grid.bounding_box()
    for column in (2.5, 3.5):
        grid.click(position={"x": column / 8 * box["width"], "y": 2.5 / 8 * box["height"]})
    button(visitor, "Show on the whole page").click()
    wait_until(lambda: visitor.ask("session.changed !== null"))
    pixels = np.array(visitor.ask("Array.from(session.trace.pixels)"), np.uint8).reshape(1, 32, 32, 3)
    mask = np.ones((1, 64), np.float32)
    mask[0, [18, 19]] = 0
    expected = model.forward(normalise(pixels, model.config.preprocessing), mask)[0]
    np.testing.assert_allclose(visitor.ask("Array.from(session.trace.logits)"), expected, atol=TOLERANCE)
    asked = "session.answers([null]).then(([logits]) => Array.from(logits))"  # what Curves and Remove ask
    np.testing.assert_allclose(visitor.ask(asked), expected, atol=TOLERANCE)
    visitor.open("pool")
    expect(visitor.page.locator(".map").first.locator(".cross.casing")).to_have_count(2)
    button(visitor, "Back to the original").click()
    wait_until(lambda: visitor.ask("session.changed === null"))
    visitor.ask("session.chooseModel(session.models[1].id)")
    assert visitor.ask("session.trace === session.untouched")
    visitor.check_quiet()


STRONGEST = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const light = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2]);
  return light.indexOf(Math.min(...light));
}"""


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_curtain_shows_each_map_as_it_was(view, size):
    visitor = view(size)
    visitor.ask("session.edits.begin()")
    visitor.ask("session.edits.draw(session.untouched.pixels.map((level, i) => (i < 1800 ? 0 : level)))")
    wait_for_changes(visitor)
    visitor.open("pool")
    maps = visitor.page.locator(".map")
    first = maps.first
    expect(first.locator(".before")).to_have_count(0)
    curtain = first.get_by_role("slider")
    curtain.focus()
    curtain.press("End")
    assert first.locator(".before").evaluate("(one) => one.style.clipPath") == "inset(0px 0% 0px 0px)"
    for place, trace in ((".grid > .values canvas", "trace"), (".before canvas", "untouched")):
        weights = visitor.ask(f"Array.from(session.{trace}.poolingWeights)")
        assert first.locator(place).evaluate(STRONGEST) == int(np.argmax(weights)), trace
    assert [maps.nth(i).locator(".before").count() for i in range(3)] == [1, 1, 1]  # all maps at once
    assert visitor.overflow() <= 0
    assert visitor.violations() == []
    curtain.scroll_into_view_if_needed()
    box = curtain.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visitor.page.touchscreen.tap(*middle) if size == "phone" else visitor.page.mouse.click(*middle)
    assert visitor.ask("session.curtain") == pytest.approx(0.5, abs=0.03)  # a thumb has a width
    for station in ("attention&view=heads", "attention&view=rollout", "attention&view=depth", "convolution", "curves"):
        visitor.page.evaluate("(hash) => { location.hash = hash }", f"station={station}")
        expect(visitor.page.locator(".before").first).to_be_visible()
    visitor.ask("session.choosePicture(session.pictures[1].id)")
    expect(visitor.page.locator(".before")).to_have_count(0)
    visitor.check_quiet()
