"""Does a map point at the object? Measured on photos with masks or boxes, beside faithfulness and apart from it.

A faithful map shows what the model needs, which may be the background; a map that points at the object shows where a
person would look. Objects are mostly in the middle of photos, so the distance to the centre is the row to beat.

Reference: Zhang et al. 2016, https://arxiv.org/abs/1608.00507 (pointing game); Wang et al. 2020,
https://arxiv.org/abs/1910.01279 (energy on the object).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..architecture.files import sha256
from ..images.decode import decode
from ..images.preprocessing import Geometry
from ..inference.classifier import Classifier
from ..inference.trace import Trace
from ..methods.projection import nearest_token
from .controls import CONTROLS
from .faithfulness import rank, ranking_maps
from .table import mean_interval

MASK, BOXES = ".mask.png", "boxes.csv"
COLUMNS = ("image", "x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Photo:
    """A photo and where its object is: `mask` is a picture of the same size, white on the object, or `boxes` are
    (x0, y0, x1, y1) in pixels of the upright photo, the ends exclusive."""

    path: Path
    mask: Path | None = None
    boxes: tuple[tuple[float, ...], ...] = ()

    @property
    def digest(self) -> str:
        """What tells this photo and its object from others."""
        return f"{sha256(self.path)} {sha256(self.mask) if self.mask else self.boxes}"


def find_photos(folder: Path) -> list[Photo]:
    """The photos of a folder, by name: NAME.jpg with NAME.mask.png, or the photos that boxes.csv names.

    boxes.csv has a header with the columns image, x0, y0, x1 and y1, and a line for each box; several boxes of one
    photo count together.

    Raises:
        ValueError: no masks and no boxes, a photo without its mask or a mask without its photo, or a damaged table.
    """
    if (folder / BOXES).is_file():
        return _read_boxes(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder; give one with photos and masks or boxes")
    files = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
    masks = {path.name.removesuffix(MASK): path for path in files if path.name.endswith(MASK)}
    photos = {path.stem: path for path in files if not path.name.endswith(MASK)}
    if not masks:
        raise ValueError(f"{folder} has no {BOXES} and no NAME{MASK} beside the photos NAME.jpg; it needs one of them")
    if odd := sorted(set(masks) ^ set(photos)):
        raise ValueError(f"{folder}: {odd[0]} is a photo without a mask, or a mask without a photo")
    return [Photo(path, masks[name]) for name, path in photos.items()]


def object_share(photo: Photo, geometry: Geometry) -> np.ndarray:
    """(H, W) float64 in 0..1: the share of each of the model's pixels that lies on the object.

    Raises:
        ValueError: a mask of another size than its photo.
    """
    if photo.mask is not None:
        mask = decode(photo.mask).max(axis=-1) > 127
        if mask.shape != geometry.original_size:
            raise ValueError(f"{photo.mask} is {mask.shape}; its photo is {geometry.original_size} (height, width)")
    else:
        mask = np.zeros(geometry.original_size, bool)
        for x0, y0, x1, y1 in photo.boxes:
            mask[max(0, round(y0)) : max(0, round(y1)), max(0, round(x0)) : max(0, round(x1))] = True
    top, left, bottom, right = geometry.box
    crop = Image.fromarray(mask[top:bottom, left:right].astype(np.float32))
    size = geometry.model_size[::-1]
    return np.clip(np.asarray(crop.resize(size, Image.Resampling.BOX), np.float64), 0, 1)


def score_photo(
    classifier: Classifier, photo: Photo, *, methods: Sequence[str], seed: int = 0
) -> dict[str, dict[str, float]]:
    """{"chance" or map: {"hit", "energy"}} of one photo, for the predicted class; empty if no token or every token of
    the crop is on the object, because then no map can do better than another.

    A map hits if the token of its largest value, one of them at random on a tie, has its centre on the object. Its
    energy is the part of its positive values that lies on the object. Chance is a token at random, and equal values.

    Raises:
        ValueError: no method applies, or a mask of another size than its photo.
    """
    trace = classifier.trace(photo.path)
    share = object_share(photo, trace.geometry)
    centred, cover = _of_tokens(trace, share)
    if centred.all() or not centred.any():
        return {}
    rng = np.random.default_rng(seed)
    scores = {"chance": {"hit": float(centred.mean()), "energy": float(cover.mean())}}
    for name, values in ranking_maps(classifier, trace, methods, seed).items():
        positive = np.maximum(values.astype(np.float64), 0)
        total = positive.sum()
        energy = float(positive @ cover / total) if total > 0 else float(cover.mean())
        scores[name] = {"hit": float(centred[rank(values, rng)[0]]), "energy": energy}
    return scores


def summarise_objects(rows: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Means over the `score_photo` of many photos.

    {"images", "left_out", "chance": {"hit", "energy"}, "maps": {name: {"hit", "over_chance", "energy_over_chance"}}}.
    "hit" is the share of photos; each of the other two is a paired difference to chance, {"mean", "interval"}.

    Raises:
        ValueError: no photo can tell maps apart.
    """
    kept = [row for row in rows if row]
    if not kept:
        raise ValueError("the object covers all tokens or none on every photo; no map can be told from another")
    values = {name: np.array([[row[name]["hit"], row[name]["energy"]] for row in kept]) for name in kept[0]}
    chance = values.pop("chance")
    maps = {}
    for name, of_map in values.items():
        hits, energies = (of_map - chance).T
        maps[name] = {
            "control": name in CONTROLS,
            "hit": float(of_map[:, 0].mean()),
            "over_chance": _difference(hits),
            "energy_over_chance": _difference(energies),
        }
    means = chance.mean(axis=0)
    chance_means = {"hit": float(means[0]), "energy": float(means[1])}
    return {"images": len(kept), "left_out": len(rows) - len(kept), "chance": chance_means, "maps": maps}


def _difference(values: np.ndarray) -> dict[str, float | None]:
    mean, half = mean_interval(values)
    return {"mean": mean, "interval": half}


def _of_tokens(trace: Trace, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool, whether the token's centre is on the object; (N,), the part of its nearest pixels that is."""
    stage = trace.stages[-1]
    height, width = share.shape
    centres = np.clip(np.floor(stage.centres.reshape(-1, 2)).astype(int), 0, (height - 1, width - 1))
    owner = nearest_token(stage, (height, width)).ravel()
    count = np.bincount(owner, minlength=len(centres))
    cover = np.bincount(owner, weights=share.ravel(), minlength=len(centres)) / np.maximum(count, 1)
    return share[centres[:, 0], centres[:, 1]] >= 0.5, cover


def _read_boxes(folder: Path) -> list[Photo]:
    with (folder / BOXES).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not set(COLUMNS) <= set(reader.fieldnames):
            raise ValueError(f"{folder / BOXES} has the columns {reader.fieldnames}; expected {', '.join(COLUMNS)}")
        boxes: dict[str, list[tuple[float, ...]]] = {}
        for row in reader:
            try:
                box = tuple(float(row[column]) for column in COLUMNS[1:])
            except (TypeError, ValueError):
                box = ()
            if not row["image"] or not box or not all(map(math.isfinite, box)) or box[0] >= box[2] or box[1] >= box[3]:
                raise ValueError(
                    f"{folder / BOXES}, line {reader.line_num}: expected a file name, then x0 < x1 and y0 < y1"
                )
            boxes.setdefault(row["image"], []).append(box)
    for name in boxes:
        if Path(name).name != name or not (folder / name).is_file():
            raise ValueError(f"{folder / BOXES} names {name!r}, which is not a photo in this folder")
    if not boxes:
        raise ValueError(f"{folder / BOXES} has no boxes")
    return [Photo(folder / name, boxes=tuple(ones)) for name, ones in sorted(boxes.items())]
