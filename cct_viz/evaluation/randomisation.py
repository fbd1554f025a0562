"""Parameter randomisation test: randomise one part of the model at a time and see which maps change.

A map that stays the same does not depend on that part. Reference: Adebayo et al. 2018,
https://arxiv.org/abs/1810.03292, here as equal or not equal. Limit: a map that changes may still be a bad explanation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..architecture.config import CCTConfig
from ..architecture.pools import find_pool
from ..inference.arguments import require_whole
from ..inference.classifier import Classifier
from ..inference.heatmaps import Heatmaps
from ..inference.trace import Trace
from ..methods import METHODS, NotApplicable, explain, find_method, takes

# A weight that cancels out of a formula leaves its rounding: Grad-CAM's mean gradient is W_c / N whatever the pool.
ROUNDING = 1e-5  # of a map's largest value; float32 arithmetic leaves about 1e-6

# Two variants that leave the pool's weights out show what attention alone depends on.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "attention, one token's row": ("attention", {"token": 0}),
    "rollout, uniform readout": ("rollout", {"readout": "mean"}),
}


def parts_of(config: CCTConfig) -> dict[str, tuple[str, ...]]:
    """Part of the model -> how the names of its weights begin, from the head back to the tokenizer."""
    parts: dict[str, tuple[str, ...]] = {"head": ("head/",)}
    pool = find_pool(config.pool)
    if pool.shapes(config.embedding_dim):
        parts["pool"] = ("pool/",)
    parts["final norm"] = ("norm/",)
    for i in reversed(range(config.num_layers)):
        block = f"block_{i}"
        parts[f"MLP {i + 1}"] = (f"{block}/norm_2/", f"{block}/mlp_")
        parts[f"values and output {i + 1}"] = (f"{block}/attention/value/", f"{block}/attention/projection/")
        parts[f"queries and keys {i + 1}"] = (f"{block}/attention/query/", f"{block}/attention/key/")
        parts[f"norm before attention {i + 1}"] = (f"{block}/norm_1/",)
    if config.position == "learnable" or pool.class_token:
        parts["position and class token" if pool.class_token else "position"] = ("sequence/",)
    parts["tokenizer"] = ("tokenizer/",)
    return parts


def randomise_parameters(
    classifier: Classifier, images: Iterable[Any], *, methods: Iterable[str] = METHODS, seed: int = 0
) -> dict[str, dict[str, bool | None]]:
    """{part: {method: whether any map changed}}, None where a method does not apply to this model.

    One part at a time gets new values from its initialisers; all others stay the same. The maps explain the class that
    the trained model predicts. A map has changed if any value differs by more than ROUNDING times the largest value,
    on any image.

    Args:
        images: as for `Classifier.trace`; two or three are enough.
        methods: names in METHODS; for a method in VARIANTS, the variant is tested too.
        seed: seed of the random weights.

    Raises:
        ValueError: no such method, no methods, no images, or a negative seed.
    """
    images, wanted = list(images), [find_method(method) for method in methods]
    if not wanted or not images:
        raise ValueError(f"{len(wanted)} methods and {len(images)} images were given; expected one or more of each")
    require_whole("seed", seed, low=0)
    import keras

    from ..architecture.keras_model import build_model, named_weights
    from ..inference.load import open_weights

    config, trained = classifier.config, classifier.weights
    network = build_model(config)
    original = open_weights(config, trained, network=network)
    targets = [_two_best(trace) for trace in original.traces(images)]

    def explain_images(model: Classifier) -> list[dict[str, Heatmaps | None]]:
        return [_explain_all(model, image, wanted, target) for image, target in zip(images, targets, strict=True)]

    expected = explain_images(original)
    keras.utils.set_random_seed(seed)
    fresh = {name: keras.ops.convert_to_numpy(v) for name, v in named_weights(build_model(config)).items()}
    table: dict[str, dict[str, bool | None]] = {}
    for part, beginnings in parts_of(config).items():
        weights = {name: fresh[name] if name.startswith(beginnings) else array for name, array in trained.items()}
        changed = explain_images(open_weights(config, weights, network=network))
        table[part] = {
            name: None
            if expected[0][name] is None
            else any(_differ(a[name], b[name]) for a, b in zip(expected, changed, strict=True))
            for name in expected[0]
        }
    return table


def format_randomisation(table: Mapping[str, Mapping[str, bool | None]]) -> str:
    """The table as Markdown: one line a method, "same" where randomising the part left its maps unchanged."""
    words = {True: "changes", False: "same", None: "n/a"}
    parts = list(table)
    lines = ["| map | " + " | ".join(parts) + " |", "|---|" + "---|" * len(parts)]
    for method in table[parts[0]]:
        lines.append(f"| {method} | " + " | ".join(words[table[part][method]] for part in parts) + " |")
    return "\n".join(lines) + "\n"


def _two_best(trace: Trace) -> tuple[int, int]:
    """The two classes with the highest scores; twice the same where there is only one."""
    best = np.argsort(-trace.logits, kind="stable")[:2]
    return int(best[0]), int(best[-1])


def _explain_all(
    classifier: Classifier, image: Any, methods: list[str], target: tuple[int, int]
) -> dict[str, Heatmaps | None]:
    trace = classifier.trace(image)
    maps: dict[str, Heatmaps | None] = {}
    for method in methods:
        options = {"against": target[1]} if method == "contrast" else {}
        try:
            given = classifier if takes(method, "classifier") else None
            maps[method] = explain(trace, method, target=target[0], classifier=given, **options)
        except NotApplicable:
            maps[method] = None
        for name, (varied, changed) in VARIANTS.items():
            if varied == method:
                maps[name] = explain(trace, method, **changed)
    return maps


def _differ(a: Heatmaps | None, b: Heatmaps | None) -> bool:
    assert a is not None  # what applies to a model does not depend on its weights
    assert b is not None
    before, after = (np.concatenate([h.maps.ravel(), h.class_share]) for h in (a, b))
    return float(np.abs(after - before).max()) > ROUNDING * float(np.abs(before).max())
