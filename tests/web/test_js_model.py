"""The model in the page: forward pass and payload in JavaScript equal those of Python. Needs Chromium."""

import base64
import json
import math

import numpy as np
import pytest
from conftest import make_trace, write_random_checkpoint
from js_model_page import (
    BUNDLED,
    FAMILIES,
    ModelPage,
    assert_close,
    assert_same_arrays,
    draw_pixels,
    failure,
    trace_intermediates,
)

import cct_viz
from cct_viz import checkpoints
from cct_viz.architecture.activations import ACTIVATIONS
from cct_viz.architecture.blocks import BLOCKS
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.architecture.keras_model import build_model
from cct_viz.architecture.outputs import OUTPUTS
from cct_viz.architecture.pools import POOLS
from cct_viz.architecture.presets import PRESETS
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import safetensors
from cct_viz.images.preprocessing import normalise
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.payload import About, make_payload


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    page = ModelPage(chromium, tmp_path_factory.mktemp("page") / "page.html")
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """models(name) -> (the Keras model of a family with random weights, its folder), each created once."""
    cache = {}

    def get(name):
        if name not in cache:
            folder = write_random_checkpoint(tmp_path_factory.mktemp("model"), FAMILIES[name])
            model = build_model(FAMILIES[name])
            checkpoints.assign(model, safetensors.read(folder).weights)
            cache[name] = model, folder
        return cache[name]

    return get


@pytest.fixture(scope="module")
def bundled():
    return cct_viz.load(BUNDLED)


def intermediates(model, pixels, mask=None):
    """The intermediate results of Keras for one image, by name."""
    mask = None if mask is None else mask[None]
    seen = model.intermediates(normalise(pixels[None], model.config.preprocessing), mask)
    return {name: np.asarray(array)[0] for name, array in seen.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_intermediate_equals_python(page, models, name):
    """For the whole image, and with masked tokens."""
    model, folder = models(name)
    pixels, n = draw_pixels(model.config), model.num_tokens
    masks = [None, np.zeros(n), np.eye(n)[n // 2], *(np.random.default_rng(1).random((2, n)) < 0.5)]
    page.open(folder)
    for mask in masks:
        mask = None if mask is None else mask.astype(np.float32)
        seen = page.run(
            "return model.run(bytes(pixels), {mask})",
            pixels=pixels.tobytes(),
            mask=None if mask is None else mask.tolist(),
        )
        assert_same_arrays(seen, intermediates(model, pixels, mask))


def test_every_intermediate_of_the_bundled_model_equals_python(page, bundled):
    page.open(PRESETS[BUNDLED].folder)
    pixels = draw_pixels(bundled.config)
    seen = page.run("return model.run(bytes(pixels))", pixels=pixels.tobytes())
    assert_same_arrays(seen, trace_intermediates(bundled.trace(pixels)))


def test_a_half_precision_file_reads_as_in_python(page, models, tmp_path):
    checkpoint = safetensors.read(models("keras")[1])
    safetensors.write(tmp_path / "half", checkpoint.config, checkpoint.weights, dtype="float16")
    page.open(tmp_path / "half")
    weights = page.run("return Object.fromEntries([...model.weights].map(([name, {values}]) => [name, values]))")
    for name, array in safetensors.read(tmp_path / "half").weights.items():
        np.testing.assert_array_equal(weights[name], array.ravel())


def test_examples_have_the_same_classes(page, bundled):
    page.open(PRESETS[BUNDLED].folder)
    assert len(EXAMPLES) == 10
    for path in EXAMPLES:
        trace = bundled.trace(path)
        logits = page.run("return model.run(bytes(pixels)).logits.values", pixels=trace.pixels.tobytes())
        assert_close(path.name, logits, trace.logits)
        assert logits.argmax() == trace.logits.argmax()


def test_zeros_round_a_pool_count_and_those_of_same_do_not(page):
    """With negative values, zero padding can be the maximum of a pool, but "same" padding never is."""
    stage = {"kernel_size": 1, "stride": 1, "padding": 0, "pool_size": 2, "pool_stride": 2, "channels": 1}
    rules = [(1, "valid"), (0, "same")]
    pools = [stage | {"conv_padding": "valid", "pool_zero_padding": z, "pool_padding": rule} for z, rule in rules]
    maps = page.run(
        "const image = {values: Float32Array.of(-1, -2, -3, -4, -5, -6, -7, -8, -9), height: 3, width: 3, channels: 1};"
        "return pools.map((stage) => m.convStage(image, stage, Float32Array.of(1)).values)",
        pools=pools,
    )
    assert maps["0"].tolist() == [0, 0, 0, -5]
    assert maps["1"].tolist() == [-1, -3, -7, -9]


def test_erf_is_exact_to_seven_digits(page):
    x = np.linspace(-6, 6, 4001)
    got = page.run("return Float64Array.from(x, m.erf)", x=x.tolist())
    assert np.abs(got - [math.erf(v) for v in x]).max() < 2e-8


def test_progress_names_each_step(page, models):
    page.open(models("keras")[1])
    calls = page.run(
        "const calls = [], onprogress = (...call) => calls.push(call.join(' '));"
        "model.run(bytes(pixels), {onprogress}); return calls.join()",
        pixels=draw_pixels(FAMILIES["keras"]).tobytes(),
    )
    assert calls == "0 5 conv stage 1,1 5 conv stage 2,2 5 layer 1,3 5 layer 2,4 5 pool,5 5 "


def test_geometry_and_shapes_equal_python(page):
    for name, config in {**FAMILIES, **{name: preset.config for name, preset in PRESETS.items()}}.items():
        got = page.run(
            "const config = m.readConfig(text);"
            "return {stages: m.stageGeometry(config), shapes: JSON.stringify([...m.expectedShapes(config)])}",
            text=json.dumps(config.to_dict()),
        )
        assert json.loads(got["shapes"]) == [[k, list(v)] for k, v in expected_shapes(config).items()], name
        for stage, mine in zip(stage_geometry(config), got["stages"].values(), strict=True):
            np.testing.assert_array_equal(mine["windows"], stage.windows.ravel(), name)
            np.testing.assert_array_equal(mine["centres"], stage.centres.ravel(), name)
            assert tuple(mine["stride"].values()) == stage.stride, name
            assert tuple(mine["window"].values()) == stage.window_size, name


TABLES = {"pool": POOLS, "block": BLOCKS, "activation": ACTIVATIONS, "output": OUTPUTS}


def test_tables_equal_python(page):
    names = page.run(
        "const names = (table) => Object.keys(table).join();"
        "return {pool: names(m.POOLS), block: names(m.BLOCKS), activation: names(m.ACTIVATIONS), "
        "output: names(m.OUTPUTS)}"
    )
    assert names == {what: ",".join(table) for what, table in TABLES.items()}


def test_every_pool_has_the_same_texts(page):
    """A pool without weights explains why it has no laboratory; a pool whose score splits describes the sum."""
    missing = page.run(
        "const missing = ([name, pool]) => ["
        "  'reader', 'station', 'title', 'evidence',"
        "  ...(pool.readout ? ['note', 'laboratory'] : []), ...(pool.parts ? ['worth'] : []),"
        "].filter((word) => !pool[word]).map((word) => `${name} ${word}`);"
        "return Object.entries(m.POOLS).flatMap(missing).join()"
    )
    assert missing == ""


@pytest.mark.parametrize("what", TABLES)
def test_model_refuses_an_unknown_name(page, models, what):
    page.open(models("keras")[1])
    message = f"{what} is median; expected one of {', '.join(TABLES[what])}"
    pixels = draw_pixels(FAMILIES["keras"]).tobytes()
    assert failure(page, "model.config[what] = 'median'; model.run(bytes(pixels))", what=what, pixels=pixels) == message


def test_shapes_and_payload_refuse_an_unknown_pool(page, models):
    message = f"pool is median; expected one of {', '.join(POOLS)}"
    pixels = draw_pixels(FAMILIES["keras"]).tobytes()
    change = "const seen = model.run(bytes(pixels)); model.config.pool = 'median';"
    for script in ("m.expectedShapes(model.config)", "m.makePayload(model, seen, blank, about)"):
        page.open(models("keras")[1])
        assert failure(page, change + script, pixels=pixels) == message


@pytest.mark.parametrize("what", ["pool", "block"])
def test_payload_with_an_unknown_name_is_refused(page, trace, what):
    payload = json.dumps(json.loads(make_payload(trace, About("tiny"))) | {what: "median"})
    message = f"{what} is median; expected one of {', '.join(TABLES[what])}"
    assert failure(page, "m.openPayload(payload)", payload=payload) == message


DESCRIBE = """
const describe = (data) => {
  const {about, photo, pixels, head, fused, measuredAlpha, window, ...plain} = data;
  const layers = Array.from({length: data.layers}, (_, i) => i), heads = Array.from({length: data.heads}, (_, i) => i);
  return {
    ...plain, alphas: layers.map(measuredAlpha), attentions: layers.flatMap((l) => heads.map((i) => head(l, i))),
    fusions: ["mean", "max"].flatMap((by) => layers.map((layer) => fused(layer, by))),
    seen: Array.from({length: data.n}, (_, token) => data.window(token)),
  };
};
const compare = (model, seen) => {
  const picture = {...blank, original, crop}, mine = {...about, prior: Float32Array.from(prior)};
  const made = m.makePayload(model, seen, picture, mine), names = (payload) => Object.keys(payload).join();
  return {
    mine: describe(m.openPayload(m.makePayload(model, seen, picture, mine))), theirs: describe(m.openPayload(payload)),
    names: [names(made), names(JSON.parse(payload))],
  };
};
"""


def compare_payloads(page, trace, script, **values):
    prior = np.linspace(0, 1, len(trace.tokens), dtype=np.float32)
    got = page.run(
        DESCRIBE + script,
        payload=make_payload(trace, About("tiny", prior=prior)),
        original=trace.geometry.original_size,
        crop=trace.geometry.box,
        prior=prior.tolist(),
        **values,
    )
    assert got["names"]["0"] == got["names"]["1"]
    assert_same(got["mine"], got["theirs"], "")


@pytest.mark.parametrize("name", FAMILIES)
def test_payload_equals_python(page, name):
    trace = make_trace(FAMILIES[name])
    arrays = {name: array.astype("<f4").tobytes() for name, array in trace_intermediates(trace).items()}
    shapes = {name: array.shape for name, array in trace_intermediates(trace).items()}
    compare_payloads(
        page,
        trace,
        "const floats = (text) => new Float32Array(bytes(text).buffer), attentions = floats(joined), seen = {};"
        "for (const [name, shape] of Object.entries(shapes)) seen[name] = {shape, values: floats(arrays[name])};"
        "const one = attentions.length / 2;"
        "for (const i of [0, 1]) seen[`attentions_${i}`].values = attentions.subarray(i * one, (i + 1) * one);"
        "const weights = new Map([['head/kernel', {values: floats(head)}], ['head/bias', {values: floats(bias)}]]);"
        "return compare({config: m.readConfig(text), weights}, seen)",
        text=json.dumps(FAMILIES[name].to_dict()),
        arrays={name: base64.b64encode(array).decode() for name, array in arrays.items()},
        shapes=shapes,
        joined=trace.attentions.tobytes(),
        head=trace.readout_weights.head.tobytes(),
        bias=trace.bias.tobytes(),
    )


def test_the_bundled_model_explains_a_picture_as_python_does(page, bundled):
    trace = bundled.trace(EXAMPLES[0])
    page.open(PRESETS[BUNDLED].folder)
    compare_payloads(page, trace, "return compare(model, model.run(bytes(pixels)))", pixels=trace.pixels.tobytes())


def assert_same(mine, theirs, name):
    """Python sends feature maps and attention as float16, with eleven bits.

    The fusion "min" is left out: a row of float16's smallest numbers, made to sum to 1, is mostly rounding.
    """
    if isinstance(theirs, dict):
        assert mine.keys() == theirs.keys(), name
        for key in theirs:
            assert_same(mine[key], theirs[key], f"{name} {key}")
    elif isinstance(theirs, np.ndarray):
        assert mine.dtype == theirs.dtype, name
        np.testing.assert_allclose(mine, theirs, rtol=2e-3, atol=1e-4, err_msg=name)
    else:
        assert mine == theirs, name


def test_pictures_and_masks_of_wrong_size_give_a_message(page, models):
    page.open(models("keras")[1])
    says = failure(page, "model.run(new Uint8Array(5))")
    assert says == "the picture has 5 values; this model expects 12 x 20 pixels of three colours"
    says = failure(page, "model.run(new Uint8Array(720), {mask: [1, 0]})")
    assert says == "the token mask has 2 entries; this model has 15 tokens"
