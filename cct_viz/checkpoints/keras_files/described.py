"""What the JSON beside the weights says: Keras's own description of a model, read as data. No class is looked up.

Both serialisations are read: that of Keras 3 and of tf.keras's `.keras` files, and that of tf.keras's `.h5` files.
Layers of the user's own classes are known by their name and, where Keras kept them, the arguments that made them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..common import CheckpointError

MAX_DEPTH, MAX_LAYERS = 30, 20_000
KERAS = ("keras", "tf_keras", "keras_core", "tensorflow")  # the packages of Keras's own classes
CONTAINERS = ("Functional", "Sequential", "Model")


@dataclass(frozen=True, eq=False)
class Described:
    """One layer as the JSON describes it.

    Attributes:
        kind: its class, "Conv2D".
        name: its name, unique in its container.
        config: the arguments that made it.
        own: whether the class is Keras's own, not the user's; None where the JSON does not say.
        registered: the name under which the user's code registered the class, with its package.
        inputs: the names of the layers whose outputs it reads; () where the JSON does not say.
        options: arguments of its call that are plain values.
        constants: arrays that its call reads.
    """

    kind: str
    name: str
    config: dict[str, Any] = field(default_factory=dict)
    own: bool | None = None
    registered: str = ""
    inputs: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    constants: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class Description:
    """The whole model: its layers in order, those of nested models in their place, and the shape of its input."""

    layers: tuple[Described, ...] = ()
    input_shape: tuple[int | None, ...] | None = None
    root: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Described]:
        return [layer for layer in self.layers if layer.kind in kinds]


NO_DESCRIPTION = Description()


def parse(text: str | bytes, file: str) -> Description:
    """Read the JSON text of a model.

    Raises:
        CheckpointError: it is no JSON, or no description of a model.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the description of the model in {file} is damaged: it is no JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
        raise CheckpointError(f"the description in {file} is not that of a model; expected its class and configuration")
    try:
        layers = tuple(_layers(data, 0))
        return Description(layers, _input_shape(data, layers), data)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"the description of the model in {file} is damaged") from error


def _layers(data: dict[str, Any], depth: int) -> Iterator[Described]:
    if depth > MAX_DEPTH:
        raise CheckpointError(f"the model's description has models inside models, more than {MAX_DEPTH} deep")
    config = data.get("config")
    inner = config.get("layers") if isinstance(config, dict) else config if isinstance(config, list) else None
    if inner is None or (depth and data["class_name"] not in CONTAINERS and "inbound_nodes" not in data):
        if not isinstance(config, dict):
            config = {}
        yield _one(data, config)
        return
    if len(inner) > MAX_LAYERS:
        raise CheckpointError(f"the model's description lists {len(inner):,} layers; expected {MAX_LAYERS:,} at most")
    for layer in inner:
        is_model = isinstance(layer.get("config"), dict) and isinstance(layer["config"].get("layers"), list)
        if is_model and all(isinstance(item, dict) and "class_name" in item for item in layer["config"]["layers"]):
            yield from _layers(layer, depth + 1)
        else:
            yield _one(layer, layer.get("config") or {})


def _one(data: dict[str, Any], config: dict[str, Any]) -> Described:
    kind = str(data["class_name"])
    module, registered = data.get("module"), data.get("registered_name")
    own: bool | None = None
    if isinstance(module, str):
        own = module.partition(".")[0] in KERAS
    elif registered is not None or ">" in kind:
        own = False
    inputs: list[str] = []
    options: dict[str, Any] = {}
    constants: list[np.ndarray] = []
    for node in data.get("inbound_nodes") or []:
        _read_node(node, inputs, options, constants)
    name = str(data.get("name") or config.get("name") or kind)
    return Described(
        kind.rpartition(">")[2], name, config, own, str(registered or ""), tuple(inputs), options, tuple(constants)
    )


def _read_node(node: Any, inputs: list[str], options: dict[str, Any], constants: list[np.ndarray]) -> None:
    """Collect from one call: {"args", "kwargs"} of Keras 3, or a list of [layer, node, tensor, options] of Keras 2."""
    pending: list[tuple[str | None, Any]] = [(None, node)]  # the next one last
    while pending:
        key, item = pending.pop()
        if isinstance(item, dict):
            if item.get("class_name") == "__keras_tensor__":
                inputs.append(str(item["config"]["keras_history"][0]))
            elif item.get("class_name") == "__numpy__" or item.get("class_name") == "__tensor__":
                constants.append(np.asarray(item["config"]["value"], np.float32))
            else:
                pending += reversed(item.items())
        elif isinstance(item, list):
            if len(item) >= 3 and isinstance(item[0], str) and all(type(i) is int for i in item[1:3]):
                inputs.append(item[0])
                pending += [(key, more) for more in reversed(item[3:])]
            elif (array := _array(item)) is not None:
                constants.append(array)
            else:
                pending += [(key, more) for more in reversed(item)]
        elif key is not None:
            options[key] = item


def _array(item: list[Any]) -> np.ndarray | None:
    """A table of numbers written as lists in lists, as float32."""
    if not item or not isinstance(item[0], list) or not item[0] or not _is_number_in(item[0]):
        return None
    return np.array(item, np.float32)


def _is_number_in(item: Any) -> bool:
    while isinstance(item, list) and item:
        item = item[0]
    return type(item) in (int, float)


def _input_shape(data: dict[str, Any], layers: tuple[Described, ...]) -> tuple[int | None, ...] | None:
    """(None, H, W, C) of the model's input, where it is said; a size may be None."""
    for layer in layers[:1]:
        for key in ("batch_shape", "batch_input_shape"):
            if isinstance(shape := layer.config.get(key), list):
                return tuple(shape)
    config = data.get("config")
    candidates = [config.get("build_input_shape") if isinstance(config, dict) else None]
    candidates.append((data.get("build_config") or {}).get("input_shape"))
    for shape in candidates:
        if isinstance(shape, list) and len(shape) == 4:
            return tuple(shape)
    return None
