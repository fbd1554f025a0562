"""Layers with arrays, and what the JSON says of them, put together to a configuration and canonical weights.

A file of weights says how large each part is, and not how the parts are used. What only the code knows is taken from
the keras.io example and written into the assumptions; a `.keras` file and a whole `.h5` say most of it in their JSON.

Reference: Sayak Paul 2021, Compact Convolutional Transformers, https://keras.io/examples/vision/cct/
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...architecture.activations import ACTIVATIONS
from ...architecture.config import CCTConfig, ConfigError, ConvStage, Preprocessing, numbered_labels
from ...architecture.weights import expected_shapes
from ..common import Checkpoint, CheckpointError
from ..given import Given, complete
from ..pixels import LARGEST_INPUT, normalisation
from .described import NO_DESCRIPTION, Described, Description
from .layers import Layer, strip_number
from .parts import Dense, Parts, find_parts, refuse

EXAMPLE_SIZE = (32, 32)
EXAMPLE_EPSILON = 1e-5
LARGEST_ASSUMED_SIDE = 1024
MOST_NAMED = 8  # classes in one sentence
# Layers of Keras that leave the tokens as they are outside of training, or only reshape them.
IGNORED = frozenset({
    *("InputLayer", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "Reshape"),
    *("ActivityRegularization", "Identity", "Permute", "AutoContrast", "Solarization", "RandAugment", "AugMix"),
    *("MixUp", "CutMix", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
    *("RandomBrightness", "RandomColorJitter", "RandomErasing", "RandomShear", "RandomSaturation", "RandomHue"),
    *("RandomGrayscale", "RandomSharpness", "RandomPosterization", "RandomPerspective", "RandomElasticTransform"),
    *("RandomInvert", "RandomColorDegeneration", "RandomGaussianBlur", "RandomHeight", "RandomWidth"),
})  # fmt: skip
HANDLED = frozenset({
    *("Conv2D", "MaxPooling2D", "ZeroPadding2D", "LayerNormalization", "MultiHeadAttention", "Dense", "Embedding"),
    *("Add", "Activation", "ReLU", "Relu", "GELU", "Gelu", "Softmax", "GlobalAveragePooling1D", "GlobalMaxPooling1D"),
    *("Rescaling", "Normalization", "RandomCrop", "CenterCrop", "Resizing", "TFOpLambda", "SlicingOpLambda"),
    *("Matmul", "MatMul", "Squeeze", "Transpose", "Multiply", "Sum", "GetItem", "ExpandDims", "Dot", "Concatenate"),
    *("BroadcastTo", "Subtract", "Divide", "TrueDivide", "Cast", "Mean", "Max"),
})  # fmt: skip
OTHERS = frozenset({  # of Keras, of no compact transformer
    *("BatchNormalization", "GroupNormalization", "UnitNormalization", "RMSNormalization", "SpectralNormalization"),
    *("AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Conv1D", "Conv3D", "Conv2DTranspose"),
    *("DepthwiseConv2D", "SeparableConv2D", "Flatten", "LSTM", "GRU", "SimpleRNN", "Bidirectional", "TimeDistributed"),
    *("Attention", "AdditiveAttention", "GroupQueryAttention", "GroupedQueryAttention", "EinsumDense", "PReLU"),
    *("LeakyReLU", "ELU", "Average", "Maximum", "Minimum", "UpSampling2D", "Cropping2D", "Hashing", "StringLookup"),
})  # fmt: skip
# What layers of the tokenizer are called in a file of weights, by Keras and by people
POOL_NAMES = ("max_pooling2d", "max_pool", "maxpool", "pool")
PADDING_NAMES = ("zero_padding2d", "zero_pad", "pad", "padding")
CROPS = ("RandomCrop", "CenterCrop", "Resizing")


@dataclass
class Notes:
    """Assumptions in the order in which they were made, each once."""

    texts: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        if text not in self.texts:
            self.texts.append(text)


@dataclass(frozen=True)
class Source:
    """One file's content.

    Attributes:
        layers: in the model's order, those without weights too.
        description: what its JSON says, empty without one.
        keras_2: whether tf.keras wrote it, in which GELU is exact.
        lists_all: whether `layers` lists the layers without weights, those inside of other layers too.
    """

    layers: Sequence[Layer]
    description: Description = NO_DESCRIPTION
    keras_2: bool = False
    lists_all: bool = True


def assemble(source: Source, given: Given, name: str) -> Checkpoint:
    """The checkpoint of a file of Keras.

    Raises:
        CheckpointError: no compact transformer, or one with a part that the configuration has no word for.
        ConfigError: answers that do not fit.
    """
    parts = find_parts(source.layers)
    notes = Notes()
    try:
        channels = parts.convs[0].kernel.shape[2]
        preprocessing, says, rest = normalisation(*_scaling(parts, source, channels, notes), given)
        config = _configure(parts, source, preprocessing, given, notes)
    except CheckpointError:
        raise
    except ConfigError as error:
        if {"image_size", "activation", "epsilon"} & set(given.names):
            raise  # an answer that does not fit, not the file
        raise CheckpointError(f"the file describes no model of this family: {error}") from error
    config = complete(config, rest, says_labels=False, says_pixels=says)
    return Checkpoint(config, _weights(parts, config), name)


def _configure(parts: Parts, source: Source, preprocessing: Preprocessing, given: Given, notes: Notes) -> CCTConfig:
    description = source.description
    _check_layers(source, notes)
    first = parts.blocks[0]
    width, heads, key_dim = first.attention.query.kernel.shape
    for block in parts.blocks:
        if block.attention.query.kernel.shape != (width, heads, key_dim):
            refuse("its attention layers differ in the number or size of their heads")
        if block.mlp_1.kernel.shape != first.mlp_1.kernel.shape:
            refuse("its MLPs differ in width")
    if any((block.attention.query.bias is None) != (first.attention.query.bias is None) for block in parts.blocks):
        refuse("some of its attention layers have biases, and others have not")
    if parts.position is None:
        parts.position = _constant_position(description, width)
    position = parts.position
    if position is None:
        _note_position(source, len(parts.blocks), notes)
    stages = _stages(parts.convs, source, notes)
    tokens = None if position is None else len(position) - (parts.class_token is not None)
    size, crop = _image_size(description, stages, tokens, given, notes)
    activation, both = _activation(source, len(parts.blocks), given, notes)
    classes = parts.head.kernel.shape[1]
    output = _output(description, classes)
    pool = _pool(parts, source, notes)
    return CCTConfig(
        image_size=size,
        tokenizer=stages,
        num_layers=len(parts.blocks),
        num_heads=heads,
        key_dim=key_dim,
        mlp_dim=first.mlp_1.kernel.shape[1],
        labels=numbered_labels(classes),
        position="none" if position is None else "learnable",
        block=_block_order(description, len(parts.blocks)),
        pool=pool,
        qkv_bias=first.attention.query.bias is not None,
        mlp_output_activation=both,
        activation=activation,
        layer_norm_epsilon=_epsilon(description, given, notes),
        preprocessing=dataclasses.replace(preprocessing, crop=crop),
        channels=parts.convs[0].kernel.shape[2],
        output=output,
        assumptions=tuple(notes.texts),
    )


def _weights(parts: Parts, config: CCTConfig) -> dict[str, np.ndarray]:
    layers: dict[str, Any] = {f"tokenizer/conv_{i}": conv for i, conv in enumerate(parts.convs)}
    for i, block in enumerate(parts.blocks):
        for name in ("norm_1", "norm_2", "mlp_1", "mlp_2"):
            layers[f"block_{i}/{name}"] = getattr(block, name)
        for name in ("query", "key", "value", "projection"):
            layers[f"block_{i}/attention/{name}"] = getattr(block.attention, name)
    layers |= {"norm": parts.norm, "head": parts.head}
    if config.pool == "seqpool":
        layers["pool/score"] = parts.score
    weights = {f"{name}/{array}": value for name, layer in layers.items() for array, value in layer.weights().items()}
    if parts.class_token is not None:
        weights["sequence/class_token"] = parts.class_token
    shapes = expected_shapes(config)
    if config.position != "none":
        weights["sequence/position"] = parts.position
    for name, shape in shapes.items():
        if "/attention/" in name and name in weights and weights[name].size == math.prod(shape):
            weights[name] = weights[name].reshape(shape)  # Keras keeps the heads apart; here they stand side by side
        if name.endswith("/bias"):  # a layer without a bias is one whose bias is 0
            weights.setdefault(name, np.zeros(shape, np.float32))
    return {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}


def _check_layers(source: Source, notes: Notes) -> None:
    """Refuse layers of Keras whose computation the configuration cannot express; name the user's own aloud."""
    layers = source.description.layers
    code = [layer.name for layer in layers if layer.kind == "Lambda" or "__lambda__" in str(layer.config)]
    code += ["/".join(layer.path) for layer in source.layers if layer.kind == "lambda"]
    if code:
        raise CheckpointError(
            f"the layer {code[0]} is code of its own (a Lambda), which is never run; write it as a layer of Keras"
        )
    known = IGNORED | HANDLED
    for layer in layers:
        if layer.kind not in known and not _is_of_user(layer):
            refuse(f"the layer {layer.name} is a {layer.kind}")
        # Keras 3 writes training=True beside every such layer, and lets the choice of the whole model prevail.
        if source.keras_2 and layer.kind.startswith("Random") and layer.options.get("training") is True:
            raise CheckpointError(
                f"the layer {layer.name} ({layer.kind}) changes pictures at random even in use (training=True), so the "
                "model has no one answer; save it with training=False"
            )
        if layer.kind == "MultiHeadAttention" and layer.options.get("use_causal_mask") is True:
            refuse(f"the layer {layer.name} has a causal mask")
        if layer.config.get("quantization_config"):
            refuse(f"the layer {layer.name} is quantised")
        policy = layer.config.get("dtype")
        policy = policy.get("config", {}).get("name") if isinstance(policy, dict) else policy
        if policy in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16"):
            notes.add(f"The model computes in {policy}; here it computes in float32, so that digits differ.")
    if own := {layer.kind for layer in layers if _is_of_user(layer)}:
        kinds = ", ".join(sorted(own)[:MOST_NAMED]) + (", ..." if len(own) > MOST_NAMED else "")
        notes.add(f"The code of the classes {kinds} is not in the file: they are taken to be the keras.io example's.")


def _is_of_user(layer: Described) -> bool:
    """Whether a layer is of a class of the user's own. The JSON of an .h5 does not say it: then by Keras's names."""
    return layer.own is False or (layer.own is None and layer.kind not in IGNORED | HANDLED | OTHERS)


def _constant_position(description: Description, width: int) -> np.ndarray | None:
    return next(
        (t for layer in description.layers for t in layer.constants if t.shape[-1] == width and len(t) > 1), None
    )


def _note_position(source: Source, layers: int, notes: Notes) -> None:
    adds = any(layer.name.startswith("tf.__operators__.add") for layer in source.layers)
    adds |= sum(layer.kind == "add" for layer in source.layers) > 2 * layers
    if adds or (source.keras_2 and not source.description.layers):
        notes.add(
            "The file holds no positional embedding. The keras.io example of 2021 adds one that is drawn at random and "
            "never saved with the weights: it is taken to be 0, so that answers differ a little. A model saved whole "
            "(model.save) holds it."
        )


def _stages(convs: Sequence[Dense], source: Source, notes: Notes) -> tuple[ConvStage, ...]:
    if (described := _described_stages(convs, source.description)) is not None:
        return described
    arguments = _tokenizer_arguments(source.description)
    shapes = [conv.kernel.shape for conv in convs]
    if any(shape[0] != shape[1] for shape in shapes):
        refuse("a convolution has an oblong kernel")
    pools, pads = (_has_each(source, names, len(convs)) for names in (POOL_NAMES, PADDING_NAMES))
    patches = not pools and len(convs) == 1
    size = shapes[0][0]
    stage: dict[str, Any] = {
        "stride": arguments.get("stride", size if patches else 1),
        "pool_size": arguments.get("pooling_kernel_size", 3) if pools else 0,
        "pool_stride": arguments.get("pooling_stride", 2) if pools else 1,
        "pool_zero_padding": (arguments.get("padding", 1) if pads else 0) if pools else 0,
        "pool_padding": "same",
        "conv_padding": "valid" if pads or patches else "same",
    }
    if len(arguments) < 4:
        text = "patches side by side" if patches else f"stride {stage['stride']}, ReLU, "
        if pools:
            text += f"zero padding {stage['pool_zero_padding']}, max pool {stage['pool_size']}/{stage['pool_stride']}"
        notes.add(
            f"The file does not say how its convolutions are used: {text.rstrip(', ')} "
            f"{'are' if patches else 'is'} assumed, as in the keras.io example."
        )
    return tuple(
        ConvStage(shape[3], shape[0], use_bias=conv.bias is not None, relu=not patches, **stage)
        for shape, conv in zip(shapes, convs, strict=True)
    )


def _has_each(source: Source, names: tuple[str, ...], convs: int) -> bool:
    """Whether each conv stage has a layer of these names; yes for a file that lists no layers without weights."""
    if not source.lists_all:
        return True
    count = sum(layer.kind in names or strip_number(layer.name) in names for layer in source.layers)
    if count not in (0, convs):
        raise CheckpointError(
            f"the file has {convs} convolutions and {count} layers {names[0]}, and does not say how they follow each "
            "other: save the whole model (model.save('model.keras'))"
        )
    return count > 0


def _tokenizer_arguments(description: Description) -> dict[str, int]:
    """The arguments of the user's tokenizer that the example's has too."""
    for layer in description.layers:
        if _is_of_user(layer) and ("kernel_size" in layer.config or "pooling_kernel_size" in layer.config):
            names = ("stride", "padding", "pooling_kernel_size", "pooling_stride")
            return {name: layer.config[name] for name in names if type(layer.config.get(name)) is int}
    return {}


def _described_stages(convs: Sequence[Dense], description: Description) -> tuple[ConvStage, ...] | None:
    """The conv stages as the JSON lists their layers, or None if it does not list the convolutions."""
    kinds = ("Conv2D", "ZeroPadding2D", "MaxPooling2D", "Activation", "ReLU", "Relu", "MultiHeadAttention")
    listed = description.of(*kinds)
    if sum(layer.kind == "Conv2D" for layer in listed) != len(convs):
        return None
    stages: list[dict[str, Any]] = []
    padding = 0
    for layer in listed:
        if layer.kind == "MultiHeadAttention":
            break
        if layer.kind == "ZeroPadding2D":
            padding += _padding(layer)
        elif layer.kind == "Conv2D":
            conv = convs[len(stages)]
            stages.append(_conv(layer, conv, padding))
            padding = 0
        elif layer.kind == "MaxPooling2D":
            if not stages or stages[-1]["pool_size"]:
                refuse(f"the layer {layer.name} pools again, or before any convolution")
            stages[-1] |= {
                "pool_size": _square(layer, "pool_size"),
                "pool_stride": _square(layer, "strides"),
                "pool_padding": layer.config.get("padding", "valid"),
                "pool_zero_padding": padding,
            }
            padding = 0
        elif (name := _stage_activation(layer)) != "linear":
            if name != "relu" or not stages:
                refuse(f"the layer {layer.name} has the activation {name}; expected ReLU after a convolution")
            stages[-1]["relu"] = True  # after a max pool too: both orders give the same
    if padding:
        refuse("it pads what no convolution or pool reads")
    return tuple(ConvStage(**stage) for stage in stages)


def _conv(layer: Described, conv: Dense, padding: int) -> dict[str, Any]:
    config = layer.config
    if _square(layer, "dilation_rate", 1) != 1 or config.get("groups", 1) != 1:
        refuse(f"the layer {layer.name} has dilation or groups")
    if config.get("data_format", "channels_last") != "channels_last":
        refuse(f"the layer {layer.name} reads channels first")
    activation = _activation_name(config.get("activation"))
    if activation not in ("relu", "linear"):
        refuse(f"the layer {layer.name} has the activation {activation}; expected ReLU or linear")
    return {
        "channels": conv.kernel.shape[3],
        "kernel_size": _square(layer, "kernel_size"),
        "stride": _square(layer, "strides", 1),
        "padding": padding,
        "use_bias": conv.bias is not None,
        "relu": activation == "relu",
        "conv_padding": config.get("padding", "valid"),
        "pool_size": 0,
        "pool_zero_padding": 0,
    }


def _stage_activation(layer: Described) -> str:
    if layer.kind == "Activation":
        return _activation_name(layer.config.get("activation"))
    if any(layer.config.get(name) for name in ("max_value", "negative_slope", "threshold")):
        return "ReLU with limits"
    return "relu"


def _square(layer: Described, name: str, default: int | None = None) -> int:
    value = layer.config.get(name, default)
    if value is None and name == "strides":
        value = layer.config.get("pool_size")
    numbers = value if isinstance(value, list) else [value, value]
    if len(numbers) != 2 or numbers[0] != numbers[1] or type(numbers[0]) is not int:
        refuse(f"the layer {layer.name} has {name} {value}; expected one number for both directions")
    return numbers[0]


def _padding(layer: Described) -> int:
    sides = np.ravel(layer.config.get("padding", 1)).tolist()
    if len(set(sides)) != 1 or type(sides[0]) is not int:
        refuse(f"the layer {layer.name} pads {layer.config.get('padding')}; expected the same on all sides")
    return sides[0]


def _image_size(
    description: Description, stages: tuple[ConvStage, ...], tokens: int | None, given: Given, notes: Notes
) -> tuple[tuple[int, int], float]:
    """(height, width) of the images, and the fraction of a picture's shorter side that a crop in the model keeps."""
    size, crop = _described_size(description, notes)
    if given.image_size is not None:
        size = given.image_size
    if size is None and tokens is None:
        size = EXAMPLE_SIZE
        notes.add("The file does not say the size of its images: 32x32 pixels are assumed, as in the keras.io example.")
    elif size is None:
        assert tokens is not None
        side = _side_for(stages, tokens)
        size = (side, side)
        notes.add(
            f"The file does not say the size of its images: {side}x{side} pixels are assumed, for {tokens} tokens."
        )
    if tokens is not None and (made := math.prod(_grid(stages, size))) != tokens:
        step = "save the whole model (model.save('model.keras')), which says how its convolutions are used"
        if given.image_size is None or description.layers:
            step = "give the size that the model was trained with as --image-size"
        raise ConfigError(
            f"images of {size[0]}x{size[1]} pixels make {made} tokens, but the position is for {tokens}; {step}"
        )
    return size, crop


def _described_size(description: Description, notes: Notes) -> tuple[tuple[int, int] | None, float]:
    shape = description.input_shape
    size = None
    if shape is not None and len(shape) == 4 and type(shape[1]) is int and type(shape[2]) is int:
        size = (shape[1], shape[2])
    crop = 1.0
    for layer in description.of(*CROPS):
        height, width = layer.config.get("height"), layer.config.get("width")
        if not isinstance(height, int) or not isinstance(width, int) or (height, width) == size:
            continue
        new = (height, width)
        if layer.kind == "CenterCrop" and size is not None:
            crop = min(1.0, min(new) / min(size))
        elif size is not None:
            notes.add(
                f"The model itself scales pictures of {size[0]}x{size[1]} to {new[0]}x{new[1]} pixels ({layer.kind}): "
                "here each picture is scaled to that size at once."
            )
        size = new
    return size, crop


def _grid(stages: Sequence[ConvStage], size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    for stage in stages:
        height, width = stage.output_length(height), stage.output_length(width)
    return max(height, 0), max(width, 0)


def _side_for(stages: Sequence[ConvStage], tokens: int) -> int:
    """The side of square images that make `tokens` tokens: the one that the strides divide, if there are several."""
    sides = [s for s in range(1, LARGEST_ASSUMED_SIDE + 1) if math.prod(_grid(stages, (s, s))) == tokens]
    if not sides:
        raise CheckpointError(
            f"the position is for {tokens} tokens, which no square image makes: give the size of the images as "
            "--image-size, or save the whole model (model.save('model.keras'))"
        )
    stride = math.prod(stage.stride * (stage.pool_stride if stage.pool_size else 1) for stage in stages)
    return next((s for s in reversed(sides) if s % stride == 0), sides[-1])


def _activation(source: Source, layers: int, given: Given, notes: Notes) -> tuple[str, bool]:
    """The activation of the MLPs, and whether it also follows their second layer."""
    form = "gelu" if source.keras_2 else "gelu_tanh"
    names = _described_activations(source.description, layers)
    both = True
    if names is None:
        notes.add("The file does not say which activations its MLPs have: GELU after both layers is assumed.")
    else:
        first, second = set(names[::2]), set(names[1::2])
        if len(first) != 1 or len(second) != 1:
            refuse(f"its MLPs differ in their activations ({', '.join(sorted(first | second))})")
        (one,), (two,) = first, second
        if not one.startswith("gelu") or two not in (one, "linear"):
            refuse(f"its MLPs have the activations {one} and {two}; expected GELU, and GELU or linear")
        both = two != "linear"
        if one in ("gelu_tanh", "gelu_exact"):
            return {"gelu_tanh": "gelu_tanh", "gelu_exact": "gelu"}[one], both
    if given.activation is not None:
        if given.activation not in ACTIVATIONS:
            raise ConfigError(f"the activation is {given.activation!r}; expected one of {', '.join(ACTIVATIONS)}")
        return given.activation, both
    text = (
        "the exact one is assumed, which tf.keras has" if form == "gelu" else "keras.ops.gelu's is assumed, with tanh"
    )
    notes.add(f"The file does not say which form of GELU the model has: {text}; `convert --activation` says otherwise.")
    return form, both


def _described_activations(description: Description, layers: int) -> list[str] | None:
    """The activation after each Dense layer of the MLPs, two for each block; None where the JSON lacks them."""
    found: list[str] = []
    after_dense = False
    seen_attention = False
    for layer in description.layers:
        seen_attention |= layer.kind == "MultiHeadAttention"
        if layer.kind == "Dense" and layer.config.get("units") != 1 and seen_attention:
            found.append(_activation_name(layer.config.get("activation")))
            after_dense = True
        elif after_dense and layer.kind in ("Activation", "Gelu", "GELU", "ReLU", "Relu", "TFOpLambda"):
            name = _layer_activation(layer)
            if "linear" not in (found[-1], name):
                refuse(f"the layer {layer.name} is a second activation ({name} after {found[-1]})")
            found[-1] = name if found[-1] == "linear" else found[-1]
        elif layer.kind not in ("Dropout", "StochasticDepth"):
            after_dense = False
    return found[: 2 * layers] if len(found) in (2 * layers, 2 * layers + 1) and found else None


def _layer_activation(layer: Described) -> str:
    if layer.kind in ("Gelu", "GELU") or layer.config.get("function") == "nn.gelu":
        approximate = layer.config.get("approximate", layer.options.get("approximate"))
        return {True: "gelu_tanh", False: "gelu_exact"}.get(approximate, "gelu") if approximate is not None else "gelu"
    if layer.kind in ("ReLU", "Relu"):
        return "relu"
    function = str(layer.config.get("function"))
    if layer.kind == "TFOpLambda":  # others than those of tf.nn are sums, reshapes and the like
        return function.removeprefix("nn.") if function.startswith("nn.") else "linear"
    return _activation_name(layer.config.get("activation"))


def _activation_name(value: Any) -> str:
    """The name of an activation, which the JSON writes as text or as an object."""
    if value is None:
        return "linear"
    while isinstance(value, dict):
        inner = value.get("config")
        if isinstance(inner, dict) and "class_name" not in inner:
            inner = inner.get("name")
        value = inner or value.get("class_name")
    return str(value)


def _output(description: Description, classes: int) -> str:
    """How the model makes probabilities of its logits, which are before any softmax of its own."""
    last = [layer for layer in description.layers if layer.kind in ("Dense", "Activation", "Softmax")][-1:]
    name = _activation_name(last[0].config.get("activation")) if last and last[0].kind != "Softmax" else "linear"
    if name not in ("linear", "softmax", "sigmoid"):
        refuse(f"its classifier has the activation {name}; expected softmax, sigmoid or linear")
    return "sigmoid" if classes == 1 or name == "sigmoid" else "softmax"


def _pool(parts: Parts, source: Source, notes: Notes) -> str:
    kinds = {layer.kind for layer in source.description.layers} | {layer.kind for layer in source.layers}
    if kinds & {"GlobalAveragePooling1D", "global_average_pooling1d", "Mean"} and parts.score is None:
        return "mean"
    if kinds & {"GlobalMaxPooling1D", "global_max_pooling1d", "Max"} and parts.score is None:
        return "max"
    if parts.score is not None:
        return "seqpool"
    if parts.class_token is not None:
        return "class_token"
    if kinds & {"flatten", "Flatten"}:
        refuse("its classifier reads all tokens at once (Flatten)")
    notes.add("The file does not say how its tokens are pooled: their mean is assumed.")
    return "mean"


def _epsilon(description: Description, given: Given, notes: Notes) -> float:
    said = {
        float(layer.config["epsilon"]) for layer in description.of("LayerNormalization") if "epsilon" in layer.config
    }
    if len(said) > 1:
        refuse(f"its LayerNormalizations have different epsilons ({', '.join(f'{e:g}' for e in sorted(said))})")
    if said:
        return said.pop()
    if given.epsilon is not None:
        return given.epsilon
    notes.add(f"The file does not say the epsilon of LayerNormalization: {EXAMPLE_EPSILON:g} is assumed.")
    return EXAMPLE_EPSILON


def _block_order(description: Description, layers: int) -> str:
    """ "official" if the second norm of a block replaces the residual stream, as the JSON's edges show."""
    readers: dict[str, list[Described]] = {}
    for layer in description.layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer)
    norms = description.of("LayerNormalization")
    if len(norms) != 2 * layers + 1 or not readers:
        return "pre_norm"
    by_name = {layer.name: layer for layer in description.layers}
    for attention in description.of("MultiHeadAttention"):
        source = by_name.get(attention.inputs[0]) if attention.inputs else None
        if source is not None and source.kind != "LayerNormalization":
            refuse(f"the layer {attention.name} reads a {source.kind}; expected a LayerNormalization before it")
    replaces = [any(_is_add(layer) for layer in readers.get(norm.name, [])) for norm in norms[:-1]]
    if any(replaces[::2]):
        refuse("a norm before the attention is added to the residual stream")
    if len(set(replaces[1::2])) > 1:
        refuse("in some of its blocks alone the norm before the MLP is added to the residual stream")
    return "official" if any(replaces) else "pre_norm"


def _is_add(layer: Described) -> bool:
    return layer.kind == "Add" or str(layer.config.get("function", "")).endswith("add")


def _scaling(parts: Parts, source: Source, channels: int, notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """scale and offset (C,) that do to pixels what the model's Rescaling and Normalization do."""
    scale, offset = np.ones(channels), np.zeros(channels)
    described = source.description.of("Rescaling", "Normalization")
    for layer in described:
        if layer.kind == "Rescaling":
            factor = _numbers(layer.config.get("scale", 1), channels)
            shift = _numbers(layer.config.get("offset", 0), channels)
        else:
            factor, shift = _normalise(layer, parts, channels)
        scale, offset = scale * factor, offset * factor + shift
    if not described and parts.normalisation is not None:
        mean, variance = (_numbers(array, channels) for array in parts.normalisation)
        deviation = np.maximum(np.sqrt(variance), 1e-7)
        scale, offset = 1 / deviation, -mean / deviation
        notes.add("The file does not say where its Normalization stands: before the convolutions is assumed.")
        if "rescaling" in {layer.kind for layer in source.layers} and 255 * scale.max() < LARGEST_INPUT:
            raise CheckpointError(
                "the file holds a Rescaling, and a Normalization of pixels in 0..255, and does not say which comes "
                "first: save the whole model (model.save('model.keras'))"
            )
    return scale, offset


def _normalise(layer: Described, parts: Parts, channels: int) -> tuple[np.ndarray, np.ndarray]:
    mean, variance = layer.config.get("mean"), layer.config.get("variance")
    if (mean is None or variance is None) and parts.normalisation is not None:
        mean, variance = parts.normalisation
    if layer.config.get("invert"):
        refuse(f"the layer {layer.name} undoes a normalisation (invert=True)")
    if mean is None or variance is None:
        refuse(f"the layer {layer.name} does not say its mean and variance")
    deviation = np.maximum(np.sqrt(_numbers(variance, channels)), 1e-7)
    return 1 / deviation, -_numbers(mean, channels) / deviation


def _numbers(value: Any, channels: int) -> np.ndarray:
    numbers = np.ravel(np.asarray(value, np.float64))
    if len(numbers) not in (1, channels):
        refuse(f"it rescales pixels by {len(numbers)} numbers; expected one, or one for each channel")
    return np.broadcast_to(numbers, (channels,)).astype(np.float64)
