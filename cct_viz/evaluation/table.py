"""The score table: means over images, paired differences, ranks with ties, the headline map, and all of it as Markdown.

Intervals are half the width of a normal 95 % interval of a mean over images, which are assumed independent and
identically distributed. A paired difference compares two maps on the same images, so its interval is narrower than
those of the two means. No interval is corrected for the number of comparisons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..methods import takes
from .controls import CONTROLS, SHAPLEY_ORDERS

MEASURES = ("srg", "deletion", "insertion", "percentile")
CENTRE = "centre_distance"


def summarise(rows: Sequence[Mapping[str, Mapping[str, Mapping[str, float]]]]) -> list[dict[str, Any]]:
    """The table over the `score_image` of many images: one entry for each method and control, the best mean SRG first.

    Each entry has "method", "control" (whether it is one of CONTROLS), "srg" and "interval" over all protocols, and
    under "protocols" for each the mean of MEASURES and the "interval" of the SRG. Methods of one "rank" are ties: the
    interval of the difference to the first of that rank holds 0. Controls have no rank. "behind_first" and
    "over_centre" are paired differences of the SRG, {"srg", "interval"}: to the first method, and to the distance to
    the centre. With one image every interval is None, and all methods are ties.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError("there are no scored images to summarise")
    protocols = list(rows[0])
    names = list(rows[0][protocols[0]])
    values = np.array([[[[row[p][m][k] for k in MEASURES] for p in protocols] for m in names] for row in rows])
    srg = dict(zip(names, values[..., 0].mean(axis=2).T, strict=True))  # method -> (n,), over the protocols
    methods = [name for name in names if name not in CONTROLS]
    ranks = _rank({name: srg[name] for name in methods})
    first = next(iter(ranks))
    table = []
    for m, name in enumerate(names):
        by_protocol = {}
        for p, protocol in enumerate(protocols):
            means = dict(zip(MEASURES, values[:, m, p].mean(axis=0).tolist(), strict=True))
            by_protocol[protocol] = {**means, "interval": mean_interval(values[:, m, p, 0])[1]}
        entry: dict[str, Any] = {"method": name, "control": name in CONTROLS}
        entry |= {"rank": ranks[name]} if name in ranks else {}
        entry |= _srg(srg[name])
        entry["behind_first"] = _srg(srg[name] - srg[first])
        if CENTRE in srg:
            entry["over_centre"] = _srg(srg[name] - srg[CENTRE])
        table.append(entry | {"protocols": by_protocol})
    return sorted(table, key=lambda entry: -entry["srg"])


def mean_interval(values: np.ndarray) -> tuple[float, float | None]:
    """The mean of (n,) values, and half the width of its 95 % interval; None instead of the half for one value."""
    half = None if len(values) < 2 else float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()), half


def _srg(values: np.ndarray) -> dict[str, float | None]:
    mean, half = mean_interval(values)
    return {"srg": mean, "interval": half}


def find_headline(table: Sequence[Mapping[str, Any]]) -> str | None:
    """The method of the best mean SRG among those that need no further pass of the model; None without such a method.

    Methods that run the model again or differentiate it are measured too, but the headline map must be there as soon as
    the answer is.
    """
    return next((e["method"] for e in table if not e.get("control") and not takes(e["method"], "classifier")), None)


def format_table(record: Mapping[str, Any]) -> str:
    """score.json's record as Markdown."""
    protocols = record["protocols"]
    steps = f"{record['points']} steps" if record["points"] else "one step for each token"
    lines = [
        f"# How far to trust the maps of {record['model']}",
        "",
        f"Measured on {record['images']:,} images, for the top-1 class of each image. SRG is the area under the",
        "insertion curve of the class's probability minus the area under the deletion curve: 0 is chance,",
        f"higher is better. Each value is a mean over the images with its 95 % interval. Each curve has {steps}.",
        f"In brackets: the mean percentile of the map among {record['permutations']} random orders of the same tokens.",
        "",
        "Differences are paired: both maps on the same images. Maps of one rank (=) are ties: the 95 % interval of the",
        "difference to the first map of that rank holds 0.",
        "Rows without a rank are controls: a random order, the distance to the centre, and Shapley values of",
        f"{SHAPLEY_ORDERS} sampled orders. A map that does not beat the centre tells less than a blob in the middle.",
        "",
    ]
    lines += _faithful_rows(record["table"], protocols)
    lines += [
        "",
        "Columns: token drop masks tokens in the encoder; the others replace the pixels nearest to a token by",
        "black, the image's mean colour, or a blurred copy.",
        "",
    ]
    if record.get("headline"):
        lines += [
            f"The headline map of this model is `{record['headline']}`: the first in this table that needs no further",
            "pass of the model.",
            "",
        ]
    if record.get("objects"):
        lines += _object_rows(record["objects"])
    if record["not_applicable"]:
        lines += [f"Not applicable to this model: {', '.join(record['not_applicable'])}.", ""]
    if record["command"]:
        lines += [f"Made with `{record['command']}`", f"on weights with SHA-256 `{record['sha256']}`.", ""]
    return "\n".join(lines)


def _faithful_rows(table: Sequence[Mapping[str, Any]], protocols: Sequence[str]) -> list[str]:
    lines = [
        "| rank | map | mean SRG | over the centre | behind the first | "
        + " | ".join(p.replace("_", " ") for p in protocols)
        + " |",
        "|---|---|---|---|---|" + "---|" * len(protocols),
    ]
    ranks = [entry.get("rank") for entry in table]
    first = next((entry["method"] for entry in table if entry.get("rank") is not None), None)
    for entry in table:
        rank = entry.get("rank")
        place = "" if rank is None else f"{rank}{' =' if ranks.count(rank) > 1 else ''}"
        name = f"*{entry['method'].replace('_', ' ')}*" if rank is None else entry["method"]
        cells = [place, name, with_interval(entry["srg"], entry["interval"])]
        for key, other in (("over_centre", CENTRE), ("behind_first", first)):
            difference = entry.get(key) if entry["method"] != other else None  # nothing to say of a map and itself
            cells.append(with_interval(difference["srg"], difference["interval"], "+") if difference else "")
        for protocol in protocols:
            means = entry["protocols"][protocol]
            cells.append(f"{with_interval(means['srg'], means['interval'])} ({100 * means['percentile']:.0f})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _object_rows(objects: Mapping[str, Any]) -> list[str]:
    """A table of its own, because a map that points at the object need not be faithful, nor a faithful one point."""
    chance = objects["chance"]
    lines = [
        "## Points at the object",
        "",
        f"Measured on {objects['images']:,} photos with masks or boxes. A map hits if the centre of its largest token",
        f"is on the object; a random token hits {chance['hit']:.2f} of them. Energy is the part of the map's positive",
        f"values on the object, minus that of equal values, {chance['energy']:.2f}. The control to beat is the",
        "distance to the centre.",
        "",
        "| map | hits | over chance | energy over chance |",
        "|---|---|---|---|",
    ]
    for name, of_map in sorted(objects["maps"].items(), key=lambda item: -item[1]["hit"]):
        shown = f"*{name.replace('_', ' ')}*" if of_map["control"] else name
        cells = [f"{of_map['hit']:.2f}"]
        for key in ("over_chance", "energy_over_chance"):
            cells.append(with_interval(of_map[key]["mean"], of_map[key]["interval"], "+"))
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return [*lines, ""]


def with_interval(mean: float, interval: float | None, sign: str = "") -> str:
    """For example "0.324 ± 0.010", or "+0.092 ± ?" where there is no interval."""
    return f"{mean:{sign}.3f} ± {'?' if interval is None else f'{interval:.3f}'}"


def _rank(srg: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Method -> rank, the best first: a method that is worse than the first of a rank begins the next."""
    ranks: dict[str, int] = {}
    leader = ""
    for place, name in enumerate(sorted(srg, key=lambda name: -float(srg[name].mean())), 1):
        if not leader or _is_better(srg[leader] - srg[name]):
            leader = name
            ranks[name] = place
        else:
            ranks[name] = ranks[leader]
    return ranks


def _is_better(difference: np.ndarray) -> bool:
    mean, half = mean_interval(difference)
    return half is not None and mean > half
