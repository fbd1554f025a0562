"""What is recorded of one picture: answers, maps, where heads attend to, what parts of the model add to the score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.faithfulness import score_maps
from ..inference.classifier import Classifier
from ..inference.trace import NotApplicable, Trace
from ..methods import explain, find_method
from ..methods.attention import attention_distances, attention_tokens
from ..methods.depth import attribute_logits

METHODS = ("seqpool", "contribution", "rollout")  # the maps by default: cheap ones, without another pass of the model
PROTOCOL, POINTS, PERMUTATIONS = "token_drop", 8, 20  # of faithfulness: a short curve, as in the README's `score`


@dataclass(frozen=True)
class Question:
    """What is asked of every picture.

    Attributes:
        methods: names in METHODS of `cct_viz.methods`; the last map of each is recorded, as in the score table.
        faithfulness: whether these maps are compared with random orders of the tokens, which takes many passes.
        stretch: as in `Classifier.trace`.
    """

    methods: tuple[str, ...] = METHODS
    faithfulness: bool = False
    stretch: bool = False


def ask(classifier: Classifier, methods: Sequence[str], *, faithfulness: bool, stretch: bool) -> tuple[Question, Any]:
    """The question without the methods that do not apply to this model, and these: name -> reason.

    Raises:
        ValueError: no such method.
    """
    trace, applicable, reasons = _probe(classifier), [], {}
    for method in dict.fromkeys(map(find_method, methods)):
        try:
            explain(trace, method, classifier=classifier)
            applicable.append(method)
        except NotApplicable as error:
            reasons[method] = str(error)
    return Question(tuple(applicable), faithfulness, stretch), reasons


def measure_picture(classifier: Classifier, trace: Trace, question: Question, seed: int) -> dict[str, Any]:
    """The columns of one picture: text, numbers, and float32 arrays whose shape is the same for all pictures.

    docs/dataset.md says what each is. All is about the predicted class.

    Args:
        seed: of the random orders that maps are compared with.
    """
    target = trace.class_index()
    maps = {m: explain(trace, m, target=target, classifier=classifier).maps[-1] for m in question.methods}
    parts = attribute_logits(trace, weights=classifier.weights)
    columns: dict[str, Any] = {
        "predicted": trace.labels[target],
        "probability": float(trace.probabilities[target]),
        "logits": trace.logits,
        "pooled": trace.pooled,
        "attention_distance": attention_distances(trace),
        "attention_tokens": attention_tokens(trace),
        "attribution": trace.relative(parts.logits)[:, target],
        **maps,
    }
    if question.faithfulness:
        scores = score_maps(
            classifier,
            trace,
            {method: values.reshape(-1) for method, values in maps.items()},
            protocols=(PROTOCOL,),
            points=POINTS,
            permutations=PERMUTATIONS,
            seed=seed,
        )
        for method, values in scores[PROTOCOL].items():
            columns |= {f"{method}_srg": values["srg"], f"{method}_percentile": values["percentile"]}
    return columns


def describe_columns(classifier: Classifier, question: Question) -> dict[str, dict[str, Any]]:
    """The columns of `measure_picture`: name -> {"shape"} and, where an axis has names, {"names"}; ready for JSON.

    The shape is [] for numbers and None for text.
    """
    trace = _probe(classifier)
    values = measure_picture(classifier, trace, question, 0)
    shapes: dict[str, Any] = {name: {"shape": _shape(value)} for name, value in values.items()}
    shapes["logits"]["names"] = list(trace.labels)
    shapes["attribution"]["names"] = list(attribute_logits(trace, weights=classifier.weights).names)
    return shapes


def find_label(labels: Sequence[str], label: str | int | None) -> str | None:
    """The class of the model that a data set's label means: its name, with spaces for underscores, or its number."""
    if isinstance(label, int):
        return labels[label] if 0 <= label < len(labels) else None
    spaced = None if label is None else label.replace("_", " ")
    return next((name for name in (label, spaced) if name in labels), None)


def _probe(classifier: Classifier) -> Trace:
    return classifier.trace(np.zeros((*classifier.config.image_size, 3), np.uint8))


def _shape(value: Any) -> list[int] | None:
    return None if isinstance(value, str) else list(np.shape(value))
