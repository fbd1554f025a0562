"""The headline map of a model: the most faithful in its own score table, of the maps that cost no further pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from ..architecture.beside import ignore, read_beside
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
        folder, digest = classifier.folder, classifier.source.sha256
        _FOUND[classifier] = None if folder is None else find_headline(read_table(folder, digest))
    return _FOUND[classifier]


def read_table(folder: Path, digest: str) -> list[dict[str, Any]]:
    """The entries of METHODS in the score.json of a folder, the best mean SRG first; empty if there is no table of the
    weights whose SHA-256 is `digest`."""
    record = read_beside(folder / FILE, most=MAX_BYTES)
    if record is None:
        return []
    try:
        if record["sha256"] != digest:
            ignore(folder / FILE, "it was measured on other weights")
            return []
        entries = [(float(entry["srg"]), entry) for entry in record["table"] if entry["method"] in METHODS]
    except (ValueError, KeyError, TypeError, OverflowError):
        ignore(folder / FILE, "it is damaged or cannot be read")
        return []
    return [entry for srg, entry in sorted(entries, key=lambda pair: -pair[0]) if srg == srg]
