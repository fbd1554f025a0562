"""The page as a visitor meets it: first sight, own photos, stations, keys, history, phone. Needs Chromium."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from playwright.sync_api import expect
from visitor import STATIONS, TOOLS, page_with
from waiting import wait_until

import cct_viz
from cct_viz.inference.bands import find_band, read_bands
from cct_viz.web.html import PHOTOS

BUNDLED = "cct_2_3x2_32_cifar10"
PLACES = (*STATIONS, *TOOLS)
VIEWS = ["pair", "heads", "rollout", "paths", "depth", "maps"]
POOL = "SeqPool: weight × evidence = contribution"
MOST_SHIFT = 0.05  # of layout; Google's "good" is 0.1
SHIFTS = """window.shifted = 0; new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({type: "layout-shift", buffered: true});"""


@pytest.fixture(scope="module")
def bundled():
    return cct_viz.load(BUNDLED)


@pytest.fixture(scope="module")
def site(bundled, tmp_path_factory):
    """A page with two models and the pictures of the site."""
    path = tmp_path_factory.mktemp("page") / "site.html"
    path.write_text(page_with(bundled, cct_viz.load("cct_2_3x2_class_token_seed0")))
    return path


@pytest.fixture
def view(visit, site):
    def open_one(size="desktop", hash="", dark=False):
        return visit(f"{site.as_uri()}#{hash}", size=size, dark=dark, still=True, script=SHIFTS)

    return open_one


def choices(visitor) -> dict:
    return visitor.ask("session.selection.choices")


@pytest.mark.parametrize("size", ["desktop", "projector"])
def test_the_first_screen_says_what_it_is_and_holds_the_equation(view, bundled, size):
    page = view(size).page
    expect(page.get_by_text("See how a small vision transformer recognises a picture, step by step.")).to_be_visible()
    expect(page.get_by_role("button", name="Take the 5-minute tour")).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("button", name="Use my own photo", exact=True)).to_be_in_viewport(ratio=1)
    expect(page.get_by_text(re.compile("The model answers cat, 9[0-9]"))).to_be_in_viewport(ratio=1)
    band = find_band(read_bands(bundled.metrics), 0.97)
    worth = f"answered with 90 % to 100 %, {band.record()['of_100']} were right."
    expect(page.get_by_text(worth)).to_be_in_viewport(ratio=1)
    expect(page.locator(".equation[role=group]")).to_be_in_viewport(ratio=1)
    check_that_nothing_moved(page)


def test_a_phone_opens_without_moving(view):
    check_that_nothing_moved(view("phone").page)


def check_that_nothing_moved(page):
    expect(page.locator(".thumb .badge, .pill").first).to_be_visible()
    assert page.evaluate("() => window.shifted") < MOST_SHIFT


def test_the_gallery_says_how_the_model_does_with_each_picture(view):
    """A wrong answer names the true class; a picture of no class is headed by the closest."""
    page = view(hash="picture=horse").page
    expect(page.locator(".gallery .badge")).to_have_count(13)
    expect(page.locator(".gallery .badge.other")).to_have_count(2)  # rocket and coffee
    expect(page.locator(".gallery .badge.wrong")).not_to_have_count(0)
    expect(page.locator(".pill.wrong")).to_have_text("× the model is wrong here: this is a horse")
    page.evaluate("() => void cctExplorer.session.choosePicture('coffee')")
    expect(page.get_by_text(re.compile("^Closest of the ten classes: automobile, 8"))).to_be_visible()
    expect(page.get_by_text("It cannot answer “none of these”")).to_be_visible()
    expect(page.get_by_text("were right. This holds only for pictures of the ten classes.")).to_be_visible()


def test_own_photo_is_one_click_from_the_dialogue_and_bad_files_leave_everything(view):
    opened = view()
    page = opened.page
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use my own photo", exact=True).click()
    content = io.BytesIO()
    Image.effect_mandelbrot((160, 120), (-2, -1, 1, 1), 60).convert("RGB").save(content, "JPEG", quality=95)
    photo = content.getvalue()
    chooser.value.set_files({"name": "holiday.jpg", "mimeType": "image/jpeg", "buffer": photo})
    expect(page.get_by_text(re.compile("^Closest of the ten classes"))).to_be_visible()
    expect(page.locator(".gallery .thumb")).to_have_count(14)
    logits = page.evaluate("() => Array.from(cctExplorer.session.trace.logits)")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Use my own photo", exact=True).click()
    chooser.value.set_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"})
    expect(page.get_by_role("alert")).to_contain_text("notes.txt is not an image that this page reads")
    assert page.evaluate("() => Array.from(cctExplorer.session.trace.logits)") == logits
    expect(page.locator(".gallery .thumb")).to_have_count(14)


def test_back_and_forward_go_through_the_stations(view):
    page = view().page
    page.get_by_role("button", name=re.compile("^SeqPool")).first.click()
    expect(page.get_by_role("heading", name=POOL)).to_be_visible()
    page.get_by_role("button", name=re.compile("^Attention 2")).first.click()
    expect(page.get_by_role("heading", name="Attention 2: which tokens attend to which")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name=POOL)).to_be_visible()
    page.go_back()
    expect(page.locator(".station")).to_have_count(0)
    page.go_forward()
    expect(page.get_by_role("heading", name=POOL)).to_be_visible()
    page.go_back()
    expect(page.locator(".station")).to_have_count(0)
    before = page.evaluate("navigation.currentEntry.index")
    page.keyboard.press("1")  # from an entry that names no picture
    expect(page.locator(".station")).to_have_count(1)
    assert page.evaluate("navigation.currentEntry.index") == before + 1


@pytest.mark.parametrize("size", ["projector", "phone"])
def test_a_tool_that_opens_above_comes_into_view(view, size):
    page = view(size).page
    tool = page.locator(".tools").get_by_role("button", name=re.compile("^Glossary"))
    tool.scroll_into_view_if_needed()
    tool.click()
    expect(page.get_by_role("heading", name="Glossary", exact=False).first).to_be_in_viewport()


def test_an_address_opens_the_same_state(view):
    opened = view(hash="picture=dog&token=12&station=attention&layer=1&head=1&view=heads")
    expect(opened.page.get_by_role("heading", name="Attention 2: which tokens attend to which")).to_be_visible()
    chosen = choices(opened)
    wanted = {"picture": "dog", "token": 12, "station": "attention", "layer": 1, "head": 1, "view": "heads"}
    assert {name: chosen[name] for name in wanted} == wanted


def test_keys_move_the_token_open_stations_and_leave(view):
    opened = view()
    page = opened.page
    before = page.evaluate("() => cctExplorer.session.strongest")
    page.keyboard.press("ArrowRight")
    assert choices(opened)["token"] == before + 1
    page.keyboard.press("6")
    expect(page.get_by_role("heading", name=POOL)).to_be_visible()
    page.keyboard.press("Escape")
    assert choices(opened)["token"] is None
    page.keyboard.press("Escape")
    expect(page.locator(".station")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name="Presenter")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Presenter")).to_have_count(0)


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize(("stage", "channel"), [(0, 3), (1, 5), (1, 127)])
def test_the_strongest_patches_are_those_of_the_chosen_channel(view, bundled, size, stage, channel):
    visitor = view(size, hash="station=convolution")
    visitor.page.get_by_role("button", name=f"Stage {stage + 1}", exact=True).click()
    visitor.page.get_by_role("searchbox").fill(str(channel + 1))
    visitor.page.get_by_role("button", name=re.compile(f"^Channel {channel + 1},")).click()
    expect(visitor.page.get_by_text(f"In these pictures channel {channel + 1} is strongest")).to_be_visible()
    patches = visitor.page.locator(".patches i")
    expect(patches).to_have_count(9)
    sheet = Image.open(bundled.folder / f"strongest_patches_{stage + 1}.jpg")
    width, height = sheet.width // 9, sheet.height // bundled.config.tokenizer[stage].channels
    patches.first.evaluate("(one) => one.scrollIntoView({ block: 'center' })")  # not below a bar
    for rank in (0, 4, 8):
        shown = Image.open(io.BytesIO(patches.nth(rank).screenshot())).convert("RGB")
        patch = sheet.crop((rank * width, channel * height, (rank + 1) * width, (channel + 1) * height))
        expected = patch.resize(shown.size, Image.Resampling.NEAREST)
        off = np.abs(np.asarray(shown, float) - np.asarray(expected, float))
        # Corners are round, and pixels at an edge may be the neighbour's. Another patch is off by tens.
        assert np.median(off) <= 1, (rank, np.median(off))


def test_a_model_without_sheets_shows_no_patches(view):
    visitor = view(hash="station=convolution&model=cct_2_3x2_class_token_seed0")
    expect(visitor.page.get_by_text("A feature map shows where a filter responds")).to_be_visible()
    expect(visitor.page.locator(".patches")).to_have_count(0)


def test_removing_a_token_gives_what_python_gives(view, bundled):
    page = view("projector", "picture=cat&station=remove&token=27").page
    page.get_by_role("application", name=re.compile("^Fall")).focus()
    page.keyboard.press("Enter")
    mask = np.ones((1, 64), np.float32)
    mask[0, 27] = 0
    picture = cct_viz.web.examples.read_examples()["cat"]
    trace = bundled.trace(picture)
    batch = cct_viz.images.preprocessing.normalise(trace.pixels[None], bundled.config.preprocessing)
    logits = bundled.forward(batch, mask)[0]
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    best = trace.labels[trace.class_index()]
    expect(page.locator(".sentence[aria-live]").last).to_contain_text(f"Without one token, {best}")
    row = page.locator(".station").get_by_role("row", name=re.compile(f"^{best}"))
    expected = pytest.approx(100 * shares[trace.class_index()], abs=0.2)  # weights rounded to 16 bits, one digit
    wait_until(lambda: float(re.search(r"([\d.]+)\s%", row.inner_text()).group(1)) == expected, why=row.inner_text)


def test_the_score_is_split_at_every_depth(view, bundled):
    page = view(hash="station=attention&view=depth").page
    maps = page.get_by_role("group", name="What each token adds, depth by depth").get_by_role("button")
    expect(maps).to_have_count(3)
    score = bundled.trace(PHOTOS / "chelsea.jpg").logits.max()
    for i in range(3):
        maps.nth(i).click()
        text = page.locator(".beside .sentence").inner_text().replace("\N{MINUS SIGN}", "-")
        tokens, biases, total = map(float, re.findall(r"[-+]\d+\.\d+", text)[:3])
        assert tokens + biases == pytest.approx(total, abs=0.011)  # each is rounded to two digits
        assert total == pytest.approx(score, abs=0.02)  # the page's weights are rounded to 16 bits


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("phone", True)], ids=["desktop, light", "phone, dark"])
def test_no_view_breaks_a_rule_of_accessibility(view, size, dark):
    opened = view(size, dark=dark)
    assert opened.violations() == []
    for place in PLACES:
        for choice in VIEWS if place == "attention" else [None]:
            opened.ask("session.selection.set(given[0])", {"station": place, "view": choice or "pair"})
            assert opened.violations(".station") == [], (place, choice)


def test_a_phone_on_its_side_has_the_drawing_beside_the_answer(view, bundled):
    opened = view("phone on its side")
    page = opened.page
    for part in (".verdict", ".strip", ".stepper", ".panel > svg"):
        expect(page.locator(part).first).to_be_in_viewport(ratio=0.99)
    assert opened.violations() == []
    for place in ("tokens", "compare", "model"):
        opened.open(place)
        assert opened.overflow() <= 0, place
    opened.open("trust")
    usual = bundled.gauge.record(bundled.trace(PHOTOS / "chelsea.jpg").pooled)
    text = page.get_by_text("Its pooled vector is farther from the mean").inner_text()
    assert int(re.search(r"of (\d+) of 100", text)[1]) == pytest.approx(usual["farther_than"], abs=1)  # float16
    expect(page.get_by_text(f"AUROC of {usual['auroc']:.2f}")).to_be_attached()


@pytest.mark.parametrize("size", ["projector", "phone", "small phone", "phone on its side"])
def test_what_a_chosen_map_says_is_in_view_beside_its_choices(view, size):
    for hash, group in (("station=trust", "Maps of this answer"), ("station=attention&view=maps", "All maps")):
        opened = view(size, hash=hash)
        sheet = opened.page.locator(".station").get_by_role("group", name=group, exact=True)
        words = sheet.locator("xpath=following-sibling::p").first
        sheet.get_by_role("button").nth(4).click()
        if "phone" in size:  # as a thumb would
            sheet.evaluate("(sheet) => sheet.scrollIntoView({ block: 'center' })")
        expect(sheet).to_be_in_viewport(ratio=1)
        expect(words).to_be_in_viewport(ratio=1)
        assert opened.overflow() <= 0


def test_a_long_answer_is_whole_on_a_phone_on_its_side(view):
    opened = view("phone on its side", hash="picture=automobile")
    expect(opened.page.locator(".verdict p")).to_contain_text("automobile")
    reach = """() => {
      const words = document.createRange();
      words.selectNodeContents(document.querySelector(".verdict p"));
      return words.getBoundingClientRect().right - document.querySelector(".sticky").getBoundingClientRect().right;
    }"""
    assert opened.page.evaluate(reach) <= 0


def test_no_button_looks_out_from_under_the_card_of_a_tour(view):
    page = view("phone on its side").page
    tour, own = (page.get_by_role("button", name=name) for name in ("5-minute tour", "My own photo"))
    tour.click()
    expect(own).to_have_count(0)  # hidden, also from a screen reader
    page.keyboard.press("Escape")
    expect(tour).to_be_focused()
    expect(own).to_have_count(1)


def test_a_phone_presents_with_its_buttons(view):
    opened = view("small phone", hash="presenter=1&station=attention")
    page = opened.page
    page.get_by_role("button", name="Next station").click()
    expect(page.locator(".presenter .sentence")).to_have_text(re.compile("^Attention 2: every token"))
    for part in (page.locator(".presenter .sentence"), page.get_by_role("button", name="Close")):
        expect(part).to_be_in_viewport(ratio=1)
    assert opened.overflow() <= 0
    assert opened.violations() == []


def test_no_view_scrolls_sideways_on_a_small_phone(view):
    opened = view("small phone")
    for model in range(2):
        opened.page.evaluate("(i) => cctExplorer.session.chooseModel(cctExplorer.session.models[i].id)", model)
        for place in [None, *PLACES]:
            opened.open(place)
            assert opened.overflow() <= 0, (model, place)


def test_the_numbers_to_take_away_sum_to_the_score(view):
    page = view(hash="station=take").page
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    numbers = json.loads(download.value.path().read_text(encoding="utf-8"))
    total = np.asarray(numbers["contributions"]).sum(axis=0) + np.asarray(numbers["bias"])
    assert np.allclose(total, numbers["logits"], atol=1e-4)  # sums of 64 float32 numbers


def test_what_the_benchmark_does_in_the_page_is_possible(view):
    code = "import json, page_model as p; print(json.dumps([p.SCORES, p.TRACE, p.FRAMES, p.CURVE]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "benchmarks", capture_output=True, text=True, check=True
    )
    *timing_scripts, curve = json.loads(done.stdout)
    page = view().page
    for script in timing_scripts:
        (milliseconds,) = page.evaluate(script, 1)
        assert milliseconds > 0
    assert page.evaluate(curve) > 0
