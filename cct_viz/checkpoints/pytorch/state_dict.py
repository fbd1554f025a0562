"""A file of PyTorch read as tensors and plain values; anything else in it is refused by name, and nothing is run.

Only this module needs PyTorch; it is imported when a file is read or written.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import pathlib
import pickle
import pickletools
import re
import struct
import types
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...architecture.files import replace_file
from ..common import CheckpointError
from ..zip_files import UNREADABLE, list_names, open_zip
from .contents import Contents, collect

TORCH = (2, 10)  # the oldest release whose weights_only is trusted here
# Modules that files of weights import; those of _MODULES are models.
_PLAIN = ("torch.", "collections.", "_codecs.", "numpy.", "argparse.", "types.", "pathlib.")
_MODULES = ("torch.nn.modules.", "torch.fx.")
# Errors of reading a damaged zip archive or pickle.
_UNREADABLE = (*UNREADABLE, StopIteration, MemoryError, struct.error, AttributeError, TypeError)
_MOST_NAMES, _LONGEST_NAME = 1000, 200  # of what a pickle imports
_SAVE = "where it was made, save its state_dict() alone with torch.save, and convert that"


def holds(path: Path) -> bool:
    """Whether a file looks like one of PyTorch's: a zip archive with a pickle, whole or cut off, or a bare pickle."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(b"PK\x03\x04"):
        return b"data.pkl" in start or any(name.endswith("data.pkl") for name in list_names(path))
    return start[:1] == pickle.PROTO


def read_contents(path: Path) -> Contents:
    """Everything in a .pth, in any of PyTorch's formats. Nothing in it is run.

    Raises:
        CheckpointError: PyTorch is missing or older than 2.10, or the file is damaged, is a program or a whole model,
            or holds more than tensors and plain values.
    """
    torch = _import_torch()
    try:
        empty = not path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror or error}") from error
    damaged = f"{path.name} is truncated, damaged or no PyTorch file; download it again"
    if empty:
        raise CheckpointError(f"{damaged}: it is empty")
    if program := _name_program(path):
        raise CheckpointError(f"{path.name} is a {program} program, which would have to be run; {_SAVE}")
    try:
        if any(len(name) >= _LONGEST_NAME for name in _imports(path)):  # PyTorch copies it once for each letter
            raise CheckpointError(f"{damaged}: it asks for a class with a name of more than {_LONGEST_NAME} letters")
        packed = zipfile.is_zipfile(path) and _check_members(path, damaged)
        with warnings.catch_warnings(), torch.serialization.safe_globals(_harmless()):
            warnings.simplefilter("ignore")  # they address the author of the file
            content = _load(torch, path, packed=packed)
        return collect(content, path.stat().st_size, functools.partial(_add_tensor, torch))
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(_explain_pickle(path, str(error)) or damaged) from None
    except Exception as error:  # half a file gives RuntimeError, OSError or EOFError, by where it was cut
        raise CheckpointError(damaged) from error


def _load(torch: Any, path: Path, *, packed: bool) -> Any:
    options = {"map_location": "cpu", "weights_only": True}
    # PyTorch reads the suffix .safetensors as another format, and maps compressed tensors as if they were not.
    if zipfile.is_zipfile(path) and path.suffix != ".safetensors" and not packed:
        return torch.load(str(path), mmap=True, **options)  # then only the tensors that are used are read
    with path.open("rb") as file:
        return torch.load(file, **options)


def write_state(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Write a state dict as a .pth, in one step.

    Args:
        state: name -> float32 array.

    Raises:
        CheckpointError: PyTorch is missing or older than 2.10.
    """
    torch = _import_torch("writing")
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in state.items()}
    replace_file(path, lambda temporary: torch.save(tensors, temporary))


def _import_torch(action: str = "reading") -> Any:
    needed = ".".join(map(str, TORCH))
    how = f"{action} a .pth needs PyTorch {needed} or newer: pip install 'torch>={needed}'"
    try:
        import torch
    except ImportError as error:
        raise CheckpointError(f"PyTorch is not installed; {how}") from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < TORCH:
        raise CheckpointError(f"PyTorch {torch.__version__} is installed; {how}")
    return torch


def _harmless() -> list[Any]:
    """Types of plain data that training scripts save beside the weights; creating them runs no code of the file."""
    dtypes = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}
    scalar = np.float64(0).__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    paths = [
        (pathlib.PurePosixPath, f"{module}.{kind}Path")
        for module in ("pathlib", "pathlib._local")
        for kind in ("Posix", "Windows", "PurePosix", "PureWindows")
    ]
    return [argparse.Namespace, types.SimpleNamespace, np.dtype, *dtypes, *named, *paths]


def _name_program(path: Path) -> str:
    """The kind of program that a file is; "" for a file of weights."""
    names = list_names(path)
    if any(name.endswith("/constants.pkl") or "/code/__torch__" in name for name in names):
        return "TorchScript"
    return "torch.export" if any(name.endswith("archive_format") for name in names) else ""


def _check_members(path: Path, damaged: str) -> bool:
    """Whether a zip archive is compressed, as programs other than PyTorch pack it.

    Raises:
        CheckpointError: a member is damaged, which PyTorch itself does not notice, or unpacks to far too much.
    """
    try:
        with open_zip(path) as archive:
            if archive.testzip() is not None:
                raise CheckpointError(damaged)
            return any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    except UNREADABLE as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(damaged) from error


def _explain_pickle(path: Path, message: str) -> str:
    """What a pickle asks for that is not plain data; "" if it is only damaged."""
    wanted = [name for name in _imports(path) if not name.startswith(_PLAIN) or name.startswith(_MODULES)]
    called = re.search(r"GLOBAL ([\w.]+)", message)
    if any(name.startswith(_MODULES) for name in wanted):
        model = next((name for name in wanted if not name.startswith(_MODULES)), wanted[0])
        return f"{path.name} holds a whole pickled model ({model}), whose code would have to be run; {_SAVE}"
    if called is None and not wanted:
        return ""
    return (
        f"{path.name} holds more than tensors: it asks to call {called[1] if called else wanted[0]}; nothing of it was "
        "run. If you trust it, load it where it was made, save its state dict alone, and convert that"
    )


def _imports(path: Path) -> list[str]:
    """The names that the pickles of a file import, each once and in order, judged by their opcodes."""
    names: dict[str, None] = {}
    texts: list[str] = []
    with contextlib.ExitStack() as stack, contextlib.suppress(*_UNREADABLE):
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(open_zip(path))
            pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            stream: IO[bytes] = io.BytesIO(archive.read(pickled))
        else:
            stream = stack.enter_context(path.open("rb"))
        while len(names) < _MOST_NAMES:  # the format before 1.6 is several pickles in a row; the last ends in an error
            for operation, value, _ in pickletools.genops(stream):
                if operation.name in ("GLOBAL", "INST"):
                    names[str(value)[:_LONGEST_NAME].replace(" ", ".")] = None
                elif operation.name == "STACK_GLOBAL":
                    names[".".join(texts[-2:])] = None
                elif isinstance(value, str):
                    texts = [*texts[-1:], value[:_LONGEST_NAME]]
    return list(names)


def _add_tensor(torch: Any, contents: Contents, name: str, value: Any) -> bool:
    if not isinstance(value, torch.Tensor):
        return False
    if odd := _name_odd(torch, value):
        contents.odd[name] = odd
    elif not value.is_floating_point():
        contents.counters[name] = str(value.dtype).removeprefix("torch.")
    else:
        contents.arrays[name] = lambda: _to_array(torch, name, value)
    return True


def _name_odd(torch: Any, value: Any) -> str:
    """What a tensor is that is no dense array of numbers; "" if it is one."""
    if value.is_quantized:
        return f"quantised ({str(value.dtype).removeprefix('torch.')})"
    if value.device.type == "meta":
        return "a tensor without its numbers (on the device 'meta')"
    return "" if value.layout == torch.strided else str(value.layout)


def _to_array(torch: Any, name: str, value: Any) -> np.ndarray:
    stored = value.untyped_storage().nbytes() // value.element_size()
    if value.numel() > stored:  # a stride of 0 repeats one number; a file may claim any size with it
        raise CheckpointError(f"{name} is said to have {value.numel():,} numbers, but the file holds {stored:,} of it")
    return value.detach().to(torch.float32).numpy()
