"""Painting over the picture: the page's model gives the same numbers as Python for the same pixels. Needs Chromium."""

import numpy as np
import pytest
from conftest import Explored, make_trace, softmax, tiny_config
from js_model_page import draw_photo

from cct_viz.web.examples import EXAMPLES
from cct_viz.web.site import write_page

HEIGHT, WIDTH = 12, 20
PHOTO = draw_photo(HEIGHT, WIDTH)


@pytest.fixture
def live(rounded, chromium, tmp_path):
    write_page(rounded, rounded.trace(PHOTO), tmp_path / "live.html", name="tiny")
    explored = Explored(chromium, tmp_path / "live.html", width=1000, dark=False)
    explored.page.get_by_role("button", name="Paint over").click()
    wait_for(explored, "Nothing is painted over")
    explored.page.get_by_text("The model answers…").wait_for(state="hidden")
    yield explored
    explored.context.close()


def wait_for(live, words):
    live.page.locator(f".paint .sentence:has-text('{words}')").wait_for()


def press(live, *keys):
    live.page.locator(".paint .grid").focus()
    for key in keys:
        live.page.keyboard.press(key)


def use(live, *names):
    for name in names:
        live.page.locator(".paint .segments").get_by_role("button", name=name, exact=True).click()


def at(live, row, column):
    """The screen position of the centre of a pixel."""
    grid = live.page.locator(".paint .grid")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / WIDTH, box["y"] + (row + 0.5) * box["height"] / HEIGHT


def shown_pixels(live):
    """(H, W, 3) uint8 of what is drawn."""
    values = live.page.evaluate(
        "(() => { const canvas = document.querySelector('#explorer').shadowRoot.querySelector('.paint .grid canvas');"
        " return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data] })()"
    )
    return np.array(values, np.uint8).reshape(HEIGHT, WIDTH, 4)[..., :3]


def table(live):
    """{class: (now, before)}"""
    rows = live.page.locator(".paint tbody tr")
    read = "(row) => [row.cells[0].textContent, ...[2, 3].map((i) => Number(row.cells[i].dataset.value))]"
    return {row[0]: row[1:] for row in (rows.nth(i).evaluate(read) for i in range(rows.count()))}


def check(live, classifier, painted):
    """The page draws `painted`, and its numbers equal Python's for these pixels."""
    count = int((painted != PHOTO).any(axis=-1).sum())
    wait_for(live, f"With {count} pixel{'s' if count > 1 else ''} painted over")
    np.testing.assert_array_equal(shown_pixels(live), painted)
    before, now = (softmax(classifier.trace(pixels).logits) for pixels in (PHOTO, painted))
    shown, labels = table(live), classifier.config.labels
    best = np.argsort(-now)[:5]
    assert list(shown) == [labels[c] for c in best]
    # float32 on both sides, summed in different order
    np.testing.assert_allclose(list(shown.values()), np.stack([now, before], axis=1)[best], atol=1e-4)
    sentence = live.page.locator(".paint .sentence").inner_text()
    target = live.choose()["a"]
    assert f"{labels[target]} " in sentence
    assert f"{100 * now[target]:.1f} %" in sentence
    kept = np.argmax(now) == np.argmax(before)
    assert sentence.endswith("still wins." if kept else "now wins.")


def test_keyboard_painting_equals_python(live, rounded):
    painted = PHOTO.copy()
    mean = np.floor(PHOTO.reshape(-1, 3).mean(axis=0) + 0.5)
    press(live, "Enter")  # the corner: the 3x3 square is clipped to 2x2
    painted[:2, :2] = mean
    check(live, rounded, painted)
    use(live, "Black", "5")
    press(live, *["ArrowRight"] * 9, *["ArrowDown"] * 6, "Enter")
    painted[4:9, 7:12] = 0
    use(live, "White", "1")
    press(live, *["ArrowLeft"] * 5, " ")
    painted[6, 4] = 255
    check(live, rounded, painted)
    windows = rounded.trace(PHOTO).receptive_field
    cells = np.argwhere((painted != PHOTO).any(axis=-1))
    seers = sum(any(y0 <= y < y1 and x0 <= x < x1 for y, x in cells) for y0, x0, y1, x1 in windows)
    assert live.page.get_by_text(f"{seers} of 15 tokens have painted pixels in their windows.").count() == 1
    live.page.get_by_role("button", name="Back to the picture").click()
    wait_for(live, "Nothing is painted over")
    np.testing.assert_array_equal(shown_pixels(live), PHOTO)
    assert live.page.get_by_role("button", name="Back to the picture").is_disabled()
    live.check_quiet()


def test_stroke_with_a_picked_colour_has_no_gap(live, rounded):
    painted = PHOTO.copy()
    use(live, "1", "Picked")  # no colour is picked yet, so this picks one
    live.page.mouse.click(*at(live, 10, 15))
    red, green, blue = PHOTO[10, 15]
    live.page.get_by_text(f"red {red}, green {green}, blue {blue}", exact=True).wait_for()
    live.page.mouse.move(*at(live, 2, 3))
    live.page.mouse.down()
    live.page.mouse.move(*at(live, 2, 17))
    live.page.mouse.up()
    painted[2, 3:18] = PHOTO[10, 15]
    check(live, rounded, painted)


def test_touch_paints(live, rounded):
    box = live.page.locator(".paint .grid").bounding_box()
    live.page.locator(".paint .grid").evaluate(
        "(grid, [x, y]) => { const options = {clientX: x, clientY: y, pointerType: 'touch', bubbles: true};"
        " grid.setPointerCapture = () => {};"  # synthetic touches cannot be captured
        " for (const kind of ['pointerdown', 'pointermove', 'pointerup'])"
        " grid.dispatchEvent(new PointerEvent(kind, options)) }",
        [box["x"] + 5.5 * box["width"] / WIDTH, box["y"] + 5.5 * box["height"] / HEIGHT],
    )
    painted = PHOTO.copy()
    painted[4:7, 4:7] = np.floor(PHOTO.reshape(-1, 3).mean(axis=0) + 0.5)
    check(live, rounded, painted)


def test_only_the_latest_painting_is_computed(live, rounded):
    live.page.evaluate(
        "(() => { const {inside} = document.querySelector('#explorer').explorer, {ask} = inside; window.asked = 0;"
        " window.gate = new Promise((open) => { window.open = open });"
        " inside.ask = async (change) => { asked++; await gate; return ask(change) } })()"
    )
    use(live, "1", "Black")
    press(live, "Enter", *["ArrowRight", "Enter"] * 7)
    assert live.page.get_by_text("The model answers…").count() == 1
    live.page.evaluate("window.open()")
    painted = PHOTO.copy()
    painted[0, :8] = 0
    check(live, rounded, painted)
    assert live.page.evaluate("asked") == 2  # the first, which was in progress, and the last


def test_next_stroke_after_a_failure_is_computed(live, rounded):
    live.page.evaluate(
        "(() => { const {inside} = document.querySelector('#explorer').explorer, {ask} = inside; window.asked = 0;"
        " inside.ask = async (change) => { if (!asked++) throw new Error('it went away'); return ask(change) } })()"
    )
    use(live, "1", "Black")
    press(live, "Enter")
    live.page.locator(".paint .problem:has-text('It went away.')").wait_for()
    live.choose(token=3)  # selecting a token makes no request
    assert live.page.evaluate("asked") == 1
    press(live, "ArrowRight", "Enter")
    painted = PHOTO.copy()
    painted[0, :2] = 0
    check(live, rounded, painted)
    assert live.page.locator(".paint .problem").inner_text() == ""


def test_new_picture_starts_unpainted(live):
    press(live, "Enter")
    wait_for(live, "painted over, ")
    live.page.locator("input[type=file]").set_input_files(next(path for path in EXAMPLES if path.stem == "ship"))
    live.page.locator(".bar .told:not(:empty)").wait_for()
    wait_for(live, "Nothing is painted over")


def test_a_page_without_the_model_has_no_brush(open_explorer):
    assert open_explorer(make_trace(tiny_config())).page.get_by_role("button", name="Paint over").count() == 0
