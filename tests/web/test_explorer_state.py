"""The explorer's state in Chromium: what is kept, what a link contains, how tokens are selected and deselected."""

import dataclasses

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from test_explorer import CONFIGS as EXPLORED
from test_explorer_lesson import show_another

from cct_viz.app.words import TIMES
from cct_viz.images.preprocessing import centre_crop


@pytest.fixture(scope="module")
def trace():
    return make_trace(tiny_config())


def count_live(explorer):
    """The DOM nodes and listeners that remain after garbage collection, which takes several rounds."""
    session = explorer.context.new_cdp_session(explorer.page)
    for _ in range(5):
        explorer.choose()  # two frames, so that pending observers and frames finish
        session.send("HeapProfiler.collectGarbage")
    return session.send("Memory.getDOMCounters")


def test_new_picture_releases_the_previous_one(open_explorer, trace):
    explorer = open_explorer(trace)
    counts = []
    for mounts in (3, 15):
        for i in range(mounts):
            show_another(explorer, trace, picture=f"picture {i}")
        counts.append(count_live(explorer))
    few, many = counts
    assert many["nodes"] < 1.2 * few["nodes"]
    assert many["jsEventListeners"] < 1.2 * few["jsEventListeners"]
    explorer.check_quiet()


def test_link_contains_the_selections(open_explorer, trace):
    explorer = open_explorer(trace)
    chosen = {
        "station": "attention",
        "attentionView": "paths",
        "token": 9,
        "pinned": [3, 7],
        "layer": 0,
        "head": 1,
        "a": 2,
        "b": None,
        "overlay": "rollout",
        "fusion": "max",
        "alpha": "measured",
        "step": 1,
        "feature": {"stage": 0, "channel": 5},
        "pooling": "beta",
        "beta": 2.5,
    }
    explorer.choose(**chosen)
    page = explorer.page
    page.evaluate("navigator.clipboard.writeText = async (text) => { globalThis.copied = text }")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector("text=The link is copied.")
    page.goto(page.evaluate("copied"))
    page.reload()
    page.wait_for_selector(".explorer .panel h2")
    state = explorer.choose()
    assert {name: state[name] for name in chosen} == chosen
    assert state["held"] == 9
    explorer.check_quiet()


def test_invalid_parts_of_an_address_are_ignored(open_explorer, trace):
    explorer = open_explorer(trace)
    before = explorer.choose()
    words = "station=moon&token=99&pinned=1.2.3&layer=-1&head=x&a=3&b=&overlay=no&fusion=sum&alpha=2&step=1.5"
    explorer.page.goto(f"{explorer.page.url}#{words}&feature=0.99&pooling=painted&beta=9&seed=a&attentionView=1")
    explorer.page.reload()
    explorer.page.wait_for_selector(".explorer .panel h2")
    assert explorer.choose() == before


def test_selections_of_a_link_wait_for_its_picture(open_explorer, trace):
    """The app shows an example until the picture of the address has loaded."""
    explorer = open_explorer(trace, link="model=tiny&example=deer")
    page = explorer.page
    winner, second, other = (int(c) for c in trace.logits.argsort()[[-1, -2, 0]])
    page.goto(f"{page.url}?example=cat#a={other}&b=mean&station=classes&layer=0")
    page.wait_for_selector(".explorer .panel h2")
    assert explorer.choose()["station"] == "classes"
    for classes in ((other, None), (winner, second)):  # used once; later pictures are the visitor's own
        show_another(explorer, trace, link="model=tiny&example=cat")
        state = explorer.choose()
        assert (state["station"], state["layer"]) == ("classes", 0)
        assert (state["a"], state["b"]) == classes


def test_changed_weights_stay_for_the_next_picture_except_painted_ones(open_explorer, trace):
    explorer = open_explorer(trace)
    explorer.choose(pooling="beta", beta=2.0)
    show_another(explorer, trace)
    state = explorer.choose()
    assert (state["pooling"], state["beta"]) == ("beta", 2.0)
    explorer.choose(pooling="painted")
    show_another(explorer, trace)
    assert explorer.choose()["pooling"] == "model"


def test_second_click_or_escape_deselects_a_token(open_explorer, trace):
    explorer = open_explorer(trace)
    page, pin = explorer.page, explorer.page.get_by_role("button", name="the chosen token")
    assert pin.is_disabled()
    for place in (".panel .grid", ".photo"):
        page.locator(place).first.click()
        token = explorer.choose()["held"]
        assert token is not None
        page.mouse.move(1, 1)
        assert explorer.choose()["token"] == token
        page.locator(place).first.click()
        page.mouse.move(1, 1)
        state = explorer.choose()
        assert (state["token"], state["held"]) == (None, None)
        page.locator(place).first.click()
        page.keyboard.press("Escape")
        assert explorer.choose()["held"] is None
    page.locator(".photo").click()
    pin.click()
    state = explorer.choose()
    assert state["pinned"] == [state["held"]]
    pin.click()
    assert explorer.choose()["pinned"] == []
    explorer.check_quiet()


def test_touch_selects_by_tapping_and_not_by_scrolling(open_explorer, chromium, trace):
    url = open_explorer(trace).page.url
    context = chromium.new_context(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True, offline=True)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".explorer .panel h2")
    session = context.new_cdp_session(page)

    def chosen():
        state = page.evaluate("document.querySelector('#explorer').explorer.store.state")
        return state["token"], state["held"]

    for place in (".photo", ".panel .grid"):
        page.locator(place).first.scroll_into_view_if_needed()
        box = page.locator(place).first.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session.send("Input.synthesizeScrollGesture", {"x": x, "y": y, "yDistance": -60, "gestureSourceType": "touch"})
        assert chosen() == (None, None)
        page.locator(place).first.tap()
        token, held = chosen()
        assert token == held is not None
        page.locator(place).first.tap()
        assert chosen() == (None, None)
    context.close()


def test_browser_shortcuts_still_work(open_explorer, trace):
    explorer = open_explorer(trace)
    page = explorer.page
    page.locator(".grid").first.focus()
    page.evaluate("() => { window.onkeydown = (event) => { globalThis.prevented = event.defaultPrevented } }")
    for key in ("Control+p", "Alt+ArrowRight", "Meta+ArrowDown"):
        page.keyboard.press(key)
        assert not page.evaluate("prevented")
    state = explorer.choose()
    assert (state["token"], state["pinned"]) == (0, [])


def test_row_of_choices_is_one_tab_stop(open_explorer, trace):
    explorer = open_explorer(trace)
    page = explorer.page
    inside = "document.querySelector('#explorer').shadowRoot.activeElement"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{inside}.textContent") == "Skip to the open station"
    page.keyboard.press("Enter")
    assert page.evaluate(f"{inside}.textContent").startswith("SeqPool")
    row = page.get_by_role("toolbar", name="Map over the photo").get_by_role("button")
    assert [row.nth(i).get_attribute("tabindex") for i in range(row.count())].count("0") == 1
    row.get_by_text("Contribution").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert explorer.choose()["overlay"] == "evidence"
    page.keyboard.press("Tab")
    assert page.evaluate(f"{inside}.type") == "range"


def test_pixels_panel_describes_the_preprocessing(open_explorer, trace):
    explorer = open_explorer(trace)
    size = trace.pixels.shape[:2]
    height, width = size
    for original, crop, words in (
        (size, 1.0, "came at this size, so it was used as it is."),
        ((height // 2, width // 2), 1.0, f"came with {width // 2}{TIMES}{height // 2}; it was enlarged."),
        ((2 * height, 2 * width), 1.0, f"came with {2 * width}{TIMES}{2 * height}; it was made smaller."),
        (
            (height, width + 8),
            1.0,
            f"came with {width + 8}{TIMES}{height}; the middle {width}{TIMES}{height} was cut out.",
        ),
        ((height, width), 0.5, f"the middle {width // 2}{TIMES}{height // 2} was cut out and enlarged."),
        ((2 * height, 3 * width), 1.0, f"the middle {2 * width}{TIMES}{2 * height} was cut out and made smaller."),
    ):
        show_another(explorer, dataclasses.replace(trace, geometry=centre_crop(original, size, crop)))
        explorer.choose(station="pixels")
        assert explorer.page.locator(".panel p").first.inner_text().endswith(words)


def test_scale_of_small_numbers_is_not_rounded_to_zero(open_explorer):
    trace = make_trace(tiny_config())
    quiet = dataclasses.replace(trace.readout_weights, head=trace.readout_weights.head / 50)
    trace = dataclasses.replace(trace, readout_weights=quiet)
    explorer = open_explorer(trace)
    largest = np.abs(explorer.derive("contribution")).max()
    assert largest < 0.05
    for legend in (".rail .legend", ".maps figure:last-child .legend"):
        end = explorer.page.locator(legend).inner_text().split("+")[1].split()[0]
        assert float(end) == pytest.approx(largest, rel=0.05)


@pytest.mark.parametrize("length", [40, 300])
def test_long_class_name_does_not_overflow(open_explorer, length):
    names = tuple("abc"[i] * length for i in range(3))
    explorer = open_explorer(make_trace(tiny_config(labels=names)), width=360)
    page = explorer.page
    for station in ("seqpool", "classes", "laboratory"):
        explorer.choose(station=station)
        assert explorer.overflow() <= 0
        card = page.locator(".panel").bounding_box()
        for box in (select.bounding_box() for select in page.locator(".panel select").all()):
            assert box["x"] + box["width"] <= card["x"] + card["width"]
    for i in range(page.locator(".station").count()):
        assert page.locator(".station").nth(i).bounding_box()["width"] < 130
    explorer.choose(station="seqpool")
    place, landing = (page.locator(name).bounding_box() for name in (".running-sum", ".landing"))
    assert landing["x"] >= place["x"]


def test_the_open_station_is_in_view_on_a_phone(open_explorer, trace):
    explorer = open_explorer(trace, width=360)
    for station in ("classes", "pixels", "seqpool"):
        explorer.choose(station=station)
        explorer.choose()
        strip, now = (explorer.page.locator(name).bounding_box() for name in (".journey", ".station[aria-current]"))
        assert strip["x"] <= now["x"] + 1
        assert now["x"] + now["width"] <= strip["x"] + strip["width"] + 1
    assert explorer.page.evaluate("scrollY") == 0


def test_class_token_model_texts_do_not_mention_pooling(open_explorer):
    explorer = open_explorer(make_trace(EXPLORED["class_token"]))
    assert "before pooling" not in explorer.page.locator(".panel").inner_text()
