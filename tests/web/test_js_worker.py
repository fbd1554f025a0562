"""The model in a worker: same numbers, progress, cancelling of outdated computations. Needs Chromium."""

import base64

import numpy as np
import pytest
from js_model_page import (
    BUNDLED,
    DAMAGED,
    ModelPage,
    assert_close,
    assert_same_arrays,
    draw_pixels,
    trace_intermediates,
)

import cct_viz
from cct_viz.architecture.presets import PRESETS


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    page = ModelPage(chromium, tmp_path_factory.mktemp("page") / "page.html")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def bundled():
    return cct_viz.load(BUNDLED)


START = "const start = () => m.startModel(config, bytes(weights).buffer);"


def in_worker(page, script, **values):
    return page.run(
        START + script,
        config=(PRESETS[BUNDLED].folder / "config.json").read_text(),
        weights=(PRESETS[BUNDLED].folder / "model.safetensors").read_bytes(),
        **values,
    )


def test_worker_gives_the_same_result_and_keeps_its_weights(page, bundled):
    pixels = draw_pixels(bundled.config)
    seen = in_worker(
        page,
        "const model = await start(); const calls = [], picture = {...blank, pixels: bytes(pixels)};"
        "const onprogress = (...call) => calls.push(call.join(' '));"
        "const data = m.openPayload(await model.explain(picture, about, {onprogress}));"
        "const passes = [null, Array(64).fill(0)].map((mask) => model.run(picture.pixels, {mask}));"
        "const [seen, masked] = await Promise.all(passes); model.close();"
        "return {seen, masked: masked.logits.values, bias: data.bias, explained: data.logits, calls: calls.join(),"
        " labels: model.config.labels.join()}",
        pixels=pixels.tobytes(),
    )
    expected = trace_intermediates(bundled.trace(pixels))
    assert_same_arrays(seen["seen"], expected)
    assert_close("logits", seen["explained"], expected["logits"])
    np.testing.assert_array_equal(seen["masked"], seen["bias"])
    assert seen["calls"] == "0 5 conv stage 1,1 5 conv stage 2,2 5 layer 1,3 5 layer 2,4 5 pool"
    assert seen["labels"] == ",".join(bundled.labels)


def test_new_picture_cancels_the_current_one(page, bundled):
    """The first is cancelled at its first step, the worker computes no further step of it, and the second completes."""
    pixels = [draw_pixels(bundled.config, seed) for seed in (0, 1)]
    got = in_worker(
        page,
        "const model = await start(), calls = [[], []]; let second;"
        "const explain = (i, then) => model.explain({...blank, pixels: bytes(pictures[i])}, about, "
        " {onprogress: (done) => { calls[i].push(done); then?.(); }});"
        "const first = explain(0, () => { second ??= explain(1); });"
        "const dropped = await first.then(() => 'done', (error) => error.name);"
        "const data = m.openPayload(await second); model.close();"
        "return {dropped, logits: data.logits, calls: calls.map((list) => list.join()).join(' then ')}",
        pictures=[base64.b64encode(one.tobytes()).decode() for one in pixels],
    )
    assert got["dropped"] == "AbortError"
    assert got["calls"] == "0 then 0,1,2,3,4"
    assert_close("logits", got["logits"], bundled.trace(pixels[1]).logits)


def test_worker_stops_a_cancelled_computation(page):
    """Without cancelling, twenty passes of five steps report a hundred steps; here far fewer arrive."""
    got = in_worker(
        page,
        "const kept = Worker; let heard = 0;"
        "window.Worker = class extends kept { constructor(address) {"
        "  super(address); this.addEventListener('message', ({data}) => { heard += Boolean(data.progress); }); } };"
        "const model = await start(); window.Worker = kept;"
        "const runs = Array.from({length: 20}, () => model.run(new Uint8Array(3072)).catch((error) => error.name));"
        "model.drop(); const names = await Promise.all(runs);"
        "await model.run(new Uint8Array(3072)); model.close();"
        "return {names: [...new Set(names)].join(), heard}",
    )
    assert got["names"] == "AbortError"
    assert got["heard"] < 50


def test_worker_reports_errors(page):
    says = "return await (async () => { SCRIPT })().then(() => 'nothing was thrown', (error) => error.message)"
    bad_file = says.replace("SCRIPT", "await m.startModel(config, bytes(weights).buffer.slice(0, 1000))")
    assert in_worker(page, bad_file) == DAMAGED
    bad_picture = says.replace("SCRIPT", "await (await start()).run(new Uint8Array(5))")
    assert in_worker(page, bad_picture).startswith("the picture has 5 values; ")
    no_worker = "const kept = Worker; window.Worker = undefined; const said = await (async () => { await start() })()"
    no_worker += ".then(() => '', (error) => error.message); window.Worker = kept; return said"
    assert in_worker(page, no_worker).startswith("this browser cannot run the model in the page: ")


def test_closing_the_model_ends_running_computations(page):
    script = "const model = await start(), run = model.run(new Uint8Array(3072)); model.close();"
    script += "return run.then(() => 'done', (error) => error.name)"
    assert in_worker(page, script) == "AbortError"
