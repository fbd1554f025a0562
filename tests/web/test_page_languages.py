"""The page in five languages, and its glossary. Needs Chromium."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from visitor import STATIONS, page_with

import cct_viz

LANGUAGES = {"de": "Deutsch", "fr": "Français", "es": "Español", "zh": "简体中文", "en": "English"}
TAGS = {"zh": "zh-Hans"}
CAT = {"de": "Katze", "fr": "chat", "es": "gato", "zh": "猫", "en": "cat"}
SHARE = {"de": "97,4\u00a0%", "fr": "97,4\u202f%", "es": "97,4\u00a0%", "zh": "97.4%", "en": "97.4\u00a0%"}
# Texts that are cut, lie outside the window or over each other; a badge lies over the corner of its picture.
FAULTS = (Path(__file__).parent / "text_faults.js").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "site.html"
    path.write_text(page_with(cct_viz.load("cct_2_3x2_32_cifar10")))
    return path


@pytest.fixture
def view(visit, site):
    def open_one(size="projector", hash=""):
        return visit(f"{site.as_uri()}#{hash}", size=size, still=True)

    return open_one


def language_of(visitor) -> str:
    return visitor.page.evaluate("document.documentElement.lang")


def test_every_language_is_chosen_in_the_menu_keeps_the_view_and_has_no_barrier(view):
    visitor = view(hash="token=20")
    page, before = visitor.page, "English"
    for code, name in LANGUAGES.items():
        page.locator("header").get_by_text(before, exact=True).click()
        page.get_by_role("radio", name=name).click()
        expect(page.locator("html")).to_have_attribute("lang", TAGS.get(code, code))
        expect(page.locator(".verdict b")).to_have_text(CAT[code])
        expect(page.locator(".verdict")).to_contain_text(re.compile(re.escape(SHARE[code]).replace("\u202f", r"\s")))
        assert f"lang={code}" in page.url
        assert "token=20" in page.url
        assert visitor.violations() == []
        assert visitor.page.evaluate(FAULTS) == []
        before = name


def test_a_language_comes_from_the_address_the_last_visit_or_the_browser(view, site, chromium):
    visitor = view(hash="lang=fr&station=pool")
    assert language_of(visitor) == "fr"
    visitor.page.evaluate("cctExplorer.session.chooseLanguage('es')")
    visitor.page.goto("about:blank")
    visitor.go(site.as_uri())
    assert language_of(visitor) == "es"
    assert "Explorer: cómo" in visitor.page.title()
    context = chromium.new_context(locale="de-AT", offline=True)
    page = context.new_page()
    page.goto(site.as_uri())
    expect(page.locator(".verdict")).to_contain_text("Das Modell antwortet Katze")
    context.close()


@pytest.mark.parametrize("size", ["projector", "small phone"])
def test_no_language_is_cut_or_wider_than_the_window_and_the_longest_in_no_station(view, size):
    visitor = view(size)
    for code in ("es", "fr", "zh", "de"):
        visitor.page.evaluate("(code) => cctExplorer.session.chooseLanguage(code)", code)
        assert (code, visitor.overflow(), visitor.page.evaluate(FAULTS)) == (code, 0, [])
    for place in (None, *STATIONS):
        visitor.open(place)
        assert (place, visitor.overflow(), visitor.page.evaluate(FAULTS)) == (place, 0, [])


def test_messages_and_problems_follow_the_language_too(view, tmp_path):
    visitor = view()
    page = visitor.page
    page.evaluate("cctExplorer.session.takePhoto(new File(['II*\\0'], 'a.tif'), () => 'a')")
    expect(page.get_by_role("alert")).to_contain_text("a.tif is a TIFF image")
    page.evaluate("cctExplorer.session.chooseLanguage('de')")
    expect(page.get_by_role("alert")).to_contain_text("a.tif ist ein TIFF-Bild")


def test_a_term_is_explained_to_mouse_keys_and_finger(view):
    visitor = view(hash="station=pool")
    page = visitor.page
    term, tip = page.locator(".station .terms").get_by_role("button", name="SeqPool"), page.get_by_role("tooltip")
    term.hover()
    expect(tip).to_contain_text("a learned weighted mean")
    expect(tip).to_contain_text("Σ weight · token")
    tip.hover()  # the pointer may go there to read on
    expect(tip).to_be_visible()
    page.mouse.move(0, 0)
    expect(tip).to_have_count(0)
    term.focus()
    expect(tip).to_be_visible()
    assert visitor.violations(".station") == []
    page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    expect(page.locator(".station")).to_be_visible()  # Esc left the explanation alone
    phone = view("small phone").page
    phone.locator(".equation .defined").last.tap()
    expect(phone.get_by_role("tooltip")).to_contain_text("What a token adds to the class score")
    tip = phone.get_by_role("tooltip").element_handle()
    inside = "(tip) => { const box = tip.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth; }"
    for moved in (-200, 60):  # the words move while it is open, as when a line breaks elsewhere
        tip.evaluate("(tip, moved) => (tip.parentElement.style.left = `${moved}px`)", moved)
        phone.wait_for_function(inside, arg=tip)
    phone.locator("h1").tap()
    expect(phone.get_by_role("tooltip")).to_have_count(0)
    wide = view("wide").page  # where the page is zoomed
    wide.locator(".equation .defined").last.hover()
    tip = wide.get_by_role("tooltip").element_handle()
    tip.evaluate("(tip) => (tip.parentElement.style.left = `${0.9 * innerWidth}px`)")
    wide.wait_for_function(inside, arg=tip)


def test_the_glossary_lists_all_terms_and_leads_to_their_stations(view):
    page = view(hash="station=pool").page
    page.get_by_role("button", name="All terms").click()
    expect(page.locator("dt")).to_have_count(30)
    assert page.locator("dd", has_text=re.compile(r"\w")).count() >= 60  # a sentence and a way to each
    page.locator("dl > div", has_text="Rollout").last.get_by_role("button").click()
    expect(page.locator(".station h2")).to_contain_text("Attention")
