"""axe-core finds nothing serious or critical: the explorer with every station open, in light and dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import make_trace, tiny_config
from waiting import wait_for_rest

import cct_viz


def serious(page):
    """The serious and critical violations that axe-core reports, with their elements."""
    violations = Axe().run(page).response["violations"]
    return [
        (violation["id"], node["target"], node.get("failureSummary", ""))
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def stations(explorer):
    """Open every station and tool in turn, by its button."""
    buttons = explorer.page.locator(".station, .tools > button")
    for i in range(buttons.count()):
        buttons.nth(i).click()
        wait_for_rest(explorer.page)
        yield buttons.nth(i).inner_text()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_explorer_has_no_serious_violation(open_explorer, dark):
    trace = cct_viz.load("keras_cct_cifar10").trace("cct_viz/web/example_images/deer.png")
    explorer = open_explorer(trace, dark=dark)
    explorer.choose(token=20)
    for name in stations(explorer):
        assert serious(explorer.page) == [], name


@pytest.mark.parametrize("pool", ["class_token", "max"])
def test_explorer_without_seqpool_has_no_serious_violation(open_explorer, pool):
    explorer = open_explorer(make_trace(tiny_config(pool=pool)), width=360)
    for name in stations(explorer):
        assert serious(explorer.page) == [], name
