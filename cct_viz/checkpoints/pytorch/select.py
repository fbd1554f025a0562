"""Which arrays of a file are the model: any nesting, any prefix, trained or averaged weights.

The names of the paper's code, which vit-pytorch shares, are the parts "tokenizer" and "classifier" of one module. What
stands before them is a prefix, whatever it is called.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ...architecture.config import ConfigError
from ..common import CheckpointError, CheckpointWarning
from .contents import Contents
from .others import name_architecture
from .state_dict import read_contents

FIRST_CONV, HEAD = "tokenizer.conv_layers.0.0.weight", "classifier.fc"
LARGEST_GROWTH = 4  # float8 becomes float32
_PARTS = ("tokenizer", "classifier")
# Parts of a name that wrappers add, at any depth: data-parallel, compiled, sharded and recomputed modules.
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?|avg|shadow)\d*([._]|$)", re.IGNORECASE)
# Where training scripts put the trained weights, in order of preference.
_USUAL = ("state_dict", "model_state_dict", "model", "net", "network", "module")

Names = Mapping[str, str]  # name in the paper's code -> full name in the file


def select_state(
    contents: Contents, file: str, *, ema: bool = False, without_head: bool = False
) -> dict[str, np.ndarray]:
    """The model's arrays, by the names of the paper's code, without any prefix.

    Args:
        file: the file's name, for messages.
        ema: the averaged weights, where the file holds both.
        without_head: leave out the head, whatever it is.

    Raises:
        CheckpointError: the file holds no compact transformer, more than one, or a head that is not one linear layer.
        ConfigError: averaged weights are asked for, but there are none.

    Warns:
        CheckpointWarning: says which weights were read if the file holds more, and what was left out.
    """
    models = _find_models([*contents.arrays, *contents.counters, *contents.odd])
    if not models:
        raise CheckpointError(_explain_missing(contents, file))
    prefix = _choose(models, contents, file, ema=ema)
    names = _drop_head(models[prefix]) if without_head else _with_linear_head(models[prefix], file)
    if odd := [name for name in names.values() if name in contents.odd]:
        raise CheckpointError(f"{odd[0]} is {contents.odd[odd[0]]}; expected a dense tensor of floats")
    if whole := [name for name in names.values() if name in contents.counters and name.endswith((".weight", ".bias"))]:
        raise CheckpointError(
            f"{whole[0]} holds whole numbers ({contents.counters[whole[0]]}): the model is quantised; convert the "
            "weights that it was quantised from"
        )
    names = dict(names) | _strangers(models, prefix, contents)
    _warn_left_out(names, models, prefix, contents, file)
    return _load({name: full for name, full in names.items() if full in contents.arrays}, contents, file)


def _load(names: Names, contents: Contents, file: str) -> dict[str, np.ndarray]:
    """The arrays; many names may share the numbers of one array in the file, and become arrays of their own here."""
    state: dict[str, np.ndarray] = {}
    bytes_left = LARGEST_GROWTH * contents.size
    for name, full in names.items():
        state[name] = contents.arrays[full]()
        bytes_left -= state[name].nbytes
        if bytes_left < 0:
            raise CheckpointError(f"{file} says that its arrays have far more numbers than it holds; download it again")
    return state


def load_state(path: str | Path, *, ema: bool = False) -> dict[str, np.ndarray]:
    """The model's arrays in a file, by the names of the paper's code; see `read_contents` and `select_state`."""
    path = Path(path)
    return select_state(read_contents(path), path.name, ema=ema)


def _find_models(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Prefix -> the names after it, for every prefix under which the first convolution lies."""
    models: dict[str, dict[str, str]] = {}
    for full in names:
        parts = full.split(".")
        start = max((i for i, part in enumerate(parts) if part in _PARTS), default=None)
        if start is not None:
            name = ".".join(part for part in parts[start:] if part not in _WRAPPERS)
            models.setdefault(".".join(parts[:start]), {})[name] = full
    return {prefix: found for prefix, found in models.items() if FIRST_CONV in found}


def _choose(models: Mapping[str, Names], contents: Contents, file: str, *, ema: bool) -> str:
    averaged = [prefix for prefix in models if _AVERAGED.search(prefix)]
    trained = [prefix for prefix in models if prefix not in averaged]
    if ema and not averaged:
        raise ConfigError(f"{file} holds no averaged weights (EMA); leave out --ema")
    candidates = averaged if ema or not trained else trained
    prefix = _preferred(candidates, models, contents, file)
    if averaged and trained:
        what, other = ("averaged", "trained") if ema else ("trained", "averaged")
        step = "" if ema else "; --ema reads them"
        beside = (trained if ema else averaged)[0] or "no prefix"
        _warn(
            f"{file} also holds {other} weights ({beside}); the {what} ones ({prefix or 'no prefix'}) were read{step}"
        )
    return prefix


def _preferred(candidates: list[str], models: Mapping[str, Names], contents: Contents, file: str) -> str:
    ranks = [min((_USUAL.index(p) for p in c.split(".") if p in _USUAL), default=len(_USUAL)) for c in candidates]
    best = [candidate for candidate, rank in zip(candidates, ranks, strict=True) if rank == min(ranks)]
    first = best[0]
    others = [other for other in candidates if not _are_equal(models[first], models[other], contents)]
    if any(other in best for other in others):
        raise CheckpointError(
            f"{file} holds {len(best)} models ({_some(best)}); where it was made, save the state dict of the one "
            "that you want, and convert that"
        )
    if others:
        _warn(f"{file} also holds other weights ({', '.join(others)}); those of {first or 'no prefix'} were read")
    return first


def _are_equal(one: Names, two: Names, contents: Contents) -> bool:
    """Whether two sets of arrays are the same; a model that has two names in its parent is saved twice."""
    if one.keys() != two.keys():
        return False
    pairs = [(contents.arrays.get(one[name]), contents.arrays.get(two[name])) for name in one]
    return one == two or all(a is not None and b is not None and np.array_equal(a(), b()) for a, b in pairs)


def _drop_head(names: Names) -> Names:
    return {name: full for name, full in names.items() if not name.startswith(f"{HEAD}.")}


def _with_linear_head(names: Names, file: str) -> Names:
    """The names with those of the head's one linear layer, if it is inside another module, say nn.Sequential."""
    inside = {name: full for name, full in names.items() if name.startswith(f"{HEAD}.")}
    if not inside or f"{HEAD}.weight" in inside:
        return names
    layers = sorted({name.rsplit(".", 1)[0] for name in inside})
    if len(layers) > 1 or not inside.keys() <= {f"{layers[0]}.weight", f"{layers[0]}.bias"}:
        raise CheckpointError(
            f"{file} has a head of {len(layers)} layers ({', '.join(layers)}); only a head of one linear layer can be "
            "read, because contributions to a class score exist for no other: --new-head N replaces it"
        )
    return dict(_drop_head(names)) | {f"{HEAD}.{name.rsplit('.', 1)[1]}": full for name, full in inside.items()}


def _strangers(models: Mapping[str, Names], prefix: str, contents: Contents) -> dict[str, str]:
    """Arrays beside the model's parts and under its prefix: they may take part in it, so they must not be lost."""
    group = contents.groups[models[prefix][FIRST_CONV]]
    begin = f"{prefix}." if prefix else ""
    others = {full for names in models.values() for full in names.values()}
    return {
        full.removeprefix(begin): full
        for full in contents.arrays
        if contents.groups[full] == group and full.startswith(begin) and full not in others
    }


def _warn_left_out(names: Names, models: Mapping[str, Names], prefix: str, contents: Contents, file: str) -> None:
    group = contents.groups[models[prefix][FIRST_CONV]]
    beside = [full for full in (*contents.arrays, *contents.counters) if contents.groups[full] == group]
    others = {full for one in models.values() for full in one.values() if full not in contents.counters}
    counters = [full for full in beside if full in contents.counters]
    rest = [full for full in beside if full not in others and full not in names.values() and full not in counters]
    short = {full: full.removeprefix(f"{group}.") if group else full for full in beside}
    if counters:
        hold = "holds" if len(counters) == 1 else "hold"
        _warn(f"{file}: {_some(short[full] for full in counters)} {hold} no floating-point numbers; left out")
    if rest:
        is_are = "is" if len(rest) == 1 else "are"
        _warn(f"{file}: {_some(short[full] for full in rest)} {is_are} not part of the model; left out")


def _explain_missing(contents: Contents, file: str) -> str:
    names = [full[len(group) + 1 :] if group else full for full, group in contents.groups.items()]
    if not names:
        kind = {"dict": "no tensors", "OrderedDict": "no tensors"}.get(contents.kind, contents.kind)
        return f"{file} holds no state dict, but {kind}; expected names and tensors"
    return f"{file} holds {name_architecture(names)}; expected a CCT, CVT or ViT-Lite as the paper's code names it"


def _some(names: Iterable[str], count: int = 4) -> str:
    names = list(names)
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=4)
