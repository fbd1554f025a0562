"""The token and attention panels in Chromium: numbers equal Python's, maps work with pointer and keyboard."""

import dataclasses

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from playwright.sync_api import expect

import cct_viz
from cct_viz.app.words import TIMES
from cct_viz.architecture.config import ConvStage
from cct_viz.methods.attention import effective_tokens, rollout
from cct_viz.methods.rollout_paths import split_rollout

DEEP = (ConvStage(6, pool_padding="same"), ConvStage(24, pool_padding="same"))
CONFIGS = {
    "class_token": tiny_config(pool="class_token"),
    "max": tiny_config(pool="max"),
    "wide": tiny_config(image_size=(56, 80)),  # 14 x 20 tokens
    "four": tiny_config(num_layers=4),
    "heads": tiny_config(
        image_size=(40, 40), num_layers=14, num_heads=6, tokenizer=DEEP
    ),  # small enough for single heads
    "deep": tiny_config(image_size=(56, 56), num_layers=14, num_heads=6, tokenizer=DEEP),  # 14 x 14 tokens, heads fused
}
VIEWS = ("raw", "rollout", "paths")
# The payload has attention as float16 (eleven bits): a relative error of 5e-4 per entry, and per layer of a path.
CLOSE = {"rtol": 5e-3, "atol": 1e-5}


@pytest.fixture(scope="module")
def deer():
    return cct_viz.load("keras_cct_cifar10").trace("cct_viz/web/example_images/deer.png")


def trace_of(name, deer):
    return deer if name == "deer" else make_trace(CONFIGS[name])


def patch_trace():
    """A tokenizer of patches that do not overlap, without a ReLU, so that its maps are signed."""
    config = tiny_config(
        image_size=(32, 32), tokenizer=(ConvStage(16, kernel_size=4, stride=4, relu=False, pool_size=0),)
    )
    trace = make_trace(config)
    maps = np.random.default_rng(1).normal(size=trace.feature_maps[0].shape).astype(np.float32)
    return dataclasses.replace(trace, feature_maps=(maps,))


def ask(explorer, expression):
    """The value of a JavaScript expression of the current state `s`, as numbers."""
    parts = "const {derived, data, store} = document.querySelector('#explorer').explorer, s = store.state"
    return explorer.page.evaluate(f"() => {{ {parts}; return {expression} }}")


def panel_text(explorer):
    return explorer.page.locator(".panel").inner_text()


@pytest.mark.parametrize("name", ["deer", *CONFIGS])
def test_panels_open_without_console_messages(open_explorer, deer, name):
    explorer = open_explorer(trace_of(name, deer))
    explorer.choose(station="tokens")
    for token in (None, 3):
        for view in VIEWS:
            explorer.choose(station="attention", attentionView=view, token=token)
            assert explorer.page.locator(".panel .multiple").count() > 1
    explorer.check_quiet()


@pytest.mark.parametrize("name", ["deer", "class_token", "wide", "deep"])
def test_attention_equals_python(open_explorer, deer, name):
    trace = trace_of(name, deer)
    explorer = open_explorer(trace)
    first, token = int(trace.has_class_token), 7
    fused = name == "deep"
    attention = trace.attentions[1].mean(axis=0) if fused else trace.attentions[1, 1]
    explorer.choose(station="attention", layer=1, head=None if fused else 1)
    np.testing.assert_allclose(explorer.derive("row"), trace.readout @ attention, **CLOSE)
    assert explorer.derive("column") is None
    explorer.choose(token=token)
    row, column = attention[token + first], attention[:, token + first]
    np.testing.assert_allclose(explorer.derive("row"), row, **CLOSE)
    np.testing.assert_allclose(explorer.derive("column"), column, **CLOSE)
    np.testing.assert_allclose(explorer.derive("looked"), row[first:], **CLOSE)
    explorer.choose(direction="column")
    np.testing.assert_allclose(explorer.derive("looked"), column[first:], **CLOSE)
    assert "rows sum to 1" in explorer.page.locator(".panel .badge:not(.bad)").inner_text()


@pytest.mark.parametrize("name", ["deer", "class_token", "wide"])
def test_rollout_steps_equal_python(open_explorer, deer, name):
    trace = trace_of(name, deer)
    explorer = open_explorer(trace)
    explorer.choose(station="attention", attentionView="rollout", fusion="max", alpha="measured")
    expected = rollout(trace, head_fusion="max", alpha="measured")
    steps = np.array(ask(explorer, "derived.rollout(s).map((row) => Array.from(row))"))
    first = int(trace.has_class_token)
    np.testing.assert_allclose(steps[first:, first:], expected.maps.reshape(len(expected.maps), -1), **CLOSE)
    captions = explorer.page.locator(".multiple .caption").all_inner_texts()
    assert len(captions) == 3
    counts = [f"{n:.1f} tokens" for n in map(effective_tokens, expected.maps)]
    assert [caption.split("\n")[1] for caption in captions] == ["class token only"] * first + counts
    assert "rollout sums to 1" in explorer.page.locator(".panel .badge:not(.bad)").inner_text()


@pytest.mark.parametrize("name", ["deer", "class_token", "wide", "four", "deep"])
def test_paths_equal_python(open_explorer, deer, name):
    trace = trace_of(name, deer)
    explorer = open_explorer(trace)
    explorer.choose(station="attention", attentionView="paths", fusion="min")
    for alpha in (0.3, 0.0, "measured"):
        explorer.choose(alpha=alpha)
        expected = split_rollout(trace, head_fusion="min", alpha=alpha)
        assert tuple(ask(explorer, "derived.paths(s).names")) == expected.names
        np.testing.assert_allclose(ask(explorer, "derived.paths(s).masses"), expected.masses, atol=1e-4)
        rows = ask(explorer, "derived.paths(s).rows.map((row) => Array.from(row))")
        np.testing.assert_allclose(rows, expected.rows, rtol=1e-2, atol=1e-5)  # fourteen layers, each rounded
        whole = ask(explorer, "Array.from(derived.rollout(s).at(-1))")
        np.testing.assert_allclose(np.sum(rows, axis=0), whole, atol=1e-9)
        assert "masses sum to 1" in explorer.page.locator(".panel .badge:not(.bad)").inner_text()
        captions = explorer.page.locator(".multiple .caption").all_inner_texts()
        masses = [float(caption.split("\n")[1].removesuffix(" %")) for caption in captions]
        np.testing.assert_allclose(masses, 100 * expected.masses, atol=0.06)  # shown to a tenth


def test_alpha_fusion_and_steps_are_live(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    explorer.choose(station="attention", attentionView="rollout")
    page.get_by_role("slider", name="Alpha").fill("0")
    page.get_by_role("button", name="Max", exact=True).click()
    page.get_by_role("slider", name="Steps back").fill("1")
    state = explorer.choose()
    assert (state["alpha"], state["fusion"], state["step"]) == (0, "max", 1)
    # With alpha 0 nothing is mixed: every step equals the readout.
    np.testing.assert_allclose(explorer.derive("rolled"), deer.pooling_weights, atol=1e-7)
    page.get_by_role("button", name="As measured").click()
    assert explorer.choose()["alpha"] == "measured"
    assert "Alpha as measured on this picture" in panel_text(explorer)
    expected = rollout(deer, head_fusion="max", alpha="measured").maps[1].reshape(-1)
    np.testing.assert_allclose(explorer.derive("rolled"), expected, **CLOSE)


def test_class_token_share_is_stated(open_explorer):
    trace = make_trace(CONFIGS["class_token"])
    explorer = open_explorer(trace)
    attention = trace.attentions[-1].mean(axis=0)
    explorer.choose(station="attention")
    assert f"{100 * attention[0, 0]:.1f} % stays with itself" in panel_text(explorer)
    explorer.choose(token=3)
    assert f"and {100 * attention[4, 0]:.1f} % at the class token" in panel_text(explorer)
    assert f"the class token gives it {100 * attention[0, 4]:.1f} %" in panel_text(explorer)
    assert "shares that sum to 100 % with the class token's" in panel_text(explorer)
    explorer.choose(attentionView="rollout", step=2)
    kept = rollout(trace).class_share[-1]
    assert f"The class token itself keeps {100 * kept:.1f} %" in panel_text(explorer)
    explorer.choose(step=0)
    assert "everything is on the class token" in panel_text(explorer)


def test_layer_and_head_are_chosen_by_pointer_keys_and_lists(open_explorer):
    explorer = open_explorer(make_trace(CONFIGS["heads"]))
    page = explorer.page
    explorer.choose(station="attention")
    assert page.locator(".multiple").count() == 14 * 7
    page.get_by_role("option", name="layer 3, head 5", exact=True).click()
    state = explorer.choose()
    assert (state["layer"], state["head"], state["overlay"]) == (2, 4, "attention")
    page.locator("[role=listbox]").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    state = explorer.choose()
    assert (state["layer"], state["head"]) == (3, None)
    page.get_by_role("combobox", name="Layer").select_option("14")
    page.get_by_role("combobox", name="Head").select_option("6")
    explorer.choose()
    assert page.locator(".multiple[aria-selected=true]").get_attribute("aria-label") == "layer 14, head 6"
    active = page.locator("[role=listbox]").get_attribute("aria-activedescendant")
    assert page.locator(f"#{active}").get_attribute("aria-label") == "layer 14, head 6"
    explorer.check_quiet()


def test_without_single_heads_only_layers_are_shown(open_explorer):
    explorer = open_explorer(make_trace(CONFIGS["deep"]))
    explorer.choose(station="attention")
    assert explorer.page.locator(".multiple").count() == 14
    assert "its 6 heads fused: single heads would make it too large" in panel_text(explorer)
    assert explorer.page.get_by_role("combobox", name="Head").count() == 0
    explorer.page.get_by_role("option", name="layer 2, all heads").click()
    assert explorer.choose()["layer"] == 1


def test_pinned_token_lets_others_be_read(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    explorer.choose(station="attention", layer=0, head=0)
    grid = page.locator(".panel .grid").first
    box = grid.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 4.5 / 8, box["y"] + box["height"] * 2.5 / 8)
    assert explorer.choose()["held"] == 20
    page.mouse.move(box["x"] + box["width"] * 1.5 / 8, box["y"] + box["height"] * 6.5 / 8)
    assert explorer.choose()["token"] == 20
    row, column = deer.attentions[0, 0, 20, 49], deer.attentions[0, 0, 49, 20]
    words = page.locator(".reading").inner_text()
    assert words.startswith(f"At row 7, column 2: it takes {percent(row)} ")
    assert words.endswith(f"gives {percent(column)}.")
    grid.focus()
    page.keyboard.press("ArrowLeft")
    assert explorer.choose()["token"] == 19
    explorer.choose(pinned=[49])
    assert (
        f"Pinned row 7, column 2: it takes {percent(deer.attentions[0, 0, 19, 49])} "
        in page.locator(".reading").inner_text()
    )


def percent(share):
    return f"{100 * share:.{2 if share < 0.001 else 1}f} %"


def test_opening_a_panel_does_not_change_the_photo(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    for station in ("tokens", "attention"):
        assert explorer.choose(station=station)["overlay"] == "contribution"
    page.get_by_role("toolbar", name="What of attention").get_by_text("Rollout").click()
    assert explorer.choose()["overlay"] == "contribution"
    page.get_by_role("option", name="through layer 2").click()
    state = explorer.choose()
    assert (state["overlay"], state["step"]) == ("rollout", 1)
    page.get_by_role("toolbar", name="What of attention").get_by_text("Raw").click()
    assert explorer.choose()["overlay"] == "attention"


@pytest.mark.parametrize("stage", [0, 1])
def test_feature_maps_are_sorted_and_searched(open_explorer, deer, stage):
    explorer = open_explorer(deer)
    page = explorer.page
    explorer.choose(station="tokens")
    page.get_by_role("button", name=f"Stage {stage + 1}").click()
    maps = deer.feature_maps[stage]
    strength = np.sqrt(np.square(maps, dtype=np.float64).mean(axis=(0, 1)))
    # The payload has feature maps as float16 (eleven bits).
    np.testing.assert_allclose(ask(explorer, f"Array.from(derived.strengths({stage}))"), strength, rtol=1e-3)
    shown = [int(text) - 1 for text in page.locator(".multiple .caption").all_inner_texts()]
    assert sorted(shown) == list(range(maps.shape[-1]))
    assert (np.diff(strength[shown]) <= 1e-3 * strength[shown][:-1]).all()
    state = explorer.choose()
    assert state["feature"] == {"stage": stage, "channel": shown[0]}
    np.testing.assert_allclose(explorer.derive("feature"), maps[..., shown[0]].reshape(-1), rtol=1e-3, atol=1e-6)
    page.get_by_role("button", name="By number").click()
    explorer.choose()
    assert page.locator(".multiple .caption").all_inner_texts() == [str(i + 1) for i in range(maps.shape[-1])]
    search = page.get_by_label("Channel", exact=True)
    search.fill("6")
    explorer.choose()
    assert page.locator(".multiple .caption").all_inner_texts()[:2] == ["6", "60"]
    search.press("Enter")
    state = explorer.choose()
    assert (state["feature"], state["overlay"]) == ({"stage": stage, "channel": 5}, "feature")
    search.fill("999")
    explorer.choose()
    assert page.locator(".multiple").count() == 0
    assert f"No channel 999: this stage has 1 to {maps.shape[-1]}." in panel_text(explorer)
    explorer.check_quiet()


def test_a_feature_map_is_laid_over_the_photo(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    explorer.choose(station="tokens")
    page.locator(".multiple").nth(2).click()
    state = explorer.choose()
    assert state["overlay"] == "feature"
    assert state["feature"]["channel"] == int(page.locator(".multiple .caption").nth(2).inner_text()) - 1
    values = deer.feature_maps[1][..., state["feature"]["channel"]]
    assert page.locator(".rail .legend").inner_text().endswith(f"{values.max():.3g} activation")
    explorer.choose(overlay="none")
    page.locator("[role=listbox]").focus()
    page.keyboard.press("ArrowRight")
    state = explorer.choose()
    assert state["overlay"] == "none"
    assert state["feature"]["channel"] == int(page.locator(".multiple .caption").nth(3).inner_text()) - 1
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert explorer.choose()["feature"] == state["feature"]
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    state = explorer.choose()
    assert (state["overlay"], state["feature"]["channel"]) == (
        "feature",
        int(page.locator(".multiple .caption").last.inner_text()) - 1,
    )


def test_value_of_a_cell_is_shown_on_every_stage(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    explorer.choose(station="tokens", token=20, feature={"stage": 1, "channel": 3})
    assert page.locator(".reading").inner_text() == f"Token row 3, column 5: {number(deer.feature_maps[1][2, 4, 3])}."
    explorer.choose(feature={"stage": 0, "channel": 3})
    grid = page.locator(".panel .grid")
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 10.5 / 16, box["y"] + box["height"] * 5.5 / 16)
    expect(page.locator(".reading")).to_have_text(f"Cell row 6, column 11: {number(deer.feature_maps[0][5, 10, 3])}.")
    assert explorer.choose()["token"] == 20  # a cell of an earlier stage is not a token
    grid.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".reading")).to_contain_text("Cell row 7, column 11: ")


def number(value):
    return f"{float(np.float16(value)):.3g}"


def test_drawing_states_how_windows_overlap(open_explorer, deer):
    explorer = open_explorer(deer)
    explorer.choose(station="tokens", token=20)
    text = panel_text(explorer)
    assert f"Each token sees a window of 13{TIMES}13 pixels; the next one starts 4 pixels further." in text
    assert "neighbours share 9 of 13 columns" in text
    windows = deer.receptive_field
    y, x = np.mgrid[:32, :32][..., None]
    most = ((windows[:, 0] <= y) & (windows[:, 2] > y) & (windows[:, 1] <= x) & (windows[:, 3] > x)).sum(axis=-1).max()
    assert f"a pixel is seen by up to {most} tokens" in text
    assert "1.5 px too far left and 1.5 px too far up" in text
    y, x = deer.stages[-1].centres.reshape(-1, 2)[20]
    assert f"token row 3, column 5, its centre {x:g} px from the left and {y:g} px from the top" in text
    own, image = (explorer.page.locator(f".overlap {part}").bounding_box() for part in ("rect.line.own", "image"))
    y0, x0, _, x1 = windows[20]
    assert own["width"] / image["width"] == pytest.approx((x1 - x0) / 32, abs=0.02)
    assert (own["x"] - image["x"]) / image["width"] == pytest.approx(x0 / 32, abs=0.02)
    assert (own["y"] - image["y"]) / image["height"] == pytest.approx(y0 / 32, abs=0.02)


def test_patches_do_not_overlap_and_have_a_sign(open_explorer):
    trace = patch_trace()
    explorer = open_explorer(trace)
    explorer.choose(station="tokens", token=20)
    text = panel_text(explorer)
    assert "So neighbours only touch: no pixel is seen twice." in text
    assert "Where tokens lie" in text
    channel = explorer.choose()["feature"]["channel"]
    limit = np.abs(trace.feature_maps[0][..., channel]).max()
    assert explorer.page.locator(".large .legend").inner_text().split("\n") == [
        f"\N{MINUS SIGN}{limit:.2f}",
        f"+{limit:.2f}",
    ]
    explorer.page.get_by_role("button", name="One scale for all").click()
    explorer.choose()
    limit = np.abs(trace.feature_maps[0]).max()
    assert explorer.page.locator(".large .legend").inner_text().split("\n") == [
        f"\N{MINUS SIGN}{limit:.2f}",
        f"+{limit:.2f}",
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["deer", "heads", "class_token"])
def test_nothing_is_wider_than_a_phone(open_explorer, deer, name, dark):
    explorer = open_explorer(trace_of(name, deer), width=360, dark=dark)
    explorer.choose(station="tokens", token=8)
    assert explorer.overflow() <= 0
    for view in VIEWS:
        explorer.choose(station="attention", attentionView=view)
        assert explorer.overflow() <= 0


def test_touch_selects_and_the_selection_stays(open_explorer, deer, chromium):
    explorer = open_explorer(deer, width=360)
    context = chromium.new_context(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True, offline=True)
    page = context.new_page()
    page.goto(explorer.page.url)
    page.locator(".station", has_text="Attention 1").tap()
    page.locator(".panel .grid").first.tap()
    page.get_by_role("option", name="layer 1, head 2").tap()
    page.wait_for_function("document.querySelector('#explorer').explorer.store.state.overlay === 'attention'")
    state = page.evaluate("document.querySelector('#explorer').explorer.store.state")
    assert (state["layer"], state["head"], state["overlay"]) == (0, 1, "attention")
    assert state["token"] == state["held"]
    assert state["token"] in (27, 28, 35, 36)  # the middle of the map
    context.close()
