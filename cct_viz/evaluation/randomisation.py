"""Parameter randomisation test: randomise one part of the model and check which maps change.

A map that stays the same does not depend on that part. Reference: Adebayo et al. 2018,
https://arxiv.org/abs/1810.03292, here as equal or not equal. Limit: a map that changes may still be a bad explanation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import checkpoints
from ..architecture.config import CCTConfig
from ..architecture.geometry import stage_geometry
from ..architecture.pools import find_pool
from ..inference.arguments import require_whole
from ..inference.classifier import Classifier, Source, read_readout_weights
from ..inference.trace import Heatmaps, Trace
from ..methods import METHODS, NotApplicable, explain, find_method, takes

if TYPE_CHECKING:
    from ..architecture.keras_model import CCT

# Weights that cancel out of a formula leave rounding errors: Grad-CAM's mean gradient is W_c / N for any pool.
ROUNDING = 1e-5  # of a map's largest value; float32 arithmetic leaves about 1e-6

# Two variants without the pooling weights, to show what attention alone depends on.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "attention, one token's row": ("attention", {"token": 0}),
    "rollout, uniform readout": ("rollout", {"readout": "mean"}),
}


class KerasClassifier(Classifier):
    """A classifier that runs its Keras model: slower than the exported graph, but without the export."""

    def __init__(self, config: CCTConfig, weights: dict[str, np.ndarray]):
        from ..architecture.keras_model import build_model

        self.config, self.labels = config, config.labels
        self.source = Source("folder", "in memory", "")
        self._stages = stage_geometry(config)
        self._keras_model = build_model(config)
        self.replace_weights(weights)
        blank = np.zeros((1, *config.image_size, 3), np.float32)
        self._outputs = list(self.model.intermediates(blank))

    @property
    def model(self) -> CCT:
        """The Keras model."""
        return self._keras_model

    def replace_weights(self, weights: dict[str, np.ndarray]) -> None:
        """Load other weights of the same shapes; earlier traces do not change."""
        checkpoints.assign(self.model, weights)
        self._weights, self._readout = weights, read_readout_weights(self.config, weights)

    def _run_chunk(
        self, outputs: list[str], batch: np.ndarray, token_mask: np.ndarray | None = None
    ) -> list[np.ndarray]:
        arrays = self.model.intermediates(batch, token_mask)
        return [np.asarray(arrays[name]) for name in outputs]


def parts_of(config: CCTConfig) -> dict[str, tuple[str, ...]]:
    """Part of the model -> prefixes of its weights' names, from the head back to the tokenizer."""
    parts: dict[str, tuple[str, ...]] = {"head": ("head/",)}
    if find_pool(config.pool).shapes(config.embedding_dim):
        parts["pool"] = ("pool/",)
    parts["final norm"] = ("norm/",)
    for i in reversed(range(config.num_layers)):
        block = f"block_{i}"
        parts[f"MLP {i + 1}"] = (f"{block}/norm_2/", f"{block}/mlp_")
        parts[f"values and output {i + 1}"] = (f"{block}/attention/value/", f"{block}/attention/projection/")
        parts[f"queries and keys {i + 1}"] = (f"{block}/attention/query/", f"{block}/attention/key/")
        parts[f"norm before attention {i + 1}"] = (f"{block}/norm_1/",)
    if config.position == "learnable" or config.has_class_token:
        parts["position and class token" if config.has_class_token else "position"] = ("sequence/",)
    parts["tokenizer"] = ("tokenizer/",)
    return parts


def randomise_parameters(
    classifier: Classifier, images: Iterable[Any], *, methods: Iterable[str] = METHODS, seed: int = 0
) -> dict[str, dict[str, bool | None]]:
    """{part: {method: whether any map changed}}, None if a method does not apply to this model.

    One part at a time gets new values from its initialisers; all others stay the same. The maps explain the class that
    the trained model predicts. A map has changed if any value differs by more than ROUNDING times the largest value,
    on any image. It runs the Keras model.

    Args:
        images: as for `Classifier.trace`; two or three are enough.
        methods: names in METHODS; for a method in VARIANTS, the variant is tested too.
        seed: seed of the random weights.

    Raises:
        ValueError: no methods or no images, no such method, or a negative seed.
    """
    images, names = list(images), [find_method(method) for method in methods]
    if not names or not images:
        raise ValueError(f"{len(names)} methods and {len(images)} images were given; expected one or more of each")
    require_whole("seed", seed, low=0)
    import keras

    from ..architecture.keras_model import build_model, named_weights

    config, trained = classifier.config, dict(classifier.weights)
    running = KerasClassifier(config, trained)
    targets = [_two_best(trace) for trace in running.traces(images)]

    def explain_images() -> list[dict[str, Heatmaps | None]]:
        return [_explain_all(running, image, names, target) for image, target in zip(images, targets, strict=True)]

    expected = explain_images()
    keras.utils.set_random_seed(seed)
    fresh = {name: keras.ops.convert_to_numpy(v) for name, v in named_weights(build_model(config)).items()}
    table: dict[str, dict[str, bool | None]] = {}
    for part, prefixes in parts_of(config).items():
        weights = {name: fresh[name] if name.startswith(prefixes) else array for name, array in trained.items()}
        running.replace_weights(weights)
        changed = explain_images()
        table[part] = {
            name: None
            if expected[0][name] is None
            else any(_differ(a[name], b[name]) for a, b in zip(expected, changed, strict=True))
            for name in expected[0]
        }
    return table


def format_randomisation(table: Mapping[str, Mapping[str, bool | None]]) -> str:
    """The table as Markdown: one line per method, "same" if randomising the part does not change its maps."""
    words = {True: "changes", False: "same", None: "n/a"}
    parts = list(table)
    lines = ["| map | " + " | ".join(parts) + " |", "|---|" + "---|" * len(parts)]
    for method in table[parts[0]]:
        lines.append(f"| {method} | " + " | ".join(words[table[part][method]] for part in parts) + " |")
    return "\n".join(lines) + "\n"


def _two_best(trace: Trace) -> tuple[int, int]:
    first, second = np.argsort(-trace.logits, kind="stable")[:2]
    return int(first), int(second)


def _explain_all(
    classifier: Classifier, image: Any, methods: list[str], target: tuple[int, int]
) -> dict[str, Heatmaps | None]:
    trace = classifier.trace(image)
    maps: dict[str, Heatmaps | None] = {}
    for method in methods:
        options = {"against": target[1]} if method == "contrast" else {}
        try:
            runner = classifier if takes(method, "classifier") else None
            maps[method] = explain(trace, method, target=target[0], classifier=runner, **options)
        except NotApplicable:
            maps[method] = None
        for name, (base, settings) in VARIANTS.items():
            if base == method:
                maps[name] = explain(trace, method, **settings)
    return maps


def _differ(a: Heatmaps | None, b: Heatmaps | None) -> bool:
    assert a is not None  # whether a method applies does not depend on the weights
    assert b is not None
    before, after = (np.concatenate([h.maps.ravel(), h.class_share]) for h in (a, b))
    return float(np.abs(after - before).max()) > ROUNDING * float(np.abs(before).max())
