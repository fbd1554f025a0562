"""A model packed for a page, either inside the page or next to it: its two files and the texts about it."""

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

    float16 halves the size of the page and rounds each weight by at most one part in two thousand.

    Raises:
        CheckpointError: a weight is too large for float16.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
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
