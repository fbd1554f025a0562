"""The headline map of a model: the most faithful in its own score table, of the maps that cost no further pass."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from ..architecture.config import read_json
from ..inference.classifier import Classifier
from ..methods import METHODS
from .table import find_headline

FILE = "score.json"
MAX_BYTES = 5_000_000
DEFAULT = "rollout"  # where no table was measured
_FOUND: WeakKeyDictionary[Classifier, str | None] = WeakKeyDictionary()


def headline_method(classifier: Classifier) -> str | None:
    """The headline map's name in METHODS, from score.json beside the weights, which is read once for each classifier.

    None without a table that was measured on these weights, which may come from strangers: a table of other weights or
    with damaged values counts as none.
    """
    if classifier not in _FOUND:
        _FOUND[classifier] = find_headline(_read_table(classifier))
    return _FOUND[classifier]


def _read_table(classifier: Classifier) -> list[dict[str, Any]]:
    """The entries of METHODS, the best mean SRG first; empty if there is no table of these weights."""
    if classifier.folder is None:
        return []
    try:
        record = read_json(classifier.folder / FILE, most=MAX_BYTES)
        if record["sha256"] != classifier.source.sha256:
            return []
        entries = [(float(entry["srg"]), entry) for entry in record["table"] if entry["method"] in METHODS]
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return []
    return [entry for srg, entry in sorted(entries, key=lambda pair: -pair[0]) if srg == srg]
