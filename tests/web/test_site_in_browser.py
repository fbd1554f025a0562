"""A page with the model inside classifies and explains any photo, without a network. Needs Chromium."""

import base64
import json

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Explored, make_trace, softmax, tiny_config
from js_model_page import BUNDLED, ModelPage, assert_close, draw_photo, image_file
from playwright.sync_api import expect
from waiting import wait_for_rest

import cct_viz
from cct_viz.evaluation.faithfulness import judge, percentile, remove
from cct_viz.images.preprocessing import normalise
from cct_viz.inference.load import load
from cct_viz.methods import explain
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.html import page_html
from cct_viz.web.modules import FOLDER
from cct_viz.web.pack import pack_model
from cct_viz.web.payload import About, make_payload
from cct_viz.web.site import write_page

PHOTO = image_file(draw_photo(120, 160), "JPEG", quality=95)
NO_WORKER = "window.Worker = undefined"


@pytest.fixture(scope="module")
def bundled():
    return cct_viz.load(BUNDLED)


@pytest.fixture(scope="module")
def files(bundled, tmp_path_factory):
    """The bundled model's page, and one with truncated weights."""
    folder = tmp_path_factory.mktemp("live")
    deer = next(path for path in EXAMPLES if path.stem == "deer")
    write_page(bundled, bundled.trace(deer), folder / "live.html", name="deer")
    payload = make_payload(bundled.trace(deer), About(BUNDLED, picture="deer"))
    packed = pack_model(bundled)
    cut = [{**packed, "weights": packed["weights"][:4000]}]
    (folder / "cut.html").write_text(page_html({"deer": payload}, title="Cut", models=cut))
    two = [packed, {**packed, "name": "another"}]
    (folder / "two.html").write_text(page_html({"deer": payload}, title="Two", models=two))
    return folder


@pytest.fixture
def open_live(chromium, files):
    pages = []

    def open_one(path="live.html", *, width=1000, dark=False, before=""):
        if isinstance(path, str):
            path = files / path
        pages.append(Explored(chromium, path, width=width, dark=dark))
        if before:
            pages[-1].page.evaluate(before)
        return pages[-1]

    yield open_one
    for explored in pages:
        explored.context.close()


def choose(live, data, name="photo.jpg"):
    live.page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "", "buffer": data})


def bar_text(live, kind="told"):
    words = live.page.locator(f".bar .{kind}:not(:empty)")
    words.wait_for()
    return words.inner_text()


def logits(live):
    return np.array(live.page.evaluate("Array.from(document.querySelector('#explorer').explorer.data.logits)"))


def event(kind, name, transfer):
    """JavaScript that drops or pastes the file `data`, or no file if it is empty."""
    return (
        "(data) => { const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), moved = new DataTransfer();"
        " if (bytes.length) moved.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        f" document.body.dispatchEvent(new {kind}('{name}', {{{transfer}: moved, bubbles: true, cancelable: true}})) }}"
    )


DROP, PASTE = event("DragEvent", "drop", "dataTransfer"), event("ClipboardEvent", "paste", "clipboardData")


def test_page_is_small_and_its_policy_strict(files):
    page = (files / "live.html").read_text()
    assert len(page.encode()) < 2_000_000
    policy = page.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    assert rules["worker-src"] == "blob:"
    assert "connect-src" not in rules


def test_chosen_photo_is_classified_and_explained(open_live, bundled):
    live = open_live()
    choose(live, PHOTO)
    trace = bundled.trace(PHOTO)
    label, probability = trace.top(1)[0]
    assert bar_text(live).startswith(f"photo: {label} {100 * probability:.1f} %, then ")
    # Weights of three digits, and a JPEG that may differ by one grey level
    np.testing.assert_allclose(logits(live), trace.logits, atol=0.03)
    assert live.page.locator("#pictures button").count() == 2
    live.page.get_by_role("button", name="deer", exact=True).click()
    live.page.wait_for_selector("#pictures button[aria-label=deer][aria-pressed=true]")
    live.check_quiet()


@pytest.mark.parametrize("way", [DROP, PASTE], ids=["drop", "paste"])
def test_photo_can_be_dropped_or_pasted(open_live, bundled, way):
    live = open_live()
    ship = next(path for path in EXAMPLES if path.stem == "ship").read_bytes()
    live.page.evaluate(way, base64.b64encode(ship).decode())
    assert bar_text(live).startswith("dropped: ship ")
    live.page.evaluate(way, "")
    assert bar_text(live, "problem").startswith(
        ("What was dropped is not a file;", "There is no picture in the clipboard;")
    )
    live.check_quiet()


def test_the_camera_gives_a_photo(open_live):
    """A canvas gives the stream, because the browser of the tests has no camera."""
    live = open_live()
    live.page.evaluate(
        "const canvas = document.createElement('canvas'), paint = canvas.getContext('2d'); canvas.width = 64;"
        "setInterval(() => { paint.fillStyle = '#4080c0'; paint.fillRect(0, 0, 64, 150) }, 20);"
        "window.tracks = []; navigator.mediaDevices ?? Object.defineProperty(navigator, 'mediaDevices', {value: {}});"
        "navigator.mediaDevices.getUserMedia = async () => "
        "  { const stream = canvas.captureStream(); tracks.push(...stream.getTracks()); return stream };"
        "void 0"
    )
    live.page.get_by_role("button", name="Camera", exact=True).click()
    live.page.get_by_role("button", name="Take the picture").click()
    assert bar_text(live).startswith("photo from the camera: ")
    assert live.page.evaluate("[tracks.map((track) => track.readyState).join(), document.querySelector('dialog')]") == [
        "ended",
        None,
    ]
    live.page.evaluate(
        "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }; void 0"
    )
    live.page.get_by_role("button", name="Camera", exact=True).click()
    assert bar_text(live, "problem") == "No camera was found; choose a photo."
    live.check_quiet()


BAD = {
    "no image": (b"hello", "Photo is not an image that this page reads; "),
    "huge": (
        image_file(draw_photo(8, 8), "BMP")[:18] + b"\xff\xff\0\0\xff\xff\0\0" + bytes(40),
        "Photo has 65535x65535 ",
    ),
    "half an image": (PHOTO[:400], "Photo is an image that is damaged, incomplete or of a rare kind; "),
}


@pytest.mark.parametrize("case", BAD)
def test_page_works_after_an_invalid_picture(open_live, case):
    data, says = BAD[case]
    live = open_live()
    before = logits(live)
    choose(live, data, "photo")
    words = bar_text(live, "problem")
    assert words.startswith(says)
    assert words.endswith("The page still shows deer.")
    np.testing.assert_array_equal(logits(live), before)
    choose(live, PHOTO)
    assert bar_text(live).startswith("photo: ")
    assert live.page.locator(".bar .problem").inner_text() == ""
    live.check_quiet()


@pytest.mark.parametrize(
    ("path", "before", "says"),
    [
        ("cut.html", "0", "The weights file is cut short, damaged or no safetensors file; "),
        ("live.html", NO_WORKER, "This browser cannot run the model in the page: "),
    ],
    ids=["half a weights file", "no workers"],
)
def test_page_that_cannot_compute_still_shows_its_pictures(open_live, path, before, says):
    live = open_live(path, before=before)
    choose(live, PHOTO)
    words = bar_text(live, "problem")
    assert words.startswith(says)
    assert words.endswith("The page still shows deer.")
    live.page.get_by_role("button", name="Remove tokens").click()
    live.page.locator(".removal .problem:not(:empty)").wait_for()
    live.page.locator(".station").first.click()
    live.page.wait_for_selector("h2:has-text('pixels')")
    assert live.errors == []


def test_new_picture_replaces_the_one_in_progress(open_live, bundled):
    live = open_live()
    ship = next(path for path in EXAMPLES if path.stem == "ship").read_bytes()
    live.page.evaluate(
        "(data) => { const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)); for (const name of 'abc') {"
        " const dataTransfer = new DataTransfer(); dataTransfer.items.add(new File([bytes], name + '.png'));"
        " document.body.dispatchEvent(new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true})) } }",
        base64.b64encode(ship).decode(),
    )
    assert bar_text(live).startswith("c: ship ")
    assert live.page.locator("#pictures button").count() == 2
    assert live.page.locator("progress").first.is_hidden()


# The page's thread is told to cancel at the first progress, before anything can come back
CANCEL_AT_ONCE = (
    "new MutationObserver((_, all) => { const stop = document.querySelector('.progress button');"
    " if (!stop.parentElement.hidden) { all.disconnect(); stop.click(); } })"
    ".observe(document.querySelector('.progress'), {attributes: true})"
)


def test_cancel_stops_and_states_what_is_shown(open_live):
    live = open_live()
    live.page.evaluate(CANCEL_AT_ONCE)
    choose(live, PHOTO)
    assert bar_text(live) == "Stopped. The page still shows deer."
    assert live.page.locator("#pictures button").count() == 1


def test_another_model_explains_the_same_picture(open_live):
    live = open_live("two.html")
    before = logits(live)
    live.page.get_by_label("Model").select_option(label="another")
    assert bar_text(live).startswith("deer: deer ")
    assert live.page.evaluate("document.querySelector('#explorer').explorer.data.about.model") == "another"
    np.testing.assert_allclose(logits(live), before, atol=0.03)  # the same weights, of three digits here


ASK = "document.querySelector('#explorer').explorer.inside.ask({}).then((found) => [...found], (error) => error.name)"
CHOOSE_ANOTHER = (
    "{ const models = document.querySelector('.which select'); models.value = 1;"
    " models.dispatchEvent(new Event('change')) }"
)


def test_tools_use_the_model_of_the_shown_trace(open_live, bundled, tmp_path):
    """Also while another model computes, and after that is cancelled. The other model has different scores."""
    packed = pack_model(bundled)
    config = json.loads(packed["config"])
    config["layer_norm_epsilon"] = 0.5
    other = {**packed, "name": "another", "config": json.dumps(config)}
    payload = make_payload(bundled.trace(EXAMPLES[0]), About(BUNDLED, picture="one"))
    (tmp_path / "two.html").write_text(page_html({"one": payload}, title="Two", models=[packed, other]))
    live = open_live(tmp_path / "two.html")
    cancel = "document.querySelector('.progress button').click()"
    error = live.page.evaluate(
        f"(async () => {{ {CHOOSE_ANOTHER} const found = await {ASK}; {cancel}; return found }})()"
    )
    assert error == "AbortError"
    assert bar_text(live) == "Stopped. The page still shows one."
    np.testing.assert_allclose(live.page.evaluate(ASK), logits(live), atol=0.03)  # weights of three digits
    live.page.get_by_label("Model").select_option(label="another")
    live.page.wait_for_selector(".bar .told:has-text('one: ')")
    np.testing.assert_allclose(live.page.evaluate(ASK), logits(live), atol=1e-4)
    live.check_quiet()


def test_another_model_takes_over_the_photo_in_progress(open_live):
    live = open_live("two.html")
    live.page.evaluate(f"(data) => {{ ({DROP})(data); {CHOOSE_ANOTHER} }}", base64.b64encode(PHOTO).decode())
    assert bar_text(live).startswith("dropped: ")
    assert live.page.evaluate("document.querySelector('#explorer').explorer.data.about.model") == "another"


def copy_link(live):
    live.page.evaluate("navigator.clipboard.writeText = async (text) => { globalThis.copied = text }; void 0")
    live.page.get_by_role("button", name="Copy link").click()
    words = live.page.locator(".link [role=status]:not(:empty)")
    words.wait_for()
    return words.inner_text(), live.page.evaluate("copied")


def test_link_restores_the_other_model(open_live):
    live = open_live("two.html")
    live.page.get_by_label("Model").select_option(label="another")
    bar_text(live)
    live.choose(station="pixels", token=9)
    words, address = copy_link(live)
    assert words == "The link is copied."
    live.page.goto("about:blank")
    live.page.goto(address)
    assert bar_text(live).startswith("deer: ")
    about = live.page.evaluate("document.querySelector('#explorer').explorer.data.about")
    assert (about["model"], about["picture"]) == ("another", "deer")
    assert live.page.get_by_label("Model").input_value() == "1"
    state = live.choose()
    assert (state["station"], state["token"]) == ("pixels", 9)
    choose(live, PHOTO)
    live.page.wait_for_selector(".bar .told:has-text('photo: ')")
    assert copy_link(live)[0] == "The link is copied. It does not hold your picture."
    live.check_quiet()


def over(live, table):
    """The column of class a of the page's state minus the mean over classes, in a table (N, K)."""
    return table[:, live.choose()["a"]] - table.mean(axis=1)


def number(text):
    return float(text.replace("\u2212", "-"))


def test_numbers_equal_python(open_live, rounded, chromium, tmp_path):
    """The page's model has the same weights here, so that its maps and what it measures agree with Python."""
    write_page(rounded, rounded.trace(draw_photo(12, 20)), tmp_path / "live.html", name="tiny")
    live = open_live(tmp_path / "live.html")
    choose(live, image_file(draw_photo(12, 20, seed=1)), "photo.png")
    bar_text(live)
    trace = rounded.trace(draw_photo(12, 20, seed=1))
    live.choose(station="removal", b=None, overlay="contribution")
    assert_close("logits", logits(live), trace.logits)
    assert_close("contribution", np.array(live.derive("contribution")), over(live, trace.contributions))
    live.page.wait_for_selector(".removal :text('Measured by')")
    target = live.choose()["a"]
    fall = explain(trace, "drop_token", classifier=rounded, target=target).maps[0].ravel()
    for token in range(15):
        live.choose(token=token)
        words = live.page.locator(".removal .pair p.line").inner_text()
        assert number(words.split("changes by ")[1].split()[0]) == pytest.approx(-fall[token], abs=6e-4)  # 3 digits
    page = ModelPage(chromium, tmp_path / "modules.html")
    orders = _array(page.run("return m.randomOrders(15, 20, 0)"))
    page.context.close()
    orders = np.concatenate([np.argsort(-over(live, trace.contributions))[None], orders])
    curves = remove(rounded, trace, orders, target=target, points=16)
    sentence = live.page.locator(".trial .sentence").inner_text()
    assert number(sentence.split("deletion is ")[1].split(";")[0]) == pytest.approx(curves.srg[0], abs=6e-4)
    better = percentile(curves.srg[0], curves.srg[1:])
    assert f"{100 * better:.0f} % of 20 random orders do worse" in sentence
    live.check_quiet()


def test_removed_tokens_are_removed_for_the_whole_model(open_live, rounded, tmp_path):
    trace = rounded.trace(draw_photo(12, 20))
    write_page(rounded, trace, tmp_path / "live.html", name="tiny")
    live = open_live(tmp_path / "live.html")
    live.page.get_by_role("button", name="Remove tokens").click()
    grid = live.page.locator(".removal .grid")
    grid.focus()
    for key in ("Enter", "ArrowRight", "ArrowRight", "Enter"):
        live.page.keyboard.press(key)
    state = live.choose()
    mask = np.ones((1, 15), np.float32)
    mask[0, [0, 2]] = 0
    batch = normalise(trace.pixels[None], rounded.config.preprocessing)
    expected = softmax(rounded.forward(batch, mask)[0])[state["a"]]
    words = live.page.locator(
        f".removal .sentence:has-text('to {100 * expected:.1f} %'), :has-text('stays at {100 * expected:.1f} %')"
    )
    words.first.wait_for()
    assert "Without 2 tokens" in words.first.inner_text()
    live.page.get_by_role("button", name="Bring all back").click()
    live.page.wait_for_selector(".removal .sentence:has-text('All tokens are there')")
    live.page.locator(".photo").click()  # only clicks on this map remove tokens
    grid.focus()
    live.page.keyboard.press("ArrowLeft")
    box = grid.bounding_box()
    grid.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.9})
    live.page.wait_for_selector(".removal .sentence:has-text('Without 1 token ')")
    assert live.page.evaluate("[...document.querySelector('#explorer').explorer.store.state.removed]") == [14]


def test_tokens_can_be_removed_without_pooling_weights(open_live, class_token_folder, tmp_path):
    classifier = load(class_token_folder)
    write_page(classifier, classifier.trace(draw_photo(12, 20)), tmp_path / "live.html", name="tiny")
    live = open_live(tmp_path / "live.html")
    live.choose(station="removal")
    live.page.evaluate(
        "document.querySelector('#explorer').explorer.store.set({removed: new Set([1]), overlay: 'rollout'})"
    )
    live.page.wait_for_selector(".removal .sentence:has-text('Without 1 token ')")
    assert "pool" not in live.page.locator(".removal > .sentence").inner_text()  # no sentence on the pool
    live.page.wait_for_selector(".removal :text('Measured by')")
    assert (
        live.page.locator(".trial .note")
        .inner_text()
        .startswith("The order is that of the map over the photo: Rollout")
    )
    live.check_quiet()


def test_measurement_stops_and_resumes(open_live):
    live = open_live()
    live.page.get_by_role("button", name="Remove tokens").click()
    live.page.get_by_role("button", name="Stop").click()
    count = live.page.locator(".removal .row .note")
    expect(count).to_have_text("")
    live.page.get_by_role("button", name="Measure").click()
    live.page.wait_for_selector(".removal :text('answers of the model')")


@pytest.mark.parametrize("tool", ["Remove tokens", "Paint over"])
def test_open_tool_works_after_cancel(open_live, rounded, tmp_path, tool):
    write_page(rounded, rounded.trace(draw_photo(12, 20)), tmp_path / "live.html", name="tiny")
    live = open_live(tmp_path / "live.html")
    # As after a cancel: the request is dropped and the explorer stays, without being drawn again
    live.page.evaluate(
        "const { inside } = document.querySelector('#explorer').explorer, ask = inside.ask; let first = true;"
        "inside.ask = async (change) => { if (!first) return ask(change);"
        "  first = false; throw new DOMException('', 'AbortError') }; void 0"
    )
    live.page.get_by_role("button", name=tool).click()
    if tool == "Remove tokens":
        live.page.wait_for_selector(".removal :text('Measured by')")
    else:
        live.page.wait_for_selector(".paint tbody tr")
        live.page.get_by_text("The model answers…").wait_for(state="hidden")
    live.check_quiet()


def test_curves_equal_python(chromium, bundled, tmp_path):
    """Orders, steps, areas, the band and the percentile, on the bundled model with its exact weights."""
    page = ModelPage(chromium, tmp_path / "modules.html")
    page.open(bundled.folder)
    trace = bundled.trace(EXAMPLES[3])
    values = [0.0, 2.0, 1.0, 2.0, -1.0, *range(3, 62)]
    got = page.run(
        """const steps = m.spreadSteps(64, 5), orders = [m.rank(values, 0), ...m.randomOrders(64, 4, 0)];
        const ask = (left) => model.run(bytes(pixels), {mask: Uint8Array.from(left)}).logits.values;
        const answers = m.createAnswers(async (mask) => ask(mask)), curves = {};
        for (const which of ["deletion", "insertion"]) {
          curves[which] = [];
          for (const order of orders) {
            const states = m.alongOrder(order, steps, which);
            for (const left of states) if (!answers.of(left)) await answers.find(left);
            curves[which].push(states.map((left) => m.softmax(answers.of(left))[3]));
          }
        }
        const areas = curves.deletion.map((curve) => m.areaUnder(steps, curve));
        const low = steps.map((_, i) => m.quantile(curves.deletion.slice(1).map((curve) => curve[i]), 0.05));
        return {steps, orders, curves, areas, low,
          share: m.percentile(areas[0], [...areas.slice(1), areas[0]])}""",
        values=values,
        pixels=trace.pixels.tobytes(),
    )
    page.context.close()
    orders = _array(got["orders"]).astype(int)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(64), (5, 1)))
    assert np.all(np.diff(np.array(values)[orders[0]]) <= 0)
    np.testing.assert_array_equal(orders[1::2], orders[2::2, ::-1])
    curves = remove(bundled, trace, orders, target=3, points=5)
    np.testing.assert_array_equal(_array(got["steps"]), curves.counts)
    for name in ("deletion", "insertion"):
        np.testing.assert_allclose(_array(got["curves"][name]), getattr(curves, name), atol=1e-4)
    np.testing.assert_allclose(_array(got["areas"]), curves.deletion_auc, atol=1e-4)
    np.testing.assert_allclose(_array(got["low"]), np.quantile(curves.deletion[1:], 0.05, axis=0), atol=1e-4)
    area = curves.deletion_auc
    assert got["share"] == percentile(area[0], np.append(area[1:], area[0]))


def _array(value):
    """Nested lists from the page, as an array."""
    if isinstance(value, dict):
        return np.array([_array(one) for one in value.values()])
    return value


def test_verdict_equals_that_of_the_trust_tab(chromium, tmp_path):
    shares = [0.0, 0.5, 0.525, 0.75, 0.925, 0.95, 1.0]
    page = ModelPage(chromium, tmp_path / "modules.html")
    got = list(page.run("return shares.map(m.judge)", shares=shares).values())
    page.context.close()
    assert got == [judge(share) for share in shares]
    assert [("no better" in words, "not clearly" in words) for words in got[1:5]] == [
        (True, False),
        *[(False, True)] * 3,
    ]


def test_code_of_the_page_is_readable(open_live):
    live = open_live()
    live.page.get_by_role("button", name="Lesson").click()
    live.page.get_by_role("button", name="Read the code").click()
    live.page.wait_for_selector("h2:has-text('The code, as it runs')")
    assert live.page.locator(".source").inner_text().strip() == (FOLDER / "model.js").read_text().strip()
    live.page.get_by_role("button", name="Tokenizer", exact=True).click()
    expect(live.page.locator(".source")).to_contain_text("function convolve")


def test_a_page_without_the_model_has_no_such_tools(open_explorer):
    explorer = open_explorer(make_trace(tiny_config()))
    assert explorer.page.get_by_role("button", name="Remove tokens").count() == 0
    assert explorer.page.locator("section.bar").count() == 0


def serious(page):
    violations = Axe().run(page).response["violations"]
    return [(v["id"], n["target"]) for v in violations if v["impact"] in ("serious", "critical") for n in v["nodes"]]


@pytest.mark.parametrize(("width", "dark"), [(1000, False), (360, True)], ids=["wide", "phone, dark"])
def test_page_with_the_model_has_no_serious_violation(open_live, width, dark):
    live = open_live("two.html", width=width, dark=dark)
    choose(live, b"hello", "photo")
    bar_text(live, "problem")
    assert serious(live.page) == []
    choose(live, PHOTO)
    bar_text(live)
    for name in ("Remove tokens", "Paint over", "The code"):
        live.page.get_by_role("button", name=name).click()
        wait_for_rest(live.page)
        assert serious(live.page) == [], name
        assert live.overflow() <= 0
