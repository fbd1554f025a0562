"""The names of the paper's code, which vit-pytorch's CCT shares, and canonical names: both ways, checked.

A .pth does not contain its architecture, so everything here takes the configuration as an argument.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from ...architecture.config import CCTConfig, ConvStage
from ...architecture.position import resize_position, sinusoidal_position
from ..common import Checkpoint, CheckpointError, CheckpointWarning
from .select import HEAD, load_state

FORMAT = "shi_labs"
POSITION, CLASS_TOKEN = "classifier.positional_emb", "classifier.class_emb"
State = Mapping[str, np.ndarray]
FORMULA_ACCURACY = 1e-3  # the paper's code computes in float32, where the angle of token 575 is off by up to 3e-5
_QKV = ("query", "key", "value")  # the order of the rows of the fused projection


def read(
    path: str | Path, config: CCTConfig, *, grid: tuple[int, int] | None = None, new_head: bool = False
) -> Checkpoint:
    """Read a file of PyTorch as the model that `config` describes.

    Args:
        grid: rows and columns of tokens the file was trained with; the config's by default.
        new_head: replace the file's classifier by one whose weights are all 0.

    Raises:
        CheckpointError: PyTorch is missing, or the file is damaged, holds more than tensors, or is of another model.

    Warns:
        CheckpointWarning: as `to_canonical`.
    """
    return Checkpoint(config, to_canonical(load_state(path), config, grid=grid, new_head=new_head), FORMAT)


def to_canonical(
    state: State, config: CCTConfig, *, grid: tuple[int, int] | None = None, new_head: bool = False
) -> dict[str, np.ndarray]:
    """The weights of an official state dict (name -> float32 array) by their canonical names; arguments as `read`.

    Raises:
        CheckpointError: `config` is not of the official form, or the arrays are not those of its model.

    Warns:
        CheckpointWarning: the position was resized, differs from the sinusoidal formula, or the head is untrained.
    """
    check_form(config)
    return rename(state, config, grid=grid, new_head=new_head)


def rename(
    state: State, config: CCTConfig, *, grid: tuple[int, int] | None = None, new_head: bool = False
) -> dict[str, np.ndarray]:
    """As `to_canonical`, for a config that was made for these arrays: its stages may have other strides and pools."""
    _check_names(state, config, new_head=new_head)
    weights: dict[str, np.ndarray] = {}
    for ours, theirs in _pairs(config):
        if theirs in state:
            weights[ours] = _turn(state[theirs])
    if CLASS_TOKEN in state:
        weights["sequence/class_token"] = state[CLASS_TOKEN][0]
    if POSITION in state:
        weights["sequence/position"] = _fit_position(state[POSITION][0], config, grid)
    for i in range(config.num_layers):
        qkv = np.split(state[_qkv(i)], 3)
        for name, rows in zip(_QKV, qkv, strict=True):
            weights[f"block_{i}/attention/{name}/kernel"] = rows.T
    if new_head:
        _warn("the new head is untrained: its weights are all 0 and every class scores the same; train it before use")
        weights["head/kernel"] = np.zeros((config.embedding_dim, config.num_classes))
        weights["head/bias"] = np.zeros(config.num_classes)
    return {name: np.array(array, np.float32, order="C") for name, array in weights.items()}


def from_canonical(weights: State, config: CCTConfig) -> dict[str, np.ndarray]:
    """The state dict that the paper's code loads, from canonical weights: the inverse of `to_canonical`.

    Raises:
        CheckpointError: `config` is not of the official form.
    """
    check_form(config)
    state = {theirs: _turn_back(weights[ours]) for ours, theirs in _pairs(config) if ours in weights}
    if "sequence/class_token" in weights:
        state[CLASS_TOKEN] = weights["sequence/class_token"][None]
    if "sequence/position" in weights:
        state[POSITION] = weights["sequence/position"][None]
    for i in range(config.num_layers):
        state[_qkv(i)] = np.concatenate([weights[f"block_{i}/attention/{name}/kernel"].T for name in _QKV])
    return {name: state[name] for name in expected_shapes(config)}


def count_tokens(state: State) -> int:
    """The number of image tokens that the position of a state dict is for.

    Raises:
        CheckpointError: the position is no table of tokens.
    """
    shape = state[POSITION].shape
    tokens = shape[1] - (CLASS_TOKEN in state) if len(shape) == 3 else 0
    if tokens < 1:
        raise CheckpointError(f"{POSITION} has shape {shape}; expected (1, tokens, width)")
    return tokens


def _pairs(config: CCTConfig) -> Iterator[tuple[str, str]]:
    """(canonical name, official name) of every weight that the two have one to one."""
    layers = [(f"tokenizer/conv_{i}", f"tokenizer.conv_layers.{i}.0") for i in range(len(config.tokenizer))]
    norms = [("norm", "classifier.norm")]
    for i in range(config.num_layers):
        ours, theirs = f"block_{i}", f"classifier.blocks.{i}"
        norms += [(f"{ours}/norm_1", f"{theirs}.pre_norm"), (f"{ours}/norm_2", f"{theirs}.norm1")]
        layers.append((f"{ours}/attention/projection", f"{theirs}.self_attn.proj"))
        layers += [(f"{ours}/mlp_{j}", f"{theirs}.linear{j}") for j in (1, 2)]
    layers += [("pool/score", "classifier.attention_pool"), ("head", HEAD)]
    for parts, names in ((("kernel", "bias"), layers), (("gamma", "beta"), norms)):
        for ours, theirs in names:
            yield f"{ours}/{parts[0]}", f"{theirs}.weight"
            yield f"{ours}/{parts[1]}", f"{theirs}.bias"


def _qkv(layer: int) -> str:
    return f"classifier.blocks.{layer}.self_attn.qkv.weight"


def _turn(array: np.ndarray) -> np.ndarray:
    """PyTorch's axes -> Keras's: (out, in, h, w) -> (h, w, in, out), (out, in) -> (in, out)."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def _turn_back(array: np.ndarray) -> np.ndarray:
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def check_form(config: CCTConfig) -> None:
    """Refuse a config of another form: it may have arrays of the same shapes, and would silently give wrong answers.

    Raises:
        CheckpointError: says what the paper's code has instead.
    """
    checks = {
        "block 'official'": config.block == "official",
        "no bias on q, k and v": not config.qkv_bias,
        "no activation after the second MLP layer": not config.mlp_output_activation,
        "SeqPool or a class token": config.pool in ("seqpool", "class_token"),
        "an exact GELU": config.activation == "gelu",
        "heads that together are as wide as the tokens": config.num_heads * config.key_dim == config.embedding_dim,
        "LayerNorm epsilon 1e-5": config.layer_norm_epsilon == 1e-5,
        "conv stages without bias, each with ReLU and a valid 3x3/2 max pool on zero padding 1, or patches with bias, "
        "without ReLU and pool": all(map(_is_conv, config.tokenizer)) or all(map(_is_patch, config.tokenizer)),
    }
    if wrong := [what for what, fits in checks.items() if not fits]:
        raise CheckpointError(f"the architecture is not of the paper's code, which has {', '.join(wrong)}")


def _is_conv(stage: ConvStage) -> bool:
    """Kernel, stride and padding may be of any size."""
    pool = (stage.pool_size, stage.pool_stride, stage.pool_zero_padding, stage.pool_padding)
    return stage.relu and not stage.use_bias and stage.conv_padding == "valid" and pool == (3, 2, 1, "valid")


def _is_patch(stage: ConvStage) -> bool:
    plain = stage.use_bias and not stage.relu and not stage.pool_size and stage.conv_padding == "valid"
    return plain and stage.stride == stage.kernel_size and stage.padding == 0


def expected_shapes(config: CCTConfig) -> dict[str, tuple[int | None, ...]]:
    """Official name -> shape; None stands for the number of tokens and of classes, which are checked separately."""
    dim, mlp = config.embedding_dim, config.mlp_dim
    shapes: dict[str, tuple[int | None, ...]] = {}
    channels = config.channels
    for i, stage in enumerate(config.tokenizer):
        name = f"tokenizer.conv_layers.{i}.0"
        shapes[f"{name}.weight"] = (stage.channels, channels, stage.kernel_size, stage.kernel_size)
        if stage.use_bias:
            shapes[f"{name}.bias"] = (stage.channels,)
        channels = stage.channels
    dense: dict[str, tuple[int | None, int]] = {HEAD: (None, dim)}
    norms = ["classifier.norm"]
    if config.pool == "class_token":
        shapes[CLASS_TOKEN] = (1, 1, dim)
    else:
        dense["classifier.attention_pool"] = (1, dim)
    if config.position != "none":
        shapes[POSITION] = (1, None, dim)
    for i in range(config.num_layers):
        name = f"classifier.blocks.{i}"
        norms += [f"{name}.pre_norm", f"{name}.norm1"]
        shapes[f"{name}.self_attn.qkv.weight"] = (3 * dim, dim)
        dense |= {
            f"{name}.self_attn.proj": (dim, dim),
            f"{name}.linear1": (mlp, dim),
            f"{name}.linear2": (dim, mlp),
        }
    shapes |= {f"{name}.weight": shape for name, shape in dense.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in dense.items()}
    return shapes | {f"{name}.{part}": (dim,) for name in norms for part in ("weight", "bias")}


def _check_names(state: State, config: CCTConfig, *, new_head: bool) -> None:
    expected = expected_shapes(config)
    if new_head:
        state = {name: array for name, array in state.items() if not name.startswith(HEAD)}
        expected = {name: shape for name, shape in expected.items() if not name.startswith(HEAD)}
    misfits = [
        f"{name} is {state[name].shape} instead of {tuple('any' if n is None else n for n in shape)}"
        for name, shape in expected.items()
        if name in state
        and (
            state[name].ndim != len(shape)
            or any(n not in (None, size) for n, size in zip(shape, state[name].shape, strict=True))
        )
    ]
    problems = [
        f"{len(names)} {what} ({_some(names)})"
        for what, names in (
            ("missing", [name for name in expected if name not in state]),
            ("not part of the model", [name for name in state if name not in expected]),
            ("of another shape", misfits),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            "the file is of another architecture than the one expected; of its arrays, " + ", ".join(problems)
        )
    if new_head:
        return
    classes = len(state[f"{HEAD}.weight"])
    if len(state[f"{HEAD}.bias"]) != classes:
        raise CheckpointError(
            f"{HEAD} has {classes} rows, but {len(state[f'{HEAD}.bias'])} biases; the file is damaged"
        )
    if classes != config.num_classes:
        raise CheckpointError(
            f"the file's head has {classes} classes, the architecture {config.num_classes}: leave out --arch to keep "
            "the file's head, or ask for a new, untrained head with --new-head"
        )


def _some(names: Iterable[str], count: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def distance_from_formula(table: np.ndarray) -> float:
    """The largest difference of a position (M, D) from the sinusoidal formula."""
    with np.errstate(all="ignore"):  # damaged numbers are refused later
        return float(np.abs(table - sinusoidal_position(*table.shape)).max())


def _fit_position(table: np.ndarray, config: CCTConfig, grid: tuple[int, int] | None) -> np.ndarray:
    """The file's table (M, D), which may differ from the formula, on the config's grid."""
    tokens = len(table) - (config.pool == "class_token")
    side = math.isqrt(max(tokens, 0))
    candidates = (grid or config.grid, config.grid, (side, side))
    old = next((shape for shape in candidates if shape[0] * shape[1] == tokens), None)
    if old is None or not tokens:
        raise CheckpointError(
            f"the file's position is for {tokens} tokens, the architecture's for {config.num_tokens}: give the "
            "architecture with the image size the file was trained with, and the new size with --image-size"
        )
    off = distance_from_formula(table)
    if config.position == "sinusoidal" and not off <= FORMULA_ACCURACY:
        _warn(f"the file's position differs from the sinusoidal formula by up to {off:.3g}; the file's is used")
    if old == config.grid:
        return table
    _warn(f"the position was resized bilinearly from {old[0]}x{old[1]} to {config.grid[0]}x{config.grid[1]} tokens")
    return resize_position(table, old, config.grid)


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=4)
