"""The explorer in Chromium, opened from disk without a network: it shows the numbers that Python computed."""

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from playwright.sync_api import expect

import cct_viz
from cct_viz.architecture.config import ConvStage, Preprocessing, numbered_labels
from cct_viz.methods.attention import rollout

TO = "\N{EN DASH}"

STATIONS = ("pixels", "tokens", "attention", "seqpool", "classes", "laboratory")
CONFIGS = {
    "seqpool": tiny_config(),
    "mean": tiny_config(pool="mean"),
    "max": tiny_config(pool="max"),
    "class_token": tiny_config(pool="class_token"),
    "wide": tiny_config(image_size=(56, 80)),  # 14 x 20 tokens
    "deep": tiny_config(
        image_size=(56, 56),  # 14 x 14 tokens
        num_layers=14,
        num_heads=6,
        tokenizer=(ConvStage(6, pool_padding="same"), ConvStage(24, pool_padding="same")),
    ),
    "one class": tiny_config(output="sigmoid", labels=("cat",)),
    "independent classes": tiny_config(output="sigmoid", labels=("cat", "dog", "tree")),
    "grey": tiny_config(channels=1, preprocessing=Preprocessing((0.5,), (0.2,))),
    "nasty": tiny_config(labels=("<img src=x onerror=alert(1)>", "</script><b>", "${1+1} {{x}}")),
}


@pytest.fixture(scope="module")
def deer():
    return cct_viz.load("keras_cct_cifar10").trace("cct_viz/web/example_images/deer.png")


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_opens_without_console_messages(open_explorer, name):
    explorer = open_explorer(make_trace(CONFIGS[name]))
    for station in STATIONS:
        explorer.choose(station=station)
        assert explorer.page.locator(".panel h2").inner_text()
    explorer.check_quiet()


@pytest.mark.parametrize("name", ["seqpool", "mean", "max"])
def test_page_computes_the_same_as_python(open_explorer, name):
    trace = make_trace(CONFIGS[name])
    explorer = open_explorer(trace)
    explorer.choose(a=2, b=1)
    # The payload has exact float32 numbers; sums are in float64 in the page and in float32 here.
    np.testing.assert_allclose(explorer.derive("probabilities"), trace.probabilities, atol=1e-6)
    expected = trace.contributions[:, 2] - trace.contributions[:, 1]
    np.testing.assert_allclose(explorer.derive("contribution"), expected, atol=1e-5)
    explorer.choose(b=None)
    expected = trace.contributions[:, 2] - trace.contributions.mean(axis=1)
    np.testing.assert_allclose(explorer.derive("contribution"), expected, atol=1e-5)


@pytest.mark.parametrize("labels", [("cat",), ("cat", "dog", "tree")])
def test_independent_classes_are_shown_alone(open_explorer, labels):
    trace = make_trace(tiny_config(output="sigmoid", labels=labels))
    explorer = open_explorer(trace)
    np.testing.assert_allclose(explorer.derive("probabilities"), trace.probabilities, atol=1e-6)
    best = trace.class_index()
    np.testing.assert_allclose(explorer.derive("contribution"), trace.contributions[:, best], atol=1e-5)
    explorer.choose(station="seqpool", token=3)
    panel = explorer.page.locator(".panel")
    expect(panel).to_contain_text(f"logits for {labels[best]} ·")
    expect(panel).not_to_contain_text("mean class")
    explorer.choose(station="classes")
    expect(panel).to_contain_text("do not sum to 100 %")
    expect(panel).not_to_contain_text("names the nearest")
    expect(explorer.page.locator(".tools button", has_text="Lesson")).to_be_disabled()
    explorer.check_quiet()


@pytest.mark.parametrize("alpha", [0.5, 0.9, "measured"])
@pytest.mark.parametrize("name", ["seqpool", "class_token", "deep"])
def test_rollout_equals_python(open_explorer, name, alpha):
    trace = make_trace(CONFIGS[name])
    explorer = open_explorer(trace)
    for fusion in ("mean", "max", "min"):
        explorer.choose(fusion=fusion, alpha=alpha)
        expected = rollout(trace, head_fusion=fusion, alpha=alpha).maps[-1].reshape(-1)
        # The payload has attention as float16 (eleven bits): a relative error of at most 5e-4 per layer.
        np.testing.assert_allclose(explorer.derive("rolled"), expected, rtol=5e-3, atol=1e-5)


def test_a_pointer_on_one_map_selects_everywhere(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    box = page.locator(".grid").nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 4.5 / 8, box["y"] + box["height"] * 2.5 / 8)
    assert explorer.choose()["token"] == 20
    assert page.locator(".grid .chosen:visible").count() == 3
    words = page.locator(".selection").inner_text()
    assert words.startswith("Token row 3, column 5: weight ")
    y0, x0, y1, x1 = deer.receptive_field[20]
    assert words.endswith(f"sees rows {y0 + 1}{TO}{y1}, columns {x0 + 1}{TO}{x1}")
    assert " logits for deer over " in words
    window, photo = page.locator(".window:visible").bounding_box(), page.locator(".photo").bounding_box()
    assert window["width"] / photo["width"] == pytest.approx((x1 - x0) / 32, abs=0.01)
    explorer.check_quiet()


def test_a_pixel_selects_the_nearest_token_that_sees_it(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    box = page.locator(".photo").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 15.5 / 32, box["y"] + box["height"] * 7.5 / 32)
    y0, x0, y1, x1 = deer.receptive_field.T
    seers = np.flatnonzero((y0 <= 7) & (y1 > 7) & (x0 <= 15) & (x1 > 15))
    page.wait_for_selector(f"text=Pixel 16, 8 is seen by {len(seers)} of 64 tokens.")
    centres = deer.stages[-1].centres.reshape(-1, 2)[seers]
    nearest = seers[((centres - (7.5, 15.5)) ** 2).sum(axis=1).argmin()]
    assert explorer.choose()["token"] == nearest


def test_keys_move_and_pin(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    page.locator(".grid").first.focus()
    for key in ("ArrowRight", "ArrowDown", "p", "ArrowDown", "p", "ArrowUp", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
    state = explorer.choose()
    assert (state["token"], state["pinned"]) == (1, [9, 17])
    expect(page.locator(".explorer > [aria-live]")).to_contain_text("Token row 1, column 2")  # once it has settled


def test_texts_of_models_are_escaped(open_explorer):
    explorer = open_explorer(make_trace(CONFIGS["nasty"]), picture="<script>alert(1)</script>", model="${alert(1)}")
    explorer.choose(station="classes")
    assert "<img src=x onerror=alert(1)>" in explorer.page.locator(".panel").inner_text()
    assert explorer.page.locator(".panel td img, .panel th img").count() == 0
    explorer.check_quiet()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1000])
def test_nothing_is_wider_than_the_page(open_explorer, deer, width, dark):
    explorer = open_explorer(deer, width=width, dark=dark)
    for station in STATIONS:
        explorer.choose(station=station, token=20)
        assert explorer.overflow() <= 0


def test_page_of_many_classes_lists_the_best(open_explorer):
    explorer = open_explorer(make_trace(tiny_config(labels=numbered_labels(200))))
    explorer.choose(station="classes")
    assert explorer.page.locator(".classes tbody tr").count() == 20
    assert "The 20 best of 200 classes" in explorer.page.locator(".panel").inner_text()
