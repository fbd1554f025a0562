"""The app's page itself runs the model to remove tokens and paint over pixels, after it has fetched it once.

Needs Chromium.
"""

import numpy as np
from test_app_in_browser import EXAMPLES, Visitor

import cct_viz
from cct_viz.architecture.presets import DEFAULT


def read_falls(page, tokens):
    """The change of the score without each token, as the panel states it."""
    page.wait_for_selector("#explorer .removal :text('Measured by')", timeout=90_000)
    changes = []
    for token in tokens:
        page.evaluate(
            "(token) => new Promise((done) => { const parts = [...document.querySelectorAll('#explorer *')];"
            " parts.find((part) => part.explorer).explorer.store.set({token, b: null});"
            " requestAnimationFrame(() => requestAnimationFrame(done)) })",
            token,
        )
        words = page.locator("#explorer .removal .pair p.line").inner_text()
        changes.append(float(words.split("changes by ")[1].split()[0].replace("\u2212", "-")))
    return changes


def fetched(visitor):
    return [url for url in visitor.requests if "/file=" in url and url.endswith(".json")]


def test_page_removes_tokens(chromium, app_address):
    classifier, tokens = cct_viz.load(DEFAULT), (0, 27, 63)
    visitor = Visitor(chromium, app_address)
    page = visitor.page
    page.wait_for_selector("#explorer .station")
    assert fetched(visitor) == []
    page.locator("#explorer").get_by_role("button", name="Remove tokens").click()
    page.wait_for_selector("#explorer .removal :text('answers of the model')")  # the first picture is being measured
    before = visitor.state()
    page.locator("#examples").get_by_role("button", name="ship").click()
    visitor.wait_for_another(before)
    heat = cct_viz.explain(classifier.trace(EXAMPLES / "ship.png"), "drop_token", classifier=classifier).maps[0].ravel()
    np.testing.assert_allclose(read_falls(page, tokens), -heat[list(tokens)], atol=6e-4)  # displayed with three digits
    assert len(fetched(visitor)) == 1
    assert page.locator("#explorer").get_by_role("button", name="The code").count() == 0
    assert visitor.errors == []
    visitor.context.close()


def test_page_paints_over_the_picture(chromium, app_address):
    classifier = cct_viz.load(DEFAULT)
    visitor = Visitor(chromium, app_address)
    page = visitor.page
    page.locator("#explorer").get_by_role("button", name="Paint over").click()
    page.wait_for_selector("#explorer .paint tbody tr")
    page.locator("#explorer .paint").get_by_role("button", name="Black").click()
    page.locator("#explorer .paint .grid").focus()
    for key in (*["ArrowDown"] * 16, *["ArrowRight"] * 16, "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#explorer .paint .sentence:has-text('With 9 pixels painted over')", timeout=90_000)
    painted = classifier.trace(EXAMPLES / "deer.png").pixels.copy()
    painted[15:18, 15:18] = 0
    expected = np.sort(classifier.trace(painted).probabilities)[::-1][:5]
    cells = page.locator("#explorer .paint tbody td:nth-child(3)")
    shown = [float(cells.nth(i).get_attribute("data-value")) for i in range(cells.count())]
    np.testing.assert_allclose(shown, expected, atol=1e-4)  # float32 on both sides, summed in different order
    assert len(fetched(visitor)) == 1
    assert visitor.errors == []
    visitor.context.close()


def test_missing_model_file_gives_a_message(chromium, app_address):
    visitor = Visitor(chromium, app_address)
    page = visitor.page
    page.route("**/gradio_api/file=**.json", lambda route: route.fulfill(status=404))
    page.locator("#explorer").get_by_role("button", name="Remove tokens").click()
    page.wait_for_selector("#explorer .removal .problem:has-text('The model cannot be fetched from the app;')")
    page.unroute("**/gradio_api/file=**.json")
    page.locator("#explorer").get_by_role("button", name="Measure").click()
    page.wait_for_selector("#explorer .removal :text('answers of the model')")
    visitor.context.close()
