"""The findings of a data set as sections of words, tables and pictures; `findings_page` and `findings_pdf` set them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dataset.analyse import Analysis
from .findings import Findings, Shown

MANY = 30  # classes; with more, tables of classes show the most frequent ones


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers (rows, columns), written as `form` says, over a background in proportion to `shade`; `signed` has one
    colour for each sign. `corner` is above the names of the rows."""

    corner: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: np.ndarray
    form: str
    shade: np.ndarray
    signed: bool = False


@dataclass(frozen=True, eq=False)
class Map:
    """Shares (gh, gw) of the tokens, in colours from 0 to the largest."""

    values: np.ndarray
    name: str


@dataclass(frozen=True)
class Gallery:
    """(caption, picture (h, w, 3) uint8 or None where it is away) of each."""

    pictures: tuple[tuple[str, np.ndarray | None], ...]


@dataclass(frozen=True, eq=False)
class Strips:
    """A sheet of the strongest patches, see `methods.strongest.draw_patches`: nine in a row for each channel."""

    sheet: np.ndarray
    channels: int


@dataclass(frozen=True)
class Section:
    """A heading, and what stands below it in its order; text is a paragraph."""

    title: str
    body: tuple[str | Table | Map | Gallery | Strips, ...]


def title_of(manifest: Mapping[str, Any]) -> str:
    """Without the folders that the data set is in, which readers of the report need not know."""
    return f"{manifest['model']} on {_last_part(manifest['source'])}"


def _last_part(source: str) -> str:
    """The last part of a path or an address; with the part before it where the last has a *."""
    parts = re.split(r"[/\\]", source.rstrip("/\\"))
    first = next((i for i, part in enumerate(parts) if "*" in part), len(parts) - 1)
    return "/".join(parts[max(0, first - 1) :] if "*" in parts[first] else parts[-1:])


def make_sections(
    analysis: Analysis, findings: Findings, thumbnails: Mapping[str, np.ndarray], sheets: Sequence[np.ndarray]
) -> list[Section]:
    """All that a report says, the summary first.

    Args:
        thumbnails: name in the data set -> picture, see `findings_pictures.read_thumbnails`.
        sheets: of the strongest patches, one for each conv stage or none, see `findings_pictures.read_sheets`.
    """
    sections = [
        _summary(analysis.manifest, findings),
        _position(findings),
        *_heads(findings),
        _writes(analysis.manifest, findings),
        _faithful(findings),
        _confused(findings, thumbnails),
        _typical(findings, thumbnails),
        *(_patches(i + 1, sheet, len(findings.patches[i].values)) for i, sheet in enumerate(sheets)),
    ]
    return [section for section in sections if section]


def _summary(manifest: Mapping[str, Any], findings: Findings) -> Section:
    text = f"{findings.pictures:,} pictures were analysed; {findings.problems:,} could not be read."
    if findings.accuracy is not None:
        labelled = sum(findings.confusion.values())
        text += f" Top-1 accuracy {findings.accuracy:.2%} on the {labelled:,} pictures with a true class of the model."
    return Section("Summary", (text, f"SHA-256 of the model: {manifest['sha256'][:12]}."))


def _position(findings: Findings) -> Section | None:
    prior = findings.position_prior
    if prior is None:
        return None
    text = (
        "Mean pooling weight of each token: how much a place counts, whatever is there. "
        f"{findings.pool_tokens:.1f} of {prior.size} tokens in effect (equal weights would give {prior.size}). "
        f"Colours from 0 (dark) to {prior.max():.2%} (yellow)."
    )
    return Section("Position prior", (text, Map(prior, "Map of the mean pooling weights")))


def _heads(findings: Findings) -> Iterator[Section]:
    layers, heads = findings.attention_distance.shape
    columns = [f"head {h + 1}" for h in range(heads)]
    rows = [f"layer {i + 1}" for i in range(layers)]
    for title, text, values in (
        (
            "Attention distance",
            "How far each head attends, in pixels of the model's input, mean over tokens and pictures. Small: the head "
            "attends to neighbours.",
            findings.attention_distance,
        ),
        (
            "Effective tokens",
            "To how many tokens each head attends: exp(entropy) of its attention, mean over tokens and pictures.",
            findings.attention_tokens,
        ),
    ):
        yield Section(title, (text, Table("", columns, rows, values, ".1f", values)))


def _writes(manifest: Mapping[str, Any], findings: Findings) -> Section:
    labels = _frequent(findings.predicted)
    values = np.stack([findings.attribution[label] for label in labels])
    rows = [f"{label} ({findings.predicted[label]:,})" for label in labels]
    names = manifest["columns"]["attribution"]["names"]
    text = (
        "Where a class is predicted (number of pictures): what each part of the model adds to its score, in logits "
        "against the mean class, on average. The parts sum to the score."
    )
    table = Table("predicted", names, rows, values, "+.2f", values, signed=True)
    return Section("Which part writes which class", (text, table))


def _faithful(findings: Findings) -> Section | None:
    if not findings.faithfulness:
        return None
    values = np.array([[100 * one.beats_chance, one.srg] for one in findings.faithfulness.values()])
    columns = ["better than chance, % of pictures", "insertion - deletion"]
    text = (
        "A map beats chance on a picture if removing tokens in its order changes the probability more than 95 % of "
        "random orders do."
    )
    table = Table("map", columns, list(findings.faithfulness), values, ".2f", np.zeros_like(values))
    return Section("How often a map beats chance", (text, table))


def _confused(findings: Findings, thumbnails: Mapping[str, np.ndarray]) -> Section | None:
    if findings.accuracy is None:
        return None
    totals: dict[str, int] = {}
    for (label, _), count in findings.confusion.items():
        totals[label] = totals.get(label, 0) + count
    labels, columns = _frequent(totals), _frequent(findings.predicted)
    counts = np.array([[findings.confusion.get((a, b), 0) for b in columns] for a in labels])
    mistakes = np.where([[a == b for b in columns] for a in labels], 0, counts)
    body: list[str | Table | Gallery] = ["Rows: true class. Columns: predicted class."]
    body.append(Table("true", columns, labels, counts, ",", mistakes))
    for cell in findings.cells:
        body.append(f"{cell.label} taken for {cell.predicted}: {cell.count:,}. The most certain:")
        body.append(_gallery(cell.shown, thumbnails))
    return Section("Classes confused", tuple(body))


def _typical(findings: Findings, thumbnails: Mapping[str, np.ndarray]) -> Section:
    return Section(
        "Most and least typical pictures",
        (
            "By the Mahalanobis distance of the pooled vector from the mean of this data set. The nearest:",
            _gallery(findings.typical, thumbnails),
            "The farthest:",
            _gallery(findings.unusual, thumbnails),
        ),
    )


def _patches(stage: int, sheet: np.ndarray, channels: int) -> Section:
    text = (
        "For each channel of the tokenizer the windows of pixels, from nine pictures, where it is strongest. Grey is "
        "beyond the edge, or no picture."
    )
    return Section(f"Strongest patches, stage {stage}", (text, Strips(sheet, channels)))


def _gallery(shown: Iterable[Shown], thumbnails: Mapping[str, np.ndarray]) -> Gallery:
    return Gallery(tuple((f"{one.name} ({one.text})", thumbnails.get(one.name)) for one in shown))


def _frequent(counts: Mapping[str, int]) -> list[str]:
    """The classes in their order; of many only the most frequent."""
    most = set(sorted(counts, key=lambda label: -counts[label])[:MANY])
    return [label for label in counts if label in most]
