"""Test vectors for the page's TypeScript: small models with random weights, and what Python computes for them.

    python tests/page_vectors.py    # writes cct_viz/web/vectors/

Each file is a safetensors file whose metadata has one entry, "json". Vitest compares the page's numbers with them.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # as a script

import numpy as np
from conftest import tiny_config
from PIL import Image
from safetensors.numpy import save

from cct_viz.architecture.config import CCTConfig, ConvStage, Preprocessing
from cct_viz.architecture.presets import PRESETS
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import safetensors
from cct_viz.evaluation import faithfulness
from cct_viz.images.preprocessing import centre_crop, crop_and_resize, normalise
from cct_viz.inference.classifier import Classifier
from cct_viz.inference.gauge import read_gauge
from cct_viz.inference.load import open_weights
from cct_viz.inference.trace import NotApplicable, Trace
from cct_viz.methods import explain, laboratory
from cct_viz.methods.ablation import paint_over
from cct_viz.methods.attention import effective_tokens, fused_attentions
from cct_viz.methods.depth import attribute_logits, read_lens
from cct_viz.methods.input_split import class_direction, split_pixels, split_scores
from cct_viz.methods.pooling import weights_explain
from cct_viz.methods.projection import nearest_token
from cct_viz.methods.rollout import attention_shares
from cct_viz.methods.rollout_paths import split_rollout
from cct_viz.web.payload import make_payload

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "cct_viz" / "web" / "vectors"
BUNDLED = "keras_cct_cifar10"
TARGET = 1  # the class that is explained; 0 is what it is held against
STRIDE = 7  # of the bundled model's large arrays, every seventh value

# Together they cover every option in which models differ; test_page_vectors.py checks that.
CASES: dict[str, tuple[CCTConfig, str]] = {
    "seqpool": (tiny_config(), "float32"),
    "official": (
        tiny_config(
            tokenizer=(ConvStage(6, padding=1), ConvStage(8, padding=1)),
            block="official",
            qkv_bias=False,
            mlp_output_activation=False,
            position="sinusoidal",
            layer_norm_epsilon=1e-3,
            num_heads=3,
            key_dim=5,
        ),
        "float32",
    ),
    "patches_class_token": (
        tiny_config(
            tokenizer=(ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0),),
            pool="class_token",
            num_layers=3,
        ),
        "float32",
    ),
    "official_class_token": (
        tiny_config(
            tokenizer=(ConvStage(8, 4, 4, padding=4, pool_size=0, pool_zero_padding=0),),
            block="official",
            pool="class_token",
        ),
        "float32",
    ),
    "mean": (
        tiny_config(
            tokenizer=(
                ConvStage(5, 7, 2, padding=3, use_bias=True, relu=False),
                ConvStage(8, 2, conv_padding="same", relu=False, pool_zero_padding=0, pool_padding="same"),
            ),
            pool="mean",
            position="none",
        ),
        "float32",
    ),
    "max_five_layers": (
        tiny_config(
            pool="max",
            num_layers=5,
            tokenizer=(ConvStage(8, 5, 3, padding=2, pool_size=0),),
            preprocessing=Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
        ),
        "float32",
    ),
    "grey_independent": (
        tiny_config(
            channels=1,
            preprocessing=Preprocessing((0.4,), (0.3,)),
            activation="gelu_tanh",
            output="sigmoid",
            num_layers=1,
        ),
        "float32",
    ),
    "half_precision": (tiny_config(num_layers=1, position="none"), "float16"),
}

FILTERS = ("box", "bilinear", "bicubic", "lanczos")
PHOTOS = [(16, 24), (33, 47), (211, 97), (300, 451), (7, 5), (1, 1), (600, 33)]
SIZE = (16, 24)


def make_vectors() -> dict[str, bytes]:
    """{file name: content} of every file of the folder."""
    files = {f"{name}.safetensors": model_case(*case) for name, case in CASES.items()}
    files["bundled.safetensors"] = bundled_case()
    files["pictures.safetensors"] = picture_case()
    return files


def model_case(config: CCTConfig, dtype: str) -> bytes:
    """A model, one picture, everything that one pass reveals and everything that follows from it."""
    weights = random_weights(config, dtype)
    classifier = open_weights(config, weights)
    colours = np.random.default_rng(0).integers(0, 256, (*config.image_size, config.channels), dtype=np.uint8)
    pixels = np.broadcast_to(colours, (*config.image_size, 3)).copy()  # grey pixels have three equal colours
    mask = (np.random.default_rng(1).random(config.num_tokens) < 0.5).astype(np.float32)
    trace = classifier.trace(pixels)
    model = save({name: array.astype(dtype) for name, array in weights.items()})
    arrays: dict[str, Any] = {"pixels": pixels, "mask": mask, "model": np.frombuffer(model, np.uint8)}
    arrays |= {f"trace/{name}": array for name, array in trace_arrays(trace).items()}
    masked = masked_arrays(classifier, pixels, mask)
    arrays |= {f"masked/{name}": array for name, array in masked.items()}
    derived, texts = derive(classifier, trace)
    arrays |= {f"derived/{name}": array for name, array in derived.items()}
    # the page computes each map of a payload itself, and they are most of it
    payload = json.loads(make_payload(trace))
    payload["maps"] = payload["maps"][:1]
    about = {"config": json.dumps(config.to_dict()), "dtype": dtype, "payload": payload, **texts}
    return pack(arrays, about)


def random_weights(config: CCTConfig, dtype: str) -> dict[str, np.ndarray]:
    """Random weights, including biases and norms, so that no term is 0 or 1; rounded to `dtype`."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.normal(0.0, 0.5, shape) + name.endswith("gamma")).astype(dtype).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }


def trace_arrays(trace: Trace) -> dict[str, np.ndarray]:
    names = ["stream", "attention_outputs", "mlp_outputs", "attentions", "representation", "pool_scores"]
    names += ["pooling_weights", "logits", "probabilities", "evidence", "readout", "bias"]
    arrays = {name: getattr(trace, name) for name in names if getattr(trace, name) is not None}
    for i, (stage, feature_map) in enumerate(zip(trace.stages, trace.feature_maps, strict=True)):
        arrays |= {f"feature_map_{i}": feature_map, f"windows_{i}": stage.windows.astype(np.int32)}
        arrays |= {f"centres_{i}": stage.centres, f"sliding_{i}": np.array([*stage.stride, *stage.window_size])}
    arrays["attention_shares"] = attention_shares(trace, "measured")
    arrays["pooling_factors"] = trace.pooling_factors
    with contextlib.suppress(NotApplicable):
        arrays["contributions"] = trace.contributions
    return arrays


def masked_arrays(classifier: Classifier, pixels: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """What the model sees of the picture without some tokens, and its logits without any and without each token."""
    batch = normalise(pixels[None], classifier.config.preprocessing)
    seen = classifier.network.intermediates(batch, mask[None])
    arrays = {name: np.asarray(array)[0] for name, array in seen.items()}
    names = ["logits", f"stream_{classifier.config.num_layers}", "attentions_0", "pooling_weights"]
    kept = {
        name.replace(f"stream_{classifier.config.num_layers}", "stream_last"): arrays[name]
        for name in names
        if name in arrays
    }
    n = len(mask)
    masks = np.concatenate([np.zeros((1, n)), 1 - np.eye(n)]).astype(np.float32)
    return kept | {"answers": classifier.forward(np.repeat(batch, n + 1, axis=0), masks)}


def derive(classifier: Classifier, trace: Trace) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Every derivation that the page has a twin of: arrays by name, and texts."""
    arrays: dict[str, np.ndarray] = {}

    def maps(name: str, method: str, **options: Any) -> None:
        try:
            heatmaps = explain(trace, method, **options)
        except NotApplicable:
            return
        arrays[name] = heatmaps.maps.reshape(len(heatmaps.maps), -1)
        if heatmaps.class_share is not None and heatmaps.class_share.any():
            arrays[f"{name}/class_share"] = heatmaps.class_share

    for method in ("evidence", "contribution", "contribution_rollout", "logit_lens", "direct_logit_attribution"):
        maps(method, method, target=TARGET)
    for method in ("ablate_in_pool", "grad_cam", "hires_cam"):
        maps(method, method, target=TARGET)
    for method in ("input_contribution", "contribution_by_depth", "depth_sum"):
        maps(method, method, target=TARGET)
    maps("contribution_by_depth/against", "contribution_by_depth", target=TARGET, against=0)
    split = split_scores(trace, class_direction(trace, TARGET, None))
    arrays |= {"input_split/constants": split.constants, "input_split/position": split.position}
    with contextlib.suppress(NotApplicable):
        arrays["input_split/pixels"] = split_pixels(trace, TARGET).values
    maps("contrast", "contrast", target=TARGET, against=0)
    for black in ("black", "mean"):
        maps(f"hide_pixels/{black}", "hide_pixels", target=TARGET, classifier=classifier, baseline=black)
        arrays[f"paint_over/{black}"] = paint_over(trace.pixels, black)[0, 0]
    maps("drop_token", "drop_token", target=TARGET, classifier=classifier)
    for fusion in ("mean", "max", "min"):
        for alpha in (0.5, "measured"):
            maps(f"rollout/{fusion}/{alpha}", "rollout", head_fusion=fusion, alpha=alpha)
        arrays[f"fused/{fusion}"] = fused_attentions(trace, head_fusion=fusion, discard=0.0)
    maps("attention/readout", "attention", layer=0)
    maps("attention/token_2", "attention", layer=0, token=2)
    paths = split_rollout(trace, alpha="measured")
    arrays |= {"rollout_paths/masses": paths.masses, "rollout_paths/rows": paths.rows}
    if (share := weights_explain(trace, TARGET)) is not None:
        arrays["weights_explain"] = np.array([share])
    lens = read_lens(trace)
    for name in ("readouts", "logits", "probabilities", "votes"):
        arrays[f"lens/{name}"] = getattr(lens, name)
    arrays["attribution/parts"] = attribute_logits(trace).logits
    arrays["attribution/heads"] = attribute_logits(trace, weights=classifier.weights).logits
    if trace.pooling_weights is not None:
        arrays["laboratory/mean"] = laboratory.pool_uniformly(trace).logits
        arrays["laboratory/ramp"] = laboratory.pool_with(trace, np.arange(len(trace.evidence))).logits
    if trace.pool_scores is not None:
        arrays["laboratory/beta_2"] = laboratory.sharpen(trace, 2.0).logits
        arrays["laboratory/top"] = laboratory.top_token(trace).logits
    arrays["nearest_token"] = nearest_token(trace.stages[-1], trace.pixels.shape[:2]).astype(np.int32)
    arrays["effective_tokens"] = np.array([effective_tokens(trace.attentions[0, 0, 0])])
    arrays |= measure_curves(classifier, trace)
    return arrays, {"paths": list(paths.names), "parts": list(attribute_logits(trace).names)}


def measure_curves(classifier: Classifier, trace: Trace) -> dict[str, np.ndarray]:
    """Deletion and insertion along one order."""
    n = len(trace.evidence)
    order = np.random.default_rng(2).permutation(n)
    curves = faithfulness.remove(classifier, trace, order[None], target=TARGET, points=6)
    return {
        "curves/order": order.astype(np.int32),
        "curves/steps": curves.counts.astype(np.int32),
        "curves/deletion": curves.deletion[0],
        "curves/insertion": curves.insertion[0],
        "curves/srg": curves.srg,
    }


def bundled_case() -> bytes:
    """The bundled model with its weights rounded to float16, and every seventh value of what it sees."""
    checkpoint = safetensors.read(PRESETS[BUNDLED].folder)
    weights = {name: array.astype(np.float16).astype(np.float32) for name, array in checkpoint.weights.items()}
    trace = open_weights(checkpoint.config, weights).trace(
        np.asarray(Image.open(ROOT / "cct_viz/web/example_images/cat.png").convert("RGB"))
    )
    arrays: dict[str, np.ndarray] = {"pixels": trace.pixels}
    for name, array in trace_arrays(trace).items():
        flat = array.ravel()
        arrays[f"trace/{name}"] = flat[::STRIDE] if flat.size > 1000 else flat
    gauge = read_gauge(PRESETS[BUNDLED].folder, checkpoint.config.embedding_dim)
    arrays |= {"derived/pooled": trace.pooled, "derived/distance": gauge.distance(trace.pooled[None])}
    names = ("after the tokenizer", "after block 1", "after block 2")
    arrays |= {"derived/lens/logits": read_lens(trace).logits, "derived/rollout": explain(trace, "rollout").maps}
    about = {"stride": STRIDE, "labels": list(trace.labels), "depths": list(names)}
    return pack(arrays, {**about, "farther_than": gauge.record(trace.pooled)["farther_than"]})


def make_photo(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8 of sharp edges and slow colours, by a formula that TypeScript has too."""
    y, x = np.mgrid[:height, :width][..., None]
    c = np.arange(3)
    return ((7 * y + 13 * x + 29 * c + (x * y) % 31 + 90 * ((x // 8 + y // 8 + c) % 2)) % 256).astype(np.uint8)


def picture_case() -> bytes:
    """Crops, resized photos, and the headers of small files."""
    arrays: dict[str, np.ndarray] = {}
    for height, width in PHOTOS:
        for interpolation in FILTERS:
            for crop in (1.0, 0.8):
                prepared = crop_and_resize(
                    make_photo(height, width), SIZE, Preprocessing(interpolation=interpolation, crop=crop)
                )
                arrays[f"resized/{height}/{width}/{interpolation}/{crop}"] = prepared.pixels
    crops = [
        [*original, *size, crop, *centre_crop(original, size, crop).box]
        for original in ((1, 1), (31, 64), (62, 64), (977, 1023), (1954, 1023))
        for size in ((1, 1), (32, 32), (24, 40))
        for crop in (1.0, 0.9, 0.3)
    ]
    arrays["crops"] = np.array(crops)
    photo = Image.fromarray(make_photo(6, 9))
    arrays["grey"] = np.asarray(photo.convert("L"))
    for name, data in image_files(photo).items():
        arrays[f"files/{name}"] = np.frombuffer(data, np.uint8)
    return pack(arrays, {"size": [6, 9]})


def image_files(photo: Image.Image) -> dict[str, bytes]:
    def encode(kind: str, image: Image.Image = photo, **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return {
        "png": encode("PNG"),
        "jpeg": encode("JPEG"),
        "progressive jpeg": encode("JPEG", progressive=True, comment=b"a"),
        "gif": encode("GIF", photo.quantize(16), comment=b"a" * 300, transparency=0),
        "bmp": encode("BMP"),
        "webp": encode("WEBP"),
        "lossless webp": encode("WEBP", lossless=True),
        "extended webp": encode("WEBP", exif=b"Exif"),
    }


def pack(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> bytes:
    """Floats as float32: the page's own precision."""
    packed = {
        name: np.ascontiguousarray(
            array, np.float32 if array.dtype.kind == "f" else np.int32 if array.dtype == np.int64 else array.dtype
        )
        for name, array in arrays.items()
    }
    return save(packed, {"json": json.dumps(about, sort_keys=True)})


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    files = make_vectors()
    for path in FOLDER.glob("*.safetensors"):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)
        print(f"{name}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
