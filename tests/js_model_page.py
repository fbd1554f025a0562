"""A page with the JavaScript modules that run the model, opened from disk in a browser, and helpers for its tests."""

import base64
import io
import json

import numpy as np
from conftest import tiny_config
from PIL import Image

from cct_viz.architecture.config import ConvStage, Preprocessing
from cct_viz.web.modules import FOLDER, module_sources

BUNDLED = "keras_cct_cifar10"
ENTRIES = (
    "model.js",
    "trace.js",
    "picture.js",
    "preprocess.js",
    "runner.js",
    "image_header.js",
    "kernels.js",
    "tokenizer.js",
    "geometry.js",
    "config.js",
    "pools.js",
    "blocks.js",
    "outputs.js",
    "activations.js",
    "data.js",
    "removal.js",
    "maths.js",
)

# Together they cover every option in which models differ.
FAMILIES = {
    "keras": tiny_config(),
    "official": tiny_config(
        tokenizer=(ConvStage(6, padding=1), ConvStage(8, padding=1)),
        block="official",
        qkv_bias=False,
        mlp_output_activation=False,
        position="sinusoidal",
        layer_norm_epsilon=1e-3,
        num_heads=3,
        key_dim=5,
    ),
    "patches with a class token": tiny_config(
        tokenizer=(ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0),), pool="class_token"
    ),
    "official with a class token, cells in the padding": tiny_config(
        tokenizer=(ConvStage(8, 4, 4, padding=4, pool_size=0, pool_zero_padding=0),),
        block="official",
        pool="class_token",
    ),
    "mean": tiny_config(
        tokenizer=(
            ConvStage(5, 7, 2, padding=3, use_bias=True, relu=False),
            ConvStage(8, 2, conv_padding="same", relu=False, pool_zero_padding=0, pool_padding="same"),
        ),
        pool="mean",
        position="none",
    ),
    "max": tiny_config(
        pool="max",
        tokenizer=(ConvStage(8, 5, 3, padding=2, pool_size=0),),
        preprocessing=Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    ),
    "grey, tanh GELU, one logit": tiny_config(
        channels=1,
        preprocessing=Preprocessing((0.5,), (0.2,)),
        activation="gelu_tanh",
        output="sigmoid",
        labels=("cat",),
    ),
}

DAMAGED = "the weights file is cut short, damaged or no safetensors file; fetch it again"

_PAGE = """<!doctype html><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' blob:; img-src \
data: blob:; worker-src blob:">
<script>%s
const loaded = loadModules(%s, "");
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const pack = (values) => {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let i = 0; i < raw.length; i += 8192) text += String.fromCharCode(...raw.subarray(i, i + 8192));
  return {kind: values.constructor.name.replace("Array", "").toLowerCase(), data: btoa(text)};
};
const packed = (value) => {
  if (ArrayBuffer.isView(value)) return pack(value);
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, packed(v)]));
};
const about = {model: "tiny", facts: [], picture: "picture"};
const blank = {photo: "data:,", pixelsAddress: "data:,", original: [1, 1], crop: [0, 0, 1, 1]};
</script>"""


class ModelPage:
    """A page opened from disk in an offline browser, with the security policy of an exported file and the modules."""

    def __init__(self, browser, path):
        sources = {name: text for entry in ENTRIES for name, text in module_sources(entry)}
        everything = "".join(f'export * from "./{entry}";\n' for entry in ENTRIES)
        modules = json.dumps([*sources.items(), ("everything.js", everything)])
        path.write_text(_PAGE % ((FOLDER / "loader.js").read_text(), modules))
        self.context = browser.new_context(offline=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30000)
        self.page.goto(path.as_uri())

    def run(self, script, **values):
        """The value of an async function body, which has the modules as `m` and `values` as variables."""
        values = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in values.items()}
        names = ", ".join(values)
        result = self.page.evaluate(
            f"async ({{{names}}}) => {{ const m = await loaded; return packed(await (async () => {{ {script} }})()) }}",
            values,
        )
        return _unpacked(result)

    def open(self, folder):
        """Open the model of a checkpoint folder; later scripts have it as `model`."""
        self.run(
            "window.model = m.openModel(config, bytes(weights).buffer)",
            config=(folder / "config.json").read_text(),
            weights=(folder / "model.safetensors").read_bytes(),
        )


def _unpacked(value):
    if isinstance(value, dict) and value.keys() == {"kind", "data"}:
        return np.frombuffer(base64.b64decode(value["data"]), value["kind"].replace("clamped", ""))
    return {k: _unpacked(v) for k, v in value.items()} if isinstance(value, dict) else value


def draw_photo(height, width, seed=0):
    """Smooth colours with sharp edges and noise, to detect a filter that is off by one pixel."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    photo = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    photo[height // 3 : height // 2] = 255 - photo[height // 3 : height // 2]
    return np.clip(photo + rng.integers(-20, 21, photo.shape), 0, 255).astype(np.uint8)


def image_file(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def failure(page, script, **values):
    """The message of the error that the script throws."""
    return page.run(
        f"try {{ {script} }} catch (error) {{ return error.message }} return 'no error was thrown'", **values
    )


def draw_pixels(config, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*config.image_size, 3), dtype=np.uint8)


def assert_close(name, got, expected):
    error = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
    assert error <= 1e-4, f"{name}: {error}"


def assert_same_arrays(actual, expected):
    """Assert the same names, shapes and values of all intermediates."""
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert tuple(actual[name]["shape"].values()) == array.shape
        assert_close(name, actual[name]["values"].reshape(array.shape), array)


def trace_intermediates(trace):
    """The arrays of a Trace under the names that the model uses."""
    arrays_by_name = {f"feature_map_{i}": feature_map for i, feature_map in enumerate(trace.feature_maps)}
    for name, arrays in (
        ("stream", trace.stream),
        ("attention_output", trace.attention_outputs),
        ("mlp_output", trace.mlp_outputs),
        ("attentions", trace.attentions),
    ):
        arrays_by_name |= {f"{name}_{i}": array for i, array in enumerate(arrays)}
    names = ("representation", "pool_scores", "pooling_weights", "logits")
    return arrays_by_name | {name: getattr(trace, name) for name in names if getattr(trace, name) is not None}
