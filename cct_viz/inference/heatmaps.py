"""The record of an explanation: maps over the token grid. See `trace` for the axis letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .projection import project

if TYPE_CHECKING:
    from .trace import Trace


def freeze(record: object) -> None:
    """Make every array of the record read-only."""
    for value in vars(record).values():
        for array in value if isinstance(value, tuple) else (value,):
            if isinstance(array, np.ndarray):
                array.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Heatmaps:
    """Maps over the token grid, made by an explanation method from a Trace.

    Attributes:
        maps: (n, gh, gw) float32. Unsigned maps are shares: >= 0, each summing to 1 (with a class token to
            1 - class_share), or 0 everywhere if the method gives no positive value. Signed maps are in logits.
        names: one caption for each map.
        signed: whether values can be negative.
        method: the method's name in METHODS.
        checks: identity -> its numerical error on this image.
        class_share: (n,) float32, the part of the class token in each map, in its unit; zeros without one.
        note: what a reader of these maps must know of this image, one sentence; mostly empty.
        trace: what they explain; None for maps that were made by hand.
    """

    maps: np.ndarray
    names: tuple[str, ...]
    signed: bool
    method: str
    checks: Mapping[str, float] = field(default_factory=dict)
    class_share: np.ndarray | None = None
    note: str = ""
    trace: Trace | None = None

    def __post_init__(self) -> None:
        if self.maps.ndim != 3 or len(self.names) != len(self.maps):
            raise ValueError(f"{len(self.names)} names for maps of shape {self.maps.shape}; expected (n, gh, gw)")
        share = np.zeros(len(self.maps), np.float32) if self.class_share is None else self.class_share
        if share.shape != (len(self.maps),):
            raise ValueError(f"class_share has shape {share.shape}; expected {(len(self.maps),)}")
        object.__setattr__(self, "class_share", share)
        object.__setattr__(self, "checks", MappingProxyType(dict(self.checks)))
        freeze(self)

    @property
    def unit(self) -> str:
        """The unit of the values: "logits" for signed maps, "share" (of 1) for the others."""
        return "logits" if self.signed else "share"

    def at_pixels(self, size: tuple[int, int]) -> np.ndarray:
        """(n, H, W) float32: the maps at the pixels of the displayed crop, `size` (H, W) of them, in the maps' unit.

        Values are linear between the centres of the tokens' receptive fields, where each token keeps its value. So a
        share no longer sums to 1. `trace.image` is the crop, `trace.geometry` its place in the original picture.

        Raises:
            ValueError: the maps belong to no trace, or a side is below 1.
        """
        if self.trace is None:
            raise ValueError("these maps belong to no picture; make them with explain(trace, ...)")
        if min(size) < 1:
            raise ValueError(f"the size is {tuple(size)}; expected a height and a width of 1 or more pixels")
        extent = self.trace.pixels.shape[:2]
        return project(self.trace.stages[-1], self.maps, size, extent).astype(np.float32)

    def __repr__(self) -> str:
        n, gh, gw = self.maps.shape
        names = ", ".join(self.names[:3]) + (", ..." if n > 3 else "")
        low, high = self.maps.min(initial=0.0), self.maps.max(initial=0.0)
        return f"<Heatmaps: {self.method}, {n} of {gh}x{gw} tokens ({names}), {low:.3g} to {high:.3g} {self.unit}>"

    def _repr_png_(self) -> bytes | None:
        from .. import figure  # lazily, by its public name: what shows a record lies above it

        return figure(self.trace, self)._repr_png_() if self.trace else None

    def __iter__(self):  # type: ignore[no-untyped-def]
        return zip(self.names, self.maps, strict=True)
