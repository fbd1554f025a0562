"""A PyTorch .pth read as tensors and nothing else: anything else in it is refused by name, and nothing is run.

Only this module needs PyTorch; it is imported when a file is read.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..common import CheckpointError

TORCH = (2, 10)  # the oldest release whose weights_only is trusted here
_WRAPPERS = ("state_dict", "model_state_dict", "model", "state_dict_ema", "model_ema")  # in order of preference
_PREFIXES = ("module.", "_orig_mod.")  # added by data-parallel and by compiled models
_CALLS = ("GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX")  # opcodes that call something


class CheckpointWarning(UserWarning):
    """A checkpoint that can be used, but was changed; the message says how."""


def load_state(path: str | Path) -> dict[str, np.ndarray]:
    """The state dict in a .pth, name -> float32 array, without wrappers of training scripts. Nothing in it is run.

    Raises:
        CheckpointError: PyTorch is missing or older than 2.10, or the file is damaged or holds more than tensors.

    Warns:
        CheckpointWarning: averaged weights, or tensors that hold no floating-point numbers, were left out.
    """
    path = Path(path)
    torch = _import_torch()
    try:
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    damaged = f"{path.name} is truncated, damaged or no PyTorch file; download it again"
    try:
        if not _checksums_fit(path):
            raise CheckpointError(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they address the author of the file
            content = torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        called = re.search(r"GLOBAL ([\w.]+)", str(error))
        if called is None and not _calls_something(path):
            raise CheckpointError(damaged) from None
        what = called[1] if called else "functions"
        raise CheckpointError(
            f"{path.name} holds more than tensors: it asks to call {what}; nothing of it was run. If you trust it, "
            "load it where it was made, save its state dict alone, and convert that"
        ) from None
    except Exception as error:  # half a file gives RuntimeError, OSError or EOFError, by where it was cut
        raise CheckpointError(damaged) from error
    state = _strip_prefixes(_leave_out_counters(torch, _unwrap(content, path.name), path.name))
    return {name: _to_array(torch, name, value) for name, value in state.items()}


def _import_torch() -> Any:
    needed = ".".join(map(str, TORCH))
    how = f"reading a .pth needs PyTorch {needed} or newer: pip install 'torch>={needed}'"
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(f"PyTorch is not installed; {how}") from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < TORCH:
        raise CheckpointError(f"PyTorch {torch.__version__} is installed; {how}")
    return torch


def _checksums_fit(path: Path) -> bool:
    """PyTorch itself does not notice a flipped bit in a tensor."""
    if not zipfile.is_zipfile(path):
        return True  # the format before 1.6, or no PyTorch file: torch.load tells
    with zipfile.ZipFile(path) as archive:
        try:
            return archive.testzip() is None
        except zipfile.BadZipFile:
            return False


def _calls_something(path: Path) -> bool:
    """Whether the file is a pickle that calls functions, judged by its opcodes."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                text = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
        else:
            text = path.read_bytes()
        return any(operation.name in _CALLS for operation, _, _ in pickletools.genops(text))
    except (ValueError, OSError, StopIteration, zipfile.BadZipFile):
        return False


def _unwrap(content: Any, file: str) -> dict[str, Any]:
    if isinstance(content, dict) and (wrapper := next((name for name in _WRAPPERS if name in content), None)):
        if not wrapper.endswith("ema") and any(name in content for name in _WRAPPERS if name.endswith("ema")):
            text = f"{file} also holds averaged weights (EMA); those under {wrapper!r} are used"
            warnings.warn(text, CheckpointWarning, stacklevel=3)
        content = content[wrapper]
    if not isinstance(content, dict) or not content or not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{file} holds no state dict, but {type(content).__name__}; expected names and tensors")
    return content


def _leave_out_counters(torch: Any, state: dict[str, Any], file: str) -> dict[str, Any]:
    """The state without tensors of whole numbers, which count something (batches seen, weights averaged)."""
    counters = [n for n, value in state.items() if isinstance(value, torch.Tensor) and not value.is_floating_point()]
    if counters:
        more = ", ..." if len(counters) > 4 else ""
        hold = "holds" if len(counters) == 1 else "hold"
        text = f"{file}: {', '.join(counters[:4])}{more} {hold} no floating-point numbers; left out"
        warnings.warn(text, CheckpointWarning, stacklevel=3)
    return {name: value for name, value in state.items() if name not in counters}


def _strip_prefixes(state: dict[str, Any]) -> dict[str, Any]:
    """The state without the prefixes that all its names share; a script may have wrapped its model more than once."""
    while state and (prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None)):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _to_array(torch: Any, name: str, value: Any) -> np.ndarray:
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
        raise CheckpointError(f"{name} is {kind}; expected a dense tensor")
    return value.detach().to(torch.float32).numpy()
