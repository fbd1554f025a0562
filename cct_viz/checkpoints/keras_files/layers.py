"""Layers with their arrays, in the model's order, from each way in which Keras lays out a file of weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..common import CheckpointError
from .hdf5 import Group, iterate

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer, or a part of one that has arrays of its own.

    Attributes:
        path: names of the containers that it is in, and its own.
        name: what Keras called it ("dense_3"); the end of the path where the file does not say.
        arrays: its arrays in Keras's order, () for a layer without weights.
    """

    path: Path
    name: str
    arrays: tuple[np.ndarray, ...] = ()

    @property
    def kind(self) -> str:
        """Its class in the spelling of names, where Keras chose the name: "layer_normalization"."""
        return strip_number(self.path[-1] if self.path else self.name)

    @property
    def parent(self) -> Path:
        return self.path[:-1]

    def is_called(self, *words: str) -> bool:
        """Whether one of `words` is in its name or the end of its path."""
        return any(word in text for word in words for text in (self.name.lower(), "/".join(self.path[-2:]).lower()))


def strip_number(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def natural(name: str) -> tuple[str, int]:
    """Sorts dense, dense_1, dense_2, dense_10 in this order, and norm1 before norm2."""
    match = re.fullmatch(r"(.*?)_?(\d{1,9})", name)
    return (match[1], int(match[2])) if match else (name, -1)


def from_keras_3(tree: Group) -> list[Layer]:
    """Layers of `.weights.h5`, as Keras 3 and tf.keras since 2.12 lay them out: a group "vars" in each.

    Keras 3 names a group in a list after its class and number, and one that is an attribute after that attribute.
    """
    layers = []
    for path, group in iterate(tree):
        if "vars" not in path and (own := group.groups.get("vars")) is not None:
            names = sorted(own.arrays, key=natural)
            layers.append(Layer(path, own.text("name") or (path[-1] if path else ""), _numbers(own.arrays, names)))
    return sorted(layers, key=_place)


def _place(layer: Layer) -> tuple[tuple[str, int], ...]:
    """Where a layer stands: by its path, and among attributes of one object by the number in its automatic name."""
    *parents, last = layer.path or ("",)
    in_list = bool(parents) and parents[-1] in ("layers", "_layers")
    is_automatic = re.fullmatch(r"(layer_normalization|dense|multi_head_attention|conv2d)(_\d+)?", layer.name)
    own = layer.name if is_automatic and not in_list else last
    return (*map(natural, parents), natural(own))


def from_keras_2(tree: Group) -> list[Layer]:
    """Layers of `.h5` as Keras 2 lays them out: lists of names, which are in the model's order."""
    layers: list[Layer] = []
    layer_names = _each_once(tree.texts_of("layer_names"))
    for layer_name in layer_names + ["top_level_model_weights"] * ("layer_names" in tree.texts):
        group = tree.groups.get(layer_name)
        names = _each_once(group.texts_of("weight_names")) if group else []
        parts: dict[Path, list[np.ndarray]] = {}
        for name in names:
            assert group is not None  # it has names
            *inner, array_name = name.split("/")
            home = group.find("/".join(inner))
            if home is None or array_name not in home.arrays:
                raise CheckpointError(f"the file lists the array {ascii(name)[:80]}, but lacks it; save it again")
            path = (layer_name, *(inner[inner.index(layer_name) + 1 :] if layer_name in inner else inner))
            parts.setdefault(path, []).append(home.arrays[array_name])
        layers += [Layer(path, path[-1], _floats(arrays)) for path, arrays in parts.items()]
        if not parts:
            layers.append(Layer((layer_name,), layer_name))
    return layers


def _each_once(names: list[str]) -> list[str]:
    """The names of a list; with repeated ones, a small file could list any number of arrays."""
    if len(set(names)) < len(names):
        raise CheckpointError("the file is damaged: it lists one name twice; download it again")
    return names


def from_shards(trees: Mapping[str, Group], weight_map: Mapping[str, Sequence[str]]) -> Group:
    """One tree from the files of a model saved in pieces; `weight_map` says which file holds which group."""
    whole = Group()
    for path, files in weight_map.items():
        target = whole
        for name in filter(None, path.split("/")):
            target = target.groups.setdefault(name, Group())
        for file in files:
            if (piece := trees[file].find(path)) is not None:
                target.texts |= piece.texts
                target.arrays |= piece.arrays
    return whole


def _numbers(arrays: Mapping[str, np.ndarray], names: Iterable[str]) -> tuple[np.ndarray, ...]:
    return _floats(arrays[name] for name in names)


def _floats(arrays: Iterable[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Arrays of numbers that were trained: not the state of random generators, nor counts."""
    return tuple(array for array in arrays if array.dtype == np.float32)
