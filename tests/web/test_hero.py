"""The drawing from photo to answer in a browser: what follows the pointer, the keys and the classes. Needs Chromium."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect
from visitor import SIZES, page_with
from waiting import wait_for_rest

import cct_viz

# Texts of the drawing that lie on one another, or outside the window. Ranges, because a box may be wider than its text.
OVERLAPS = """() => {
    const of = '.hero svg.still text, .hero .head .title';
    const texts = [...document.querySelectorAll(of)].filter((text) => text.textContent.trim());
    const boxes = texts.map((text) => {
        const range = document.createRange();
        range.selectNodeContents(text);
        return [text.textContent.trim(), range.getBoundingClientRect()];
    }).filter(([, box]) => box.width);
    const found = boxes.filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => text);
    boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 1 && height > 5) found.push(`${one} | ${other}`);
    }));
    return found;
}"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    models = [cct_viz.load(name) for name in ("cct_2_3x2_32_cifar10", "cct_2_3x2_class_token_seed0")]
    path = tmp_path_factory.mktemp("hero") / "page.html"
    path.write_text(page_with(*models))
    return path.as_uri()


@pytest.fixture
def open_hero(visit, address):
    def open_one(choices=""):
        return visit(f"{address}#{choices}", still=True).page

    return open_one


def lit(page) -> int:
    """The lit token, as the drawing says to a screen reader."""
    return int(page.locator(".hero .stage").get_attribute("aria-valuenow")) - 1


def expect_lit(page, token) -> None:
    expect(page.locator(".hero .stage")).to_have_attribute("aria-valuenow", str(token + 1))


def middle_of_photo_cell(page, row, column):
    box = page.locator(".hero svg.still image.picture").first.bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / 8, box["y"] + (row + 0.5) * box["height"] / 8


def test_pointing_lights_a_token_and_leaving_returns_to_the_strongest(open_hero):
    page = open_hero()
    strongest = lit(page)
    page.mouse.move(*middle_of_photo_cell(page, 5, 6))
    expect_lit(page, 5 * 8 + 6)
    expect(page.locator(".equation").last).to_contain_text("Row 6, column 7")
    expect(page.locator(".hero svg.ribbons.dim")).to_have_count(1)
    page.mouse.move(700, 20)
    expect_lit(page, strongest)
    expect(page.locator(".hero svg.ribbons.dim")).to_have_count(0)


def test_a_click_keeps_a_token_and_arrow_keys_move_it(open_hero):
    page = open_hero()
    page.mouse.click(*middle_of_photo_cell(page, 3, 3))
    page.mouse.move(700, 20)
    expect_lit(page, 3 * 8 + 3)
    page.locator(".hero .stage").press("ArrowDown")
    page.locator(".hero .stage").press("ArrowRight")
    expect_lit(page, 4 * 8 + 4)


def test_a_class_becomes_the_explained_one(open_hero):
    page = open_hero()
    page.get_by_role("button", name="Explain dog").click()
    expect(page.locator(".hero .head", has_text="Evidence")).to_have_text(re.compile("for dog$"))
    expect(page.get_by_role("button", name="Explain dog")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".equation").last).to_contain_text("evidence for dog")


def test_the_table_adds_up_to_the_score(open_hero):
    page = open_hero()
    table = page.locator(".hero table")
    assert table.locator("tbody tr").count() == 64
    cells = table.locator("tbody td:last-child").all_inner_texts()
    total = sum(float(cell.replace("\u2212", "-")) for cell in cells)
    score, bias = page.evaluate(
        """() => {
            const {trace, target} = cctExplorer.session;
            return [trace.logits[target], trace.bias[target]];
        }"""
    )
    np.testing.assert_allclose(total + bias, score, atol=64 * 0.0005)  # each cell is rounded to 0.001


@pytest.mark.parametrize(
    "choices", ["", "picture=coffee", "model=cct_2_3x2_class_token_seed0", "station=attention&layer=1"]
)
def test_no_text_lies_on_another(open_hero, choices):
    page = open_hero(choices=choices)
    for width, height in (SIZES["desktop"], SIZES["projector"]):
        page.set_viewport_size({"width": width, "height": height})
        wait_for_rest(page)
        assert page.evaluate(OVERLAPS) == [], (width, height)
