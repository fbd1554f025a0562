"""The pooling laboratory in Chromium: it shows the numbers of cct_viz.methods.laboratory."""

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from playwright.sync_api import expect

import cct_viz
from cct_viz.architecture.config import numbered_labels
from cct_viz.methods import laboratory as lab

SAME = 1e-4  # tolerance; the payload has exact float32 numbers and sums are in float64 on both sides
EFFECTIVE = "Effective number of tokens"


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


@pytest.fixture(scope="module")
def deer(classifier):
    return classifier.trace("cct_viz/web/example_images/deer.png")


@pytest.fixture(scope="module")
def wide():
    return make_trace(tiny_config(image_size=(56, 80)))  # 14 x 20 tokens


@pytest.fixture(scope="module")
def mean():
    return make_trace(tiny_config(pool="mean"))


@pytest.fixture
def open_laboratory(open_explorer):
    def open_one(trace, **options):
        explorer = open_explorer(trace, **options)
        explorer.page.get_by_role("button", name="Pooling laboratory").click()
        explorer.choose()
        return explorer

    return open_one


def press(explorer, name):
    """Press a button of the panel by its text, and wait until the panel is drawn again."""
    explorer.page.locator(".panel").get_by_role("button", name=name, exact=True).click()
    explorer.choose()


def read(explorer, trace, *, table="lab-probabilities"):
    """(K,) the first number of each class in a table of the page, at its full precision."""
    shown = explorer.page.locator(f".{table} tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('th').textContent,"
        " Number(row.querySelector('td.value').dataset.value)])"
    )
    values = dict(shown)
    assert len(shown) == len(values) == len(trace.labels)
    return np.array([values[label] for label in trace.labels])


def agree(explorer, trace, pooled):
    np.testing.assert_allclose(explorer.derive("weights"), pooled.weights, atol=1e-6)
    np.testing.assert_allclose(read(explorer, trace), pooled.probabilities, atol=SAME)
    np.testing.assert_allclose(read(explorer, trace, table="lab-reach"), pooled.logits, atol=SAME)


def percent(p):
    return f"{100 * p:.1f} %"


@pytest.mark.parametrize("name", ["deer", "wide"])
def test_every_pooling_equals_python(request, open_laboratory, name):
    trace = request.getfixturevalue(name)
    prior = np.random.default_rng(5).dirichlet(np.ones(len(trace.evidence)))
    explorer = open_laboratory(trace, prior=prior)
    np.testing.assert_allclose(read(explorer, trace), trace.probabilities, atol=SAME)
    for button, pooled in (
        ("Mean", lab.pool_uniformly(trace)),
        ("Top token", lab.top_token(trace)),
        ("Position prior", lab.pool_with(trace, prior)),
        ("Painted", lab.pool_with(trace, trace.pooling_weights)),
        ("Model", lab.pool_with(trace, trace.pooling_weights)),
    ):
        press(explorer, button)
        agree(explorer, trace, pooled)
    for place, beta in ((0, 0), (7, 0.35), (20, 1), (40, 2**1.5), (60, 8)):
        explorer.page.get_by_role("slider", name="Temperature").fill(str(place))
        explorer.choose()
        agree(explorer, trace, lab.sharpen(trace, beta))
    explorer.check_quiet()


def test_position_prior_pooling_equals_python(open_laboratory, classifier, deer):
    explorer = open_laboratory(deer, prior=classifier.position_prior)
    press(explorer, "Position prior")
    agree(explorer, deer, lab.pool_with(deer, classifier.position_prior))


def test_without_a_position_prior_a_sentence_replaces_the_button(open_laboratory, wide):
    explorer = open_laboratory(wide)
    panel = explorer.page.locator(".panel")
    assert panel.get_by_role("button", name="Position prior").count() == 0
    assert "There is no position prior here" in panel.inner_text()
    explorer.choose(pooling="prior")  # as an old link might
    np.testing.assert_allclose(read(explorer, wide), wide.probabilities, atol=SAME)


@pytest.mark.parametrize("name", ["deer", "wide"])
def test_shuffled_weights_are_a_permutation_given_by_the_seed(request, open_laboratory, name):
    trace = request.getfixturevalue(name)
    orders = []
    for _ in range(2):
        explorer = open_laboratory(trace)
        press(explorer, "Shuffled")
        orders.append([explorer.derive("weights")])
        agree(explorer, trace, lab.pool_with(trace, np.array(orders[-1][0])))
        for _ in range(3):
            press(explorer, "Shuffle again")
            orders[-1].append(explorer.derive("weights"))
        agree(explorer, trace, lab.pool_with(trace, np.array(orders[-1][-1])))
    np.testing.assert_array_equal(*orders)
    first = np.array(orders[0])
    for order in first:
        np.testing.assert_allclose(np.sort(order), np.sort(trace.pooling_weights), atol=1e-6)  # scaled to sum to 1
    assert len({order.tobytes() for order in first}) == 4
    moved = (np.abs(first - trace.pooling_weights) > 1e-6).mean()
    assert moved > 0.9  # a random order leaves one token of N in its place


def test_mean_pooling_still_allows_painting_and_dropping(open_laboratory, mean):
    explorer = open_laboratory(mean)
    panel = explorer.page.locator(".panel")
    buttons = panel.get_by_role("toolbar", name="Weights").get_by_role("button").all_inner_texts()
    assert buttons == ["Model: the mean", "Painted"]
    assert "there is no temperature, no top token, and nothing to shuffle" in panel.inner_text()
    agree(explorer, mean, lab.pool_uniformly(mean))
    for pooling in ("beta", "mean", "top", "shuffled"):
        explorer.choose(pooling=pooling, beta=3)
        agree(explorer, mean, lab.pool_uniformly(mean))
    explorer.choose(pooling="model")
    press(explorer, "Drop")
    click_token(explorer, mean, 7)
    agree(explorer, mean, lab.pool_with(mean, np.arange(15) != 7))
    press(explorer, "Paint")
    click_token(explorer, mean, 3)
    weights = np.where(np.arange(15) == 7, 0, 1 / 14)
    weights[3] += 2 / 15
    agree(explorer, mean, lab.pool_with(mean, weights))
    explorer.check_quiet()


@pytest.mark.parametrize(
    ("pool", "reason"), [("class_token", "with a class token"), ("max", "takes each channel from")]
)
def test_models_without_pooling_weights_explain_why(open_laboratory, pool, reason):
    explorer = open_laboratory(make_trace(tiny_config(pool=pool)))
    words = explorer.page.locator(".panel").inner_text()
    assert reason in words
    assert "nothing here to change" in words
    assert explorer.page.locator(".panel .grid").count() == 0
    explorer.choose(pooling="mean", station="seqpool")
    assert explorer.page.locator(".banner").is_hidden()
    explorer.check_quiet()


def at(explorer, trace, token):
    """The screen position of a token of the weight map, after scrolling it into view."""
    grid = explorer.page.locator(".lab-maps .grid").first
    grid.scroll_into_view_if_needed()
    box, (rows, columns) = grid.bounding_box(), trace.grid
    row, column = divmod(token, columns)
    return box["x"] + box["width"] * (column + 0.5) / columns, box["y"] + box["height"] * (row + 0.5) / rows


def click_token(explorer, trace, token):
    explorer.page.mouse.click(*at(explorer, trace, token))
    explorer.choose()


def drag(explorer, trace, *tokens):
    mouse = explorer.page.mouse
    mouse.move(*at(explorer, trace, tokens[0]))
    mouse.down()
    for token in tokens[1:]:
        mouse.move(*at(explorer, trace, token))
    mouse.up()
    explorer.choose()


@pytest.mark.parametrize("name", ["deer", "wide"])
def test_a_pointer_paints_and_erases(request, open_laboratory, name):
    trace = request.getfixturevalue(name)
    n, columns = len(trace.evidence), trace.grid[1]
    explorer = open_laboratory(trace)
    press(explorer, "Painted")
    press(explorer, "Start from empty")
    drag(explorer, trace, 3 * columns + 1, 3 * columns + 6)  # one fast move, which must leave no gap
    line = np.isin(np.arange(n), 3 * columns + np.arange(1, 7)).astype(float)
    agree(explorer, trace, lab.pool_with(trace, line))
    explorer.page.mouse.move(*at(explorer, trace, 0))  # not pressed: nothing is painted
    click_token(explorer, trace, 3 * columns + 1)
    line[3 * columns + 1] = 2
    agree(explorer, trace, lab.pool_with(trace, line))
    press(explorer, "Erase")
    drag(explorer, trace, 3 * columns + 4, 3 * columns + 5)
    line[[3 * columns + 4, 3 * columns + 5]] = 0
    agree(explorer, trace, lab.pool_with(trace, line))
    press(explorer, "Start from the model")
    np.testing.assert_allclose(read(explorer, trace), trace.probabilities, atol=SAME)
    drag(explorer, trace, 0, columns + 1)
    weights = trace.pooling_weights + 2 / n * np.isin(np.arange(n), [0, columns + 1])
    agree(explorer, trace, lab.pool_with(trace, weights))
    explorer.check_quiet()


def test_painting_starts_from_the_displayed_weights(open_laboratory, deer):
    explorer = open_laboratory(deer)
    press(explorer, "Mean")
    press(explorer, "Paint")
    click_token(explorer, deer, 20)
    agree(explorer, deer, lab.pool_with(deer, 1 / 64 + 2 / 64 * (np.arange(64) == 20)))
    assert explorer.page.locator(".banner").inner_text().startswith("Pooling laboratory: painted weights.")


@pytest.mark.parametrize("width", [360, 1000])
def test_map_does_not_move_during_painting(open_laboratory, deer, width):
    explorer = open_laboratory(deer, width=width)
    press(explorer, "Paint")
    before = at(explorer, deer, 9)
    explorer.page.mouse.move(*before)
    explorer.page.mouse.down()
    explorer.choose()
    assert at(explorer, deer, 9) == pytest.approx(before)
    explorer.page.mouse.up()


def test_all_zero_weights_give_the_biases(open_laboratory, deer):
    explorer = open_laboratory(deer)
    press(explorer, "Painted")
    press(explorer, "Start from empty")
    exponentials = np.exp(deer.bias.astype(np.float64))
    np.testing.assert_allclose(read(explorer, deer), exponentials / exponentials.sum(), atol=SAME)
    assert explorer.page.locator(".sentence").inner_text().startswith("No token has any weight.")
    assert explorer.derive("weights") == [0] * 64
    explorer.check_quiet()


@pytest.mark.parametrize("name", ["deer", "wide"])
def test_tokens_are_removed_and_restored(request, open_laboratory, name):
    trace = request.getfixturevalue(name)
    explorer = open_laboratory(trace)
    panel, out = explorer.page.locator(".panel"), [int(trace.pooling_weights.argmax()), 0, 9]
    press(explorer, "Drop")
    for token in out:
        click_token(explorer, trace, token)
    kept = np.isin(np.arange(len(trace.evidence)), out, invert=True)
    agree(explorer, trace, lab.pool_with(trace, trace.pooling_weights * kept))
    assert panel.locator(".sentence").inner_text().startswith("Without 3 tokens ")
    assert panel.locator(".crosses .line").get_attribute("d").count("M") == 3
    assert panel.get_by_role("button", name="Put back the token in").count() == 3
    press(explorer, "Top token")  # the best of those that are left
    best = int((trace.pooling_weights * kept).argmax())
    agree(explorer, trace, lab.pool_one(trace, best))
    press(explorer, "Mean")
    agree(explorer, trace, lab.pool_with(trace, kept))
    assert panel.locator(".sentence").inner_text().startswith("With mean pooling without 3 tokens ")
    press(explorer, "Put back the token in row 1, column 1")
    agree(explorer, trace, lab.pool_with(trace, kept | (np.arange(len(kept)) == 0)))
    click_token(explorer, trace, 9)  # clicking a removed token restores it
    agree(explorer, trace, lab.pool_with(trace, np.arange(len(kept)) != out[0]))
    press(explorer, "Put all back")
    agree(explorer, trace, lab.pool_uniformly(trace))
    assert panel.locator(".dropped").is_hidden()
    explorer.check_quiet()


def test_keyboard_paints_and_drops(open_laboratory, deer):
    explorer = open_laboratory(deer)
    keyboard, grid = explorer.page.keyboard, explorer.page.locator(".lab-maps .grid").first
    group = explorer.page.get_by_role("toolbar", name="Pointer on the weight map")
    group.get_by_role("button", name="Drop").press("Enter")
    grid.focus()
    for key in ("ArrowRight", "ArrowDown", "Enter", "ArrowDown", "Space"):
        keyboard.press(key)
        explorer.choose()
    kept = np.isin(np.arange(64), [9, 17], invert=True)
    agree(explorer, deer, lab.pool_with(deer, deer.pooling_weights * kept))
    assert "press Enter on it, to take it out" in grid.get_attribute("aria-label")
    keyboard.press("Enter")
    explorer.choose()
    agree(explorer, deer, lab.pool_with(deer, deer.pooling_weights * (np.arange(64) != 9)))
    explorer.page.get_by_role("button", name="Painted").press("Enter")
    explorer.page.get_by_role("button", name="Start from empty").press("Enter")
    grid.focus()
    for key in ("Enter", "ArrowUp", "Enter", "ArrowLeft", "Enter", "Enter"):
        keyboard.press(key)
        explorer.choose()
    agree(explorer, deer, lab.pool_with(deer, np.bincount([17, 9, 8, 8], minlength=64)))  # painting restores token 9
    explorer.page.get_by_role("slider").first.focus()
    explorer.check_quiet()


def test_sentence_states_the_change(open_laboratory, deer):
    explorer = open_laboratory(deer)
    sentence, page = explorer.page.locator(".sentence"), explorer.page
    a, own, even = int(deer.logits.argmax()), deer.probabilities, lab.pool_uniformly(deer).probabilities
    assert deer.labels[a] == "deer"
    assert sentence.inner_text() == f"These are the model's own weights: they give deer {percent(own[a])}, and it wins."
    press(explorer, "Mean")
    winner = deer.labels[even.argmax()]
    assert winner != "deer"  # the famous example of the lesson
    expected = f"With mean pooling deer falls from {percent(own[a])} to {percent(even[a])}, and {winner} wins."
    assert sentence.inner_text() == expected
    expect(page.locator(".panel [aria-live]")).to_contain_text(expected)  # announced to screen readers after a delay
    explorer.choose(a=int(even.argmax()), b=a)
    assert sentence.inner_text().endswith(f" to {percent(even.max())} and wins.")
    explorer.choose(pooling="beta", beta=2.5, a=a)
    sharp = lab.sharpen(deer, 2.5).probabilities
    expected = (
        f"With inverse temperature β = 2.5 deer rises from {percent(own[a])} to {percent(sharp[a])} and still wins."
    )
    assert sentence.inner_text() == expected
    explorer.choose(beta=0)
    assert sentence.inner_text().startswith("With mean pooling deer falls")


def test_every_panel_marks_changed_weights(open_laboratory, deer):
    explorer = open_laboratory(deer)
    page, banner = explorer.page, explorer.page.locator(".banner")
    assert "not the model's own" not in banner.inner_text()
    press(explorer, "Mean")
    for station in ("pixels", "seqpool", "classes", "laboratory"):
        explorer.choose(station=station)
        words = " ".join(banner.inner_text().split())
        expected = "Pooling laboratory: mean pooling. These are not the model's own answers. Back to the model"
        assert words == expected, station
    explorer.choose(station="classes")
    banner.get_by_role("button", name="Back to the model").click()
    explorer.choose()
    assert banner.is_hidden()
    assert page.evaluate("document.querySelector('#explorer').shadowRoot.activeElement.tagName") == "H2"
    np.testing.assert_allclose(explorer.derive("probabilities"), deer.probabilities, atol=1e-6)
    explorer.page.get_by_role("button", name="Pooling laboratory").click()
    explorer.page.get_by_role("slider", name="Temperature").fill("20")  # beta is 1 again: the model
    explorer.choose(station="seqpool")
    assert banner.is_hidden()


@pytest.mark.parametrize("name", ["deer", "wide", "mean"])
def test_ranges_and_numbers_equal_python(request, open_laboratory, name):
    trace = request.getfixturevalue(name)
    explorer = open_laboratory(trace)
    page = explorer.page
    rows = page.locator(".lab-reach tbody tr").evaluate_all(
        """rows => Object.fromEntries(rows.map((row) => {
             const range = row.querySelector('.range'), box = range.getBoundingClientRect();
             const edge = (part, side) => range.querySelector(part).getBoundingClientRect()[side];
             const place = (part, side) => (edge(part, side) - box.left) / box.width;
             const {low, high} = range.dataset;
             return [row.querySelector('th').textContent, {low: Number(low), high: Number(high),
               left: place('.within', 'left'), right: place('.within', 'right'), model: place('.tick', 'left')}];
           }))"""
    )
    low, high = trace.evidence.min(axis=0) + trace.bias, trace.evidence.max(axis=0) + trace.bias
    span = high.max() - low.min()
    for c, label in enumerate(trace.labels):
        np.testing.assert_allclose((rows[label]["low"], rows[label]["high"]), (low[c], high[c]), atol=SAME)
        expected = (np.array([low[c], high[c], trace.logits[c]]) - low.min()) / span
        places = [rows[label][part] for part in ("left", "right", "model")]
        np.testing.assert_allclose(places, expected, atol=0.02)  # a pixel or two of the drawing
    a, b = np.argsort(-trace.logits)[:2]
    explorer.choose(a=int(a), b=int(b))
    facts = dict(
        page.locator(".facts div").evaluate_all(
            "all => all.map((one) => [one.querySelector('dt').textContent,"
            " Number(one.querySelector('b').dataset.value)])"
        )
    )
    w = trace.pooling_weights.astype(np.float64)
    assert facts[EFFECTIVE] == pytest.approx(np.exp(-(w * np.log(w)).sum()), rel=1e-5)
    margin = facts[f"{trace.labels[a]} over {trace.labels[b]}"]
    assert margin == pytest.approx(trace.logits[a] - trace.logits[b], abs=SAME)
    assert facts["Largest weight"] == pytest.approx(w.max(), rel=1e-5)


def test_of_many_classes_the_best_and_the_compared_are_listed(open_laboratory):
    trace = make_trace(tiny_config(labels=numbered_labels(1000)))
    explorer = open_laboratory(trace)
    explorer.choose(pooling="top")
    worst = int(trace.logits.argmin())
    explorer.choose(b=worst)
    shown = explorer.page.locator(".lab-probabilities tbody th").all_inner_texts()
    pooled = lab.top_token(trace)
    leaders = [trace.labels[c] for c in np.argsort(-pooled.probabilities)[:3]]
    best = [trace.labels[c] for c in np.argsort(-trace.logits)[:10]]
    assert {*leaders, *best, trace.labels[worst]} == set(shown)
    values = explorer.page.locator(".lab-probabilities tbody tr td.value:nth-of-type(2)").evaluate_all(
        "cells => cells.map(cell => Number(cell.dataset.value))"
    )
    expected = [pooled.probabilities[trace.labels.index(label)] for label in shown]
    np.testing.assert_allclose(values, expected, atol=SAME)
    explorer.check_quiet()


@pytest.mark.parametrize(("width", "dark"), [(360, False), (360, True), (700, False), (1000, False)])
def test_nothing_is_wider_than_the_page(open_laboratory, classifier, deer, width, dark):
    explorer = open_laboratory(deer, width=width, dark=dark, prior=classifier.position_prior)
    for button in ("Model", "Mean", "Top token", "Shuffled", "Position prior", "Painted", "Drop"):
        press(explorer, button)
        assert explorer.overflow() <= 0, button
    for token in range(12):
        click_token(explorer, deer, token)
    assert explorer.overflow() <= 0
    cut = explorer.page.locator(".lab-table th, .lab-table td.value").evaluate_all(
        "all => all.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
    )
    assert cut == []
    explorer.check_quiet()
