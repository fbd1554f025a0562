"""The journey: a film of the forward pass in the page's own drawing. Needs Chromium."""

import re

import pytest
from playwright.sync_api import expect
from visitor import page_with
from waiting import wait_until

import cct_viz

MODELS = ["cct_2_3x2_32_cifar10", "vit_2_4_seed0"]
SCENES = ["Pixels", "Convolution", "Tokens", "Attention 1", "Attention 2", "SeqPool", "Sum", "Classes"]
MIDDLES = [2, 8, 14, 18, 22, 27, 32, 38]  # seconds; without a sum, the answer comes earlier
SCRUBBER = ".player input"
LONGEST = 45  # seconds


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("journey") / "site.html"
    path.write_text(page_with(*map(cct_viz.load, MODELS)))
    return path


@pytest.fixture
def view(visit, site):
    def open_one(size="projector", model=MODELS[0], **options):
        return visit(f"{site.as_uri()}#model={model}", size=size, **options)

    return open_one


def play(visitor) -> None:
    visitor.page.get_by_role("button", name="Play the journey").click()
    expect(visitor.page.get_by_role("region", name="The journey")).to_be_visible()


def drag_to(page, seconds: float, *, release=False) -> None:
    """As a hand that holds the scrubber: the film stands still until it lets go."""
    page.locator(SCRUBBER).evaluate(
        "(slider, [to, release]) => { slider.value = to; slider.dispatchEvent(new Event('input', {bubbles: true}));"
        "if (release) slider.dispatchEvent(new Event('change', {bubbles: true})); }",
        [seconds, release],
    )


def moment(page) -> str:
    return page.locator(SCRUBBER).get_attribute("aria-valuetext")


def test_a_pause_opens_the_station_with_its_token_and_playing_goes_on(view):
    visitor = view()
    page = visitor.page
    expect(page.get_by_role("region", name="The journey")).to_have_count(0)  # it does not start by itself
    entries = page.evaluate("history.length")
    play(visitor)
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    done = "() => document.querySelector('.player .done').style.transform"
    wait_until(lambda: page.evaluate(done) > "scaleX(0.002")
    drag_to(page, 5.2, release=True)  # early in a sweep; what ran runs on
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("heading", name="Convolution: small filters find patterns")).to_be_visible()
    assert visitor.ask("session.selection.token") is not None
    expect(page.locator(".said p")).to_be_in_viewport(ratio=1)  # the sentence stays
    page.keyboard.press("Space")
    expect(page.locator(".station")).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert visitor.ask("session.selection.token") is None  # the token that was lit before the pause
    page.locator("body").click(position={"x": 600, "y": 400})  # on the drawing
    expect(page.locator(".station")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("heading", name="Tokens: each cell becomes a list of numbers")).to_be_visible()
    assert page.evaluate("history.length") == entries + 1  # all stations of the film together: Back leaves them
    page.keyboard.press("7")  # another station: the film follows
    expect(page.locator(SCRUBBER)).to_have_attribute("aria-valuetext", "Classes")
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="The journey")).to_have_count(0)
    expect(page.get_by_role("heading", name="Classes: from score to answer")).to_be_visible()
    page.go_back()
    expect(page.locator(".station")).to_have_count(0)
    assert "station" not in page.url
    visitor.check_quiet()


@pytest.mark.parametrize("model", MODELS)
def test_every_moment_of_every_kind_of_model_is_drawn(view, model):
    """A scene has its sentence, and its canvas is not empty."""
    visitor = view("desktop", model)
    page = visitor.page
    play(visitor)
    seen = []
    for seconds in MIDDLES:
        drag_to(page, seconds)
        if moment(page) not in seen:
            seen.append(moment(page))
            expect(page.locator(".said p")).not_to_be_empty()
    names = {"Sum": None, "SeqPool": "Class token"} if "vit" in model else {}
    assert seen == [name for scene in SCENES if (name := names.get(scene, scene))]
    drag_to(page, LONGEST, release=True)
    assert page.locator(".player .filled").get_attribute("aria-label") == "Play again"  # and it does not start again
    assert page.locator(".cover").count() == 0  # the drawing is whole
    visitor.check_quiet()


def test_with_less_motion_it_goes_step_by_step(view):
    visitor = view(still=True)
    page = visitor.page
    play(visitor)
    for name in SCENES[1:]:
        at = page.locator(".player .done").get_attribute("style")
        page.get_by_role("button", name="Next").click()
        expect(page.locator(SCRUBBER)).to_have_attribute("aria-valuetext", name)
        assert page.locator(".player .done").get_attribute("style") != at
    page.get_by_role("button", name="Look closer").click()
    expect(page.get_by_role("heading", name="Classes: from score to answer")).to_be_visible()
    page.locator(".player .filled").click()
    page.get_by_role("button", name="Next").click()  # beyond the last scene
    page.get_by_role("button", name="Play again").click()
    expect(page.locator(SCRUBBER)).to_have_attribute("aria-valuetext", SCENES[0])


def test_another_picture_leaves_an_ended_film_ended(view):
    visitor = view("phone")
    page = visitor.page
    play(visitor)
    drag_to(page, LONGEST, release=True)
    expect(page.locator(".cover")).to_have_count(0)
    visitor.ask("session.choosePicture(given[0])", visitor.ask("session.pictures[1].id"))
    visitor.wait()
    expect(page.get_by_role("button", name="Play again")).to_be_visible()
    assert page.locator(".cover").count() == 0  # the drawing of the new picture is whole


def test_a_problem_is_told_once_while_the_film_runs(view):
    visitor = view("phone")
    page = visitor.page
    play(visitor)
    visitor.ask("(session.notice = {kind: 'problem', text: given[0]}, null)", "no picture")
    expect(page.get_by_role("alert")).to_have_text("no picture")
    assert page.get_by_text("no picture").count() == 1
    expect(page.locator(".said p")).to_contain_text("model")  # the film goes on telling


@pytest.mark.parametrize(("size", "dark"), [("projector", False), ("small phone", True), ("presenter", True)])
def test_a_scene_can_be_used_by_everyone_at_every_size(view, size, dark):
    visitor = view("projector" if size == "presenter" else size, dark=dark, still=True)
    page = visitor.page
    if size == "presenter":
        page.keyboard.press("p")
    play(visitor)
    drag_to(page, 20)
    expect(page.locator(".hero")).to_be_in_viewport()
    expect(page.locator("p", has_text=re.compile("^Attention, layer 1 of 2"))).to_be_in_viewport(ratio=1)
    assert visitor.overflow() == 0
    assert visitor.violations() == []
    visitor.check_quiet()
