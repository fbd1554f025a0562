"""A model as it travels to a page, inside of it or beside it: its two files, and what the page says of it."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..checkpoints import safetensors

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


def pack_model(
    classifier: Classifier, facts: tuple[str, ...] = (), *, dtype: Literal["float16", "float32"] = "float16"
) -> dict[str, Any]:
    """{name, facts, config, weights, prior} for `page_html`: config.json as text, model.safetensors in base64.

    float16 halves the page, and rounds each weight by one part in two thousand at most.

    Raises:
        CheckpointError: a weight that float16 cannot hold.
    """
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        safetensors.write(folder, classifier.config, classifier.weights, dtype=dtype)
        config = (folder / safetensors.CONFIG_FILE).read_text(encoding="utf-8")
        weights = base64.b64encode((folder / safetensors.WEIGHTS_FILE).read_bytes()).decode()
    prior = classifier.position_prior
    return {
        "name": classifier.source.name,
        "facts": facts,
        "config": config,
        "weights": weights,
        "prior": None if prior is None else prior.tolist(),
    }
