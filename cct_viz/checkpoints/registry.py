"""READERS: every supported checkpoint format. This is the only file that lists formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from ..architecture.config import ConfigError
from . import pytorch, safetensors, saved_model
from .common import Checkpoint, CheckpointError
from .given import NOTHING, Given
from .keras_files import archive, tf_checkpoint, weights_file
from .other_files import name_other
from .pytorch import hub_mixin

OF_ANY_FILE = frozenset({"labels", "scale", "mean", "std"})  # `given.complete` puts them into any configuration
OF_KERAS = OF_ANY_FILE | {"image_size", "activation", "epsilon"}


def _holds_nothing(path: Path) -> bool:
    return False


def _itself(path: Path) -> list[str]:
    return [path.name]


def _claims_all(folder: Path) -> bool:
    return True


def _accepts_all(given: Given) -> None:
    pass


def _numpy_alone(path: Path) -> tuple[str, ...]:
    return ()


def _only(*libraries: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda path: libraries


@dataclass(frozen=True)
class Reader:
    """One checkpoint format. Names of files are relative to the checkpoint's folder, with "/" between their parts.

    Attributes:
        description: the files of the format, for error messages that say what is expected.
        recognises: whether files of these names look like this format, even if some are missing.
        files: the names that make up a model, in download order: the last one completes it. [] if some are missing.
        read: the checkpoint at a path, a folder or a single file, with the user's answers.
        beside: the names of the files, in their folder, that make up the model of a single file.
        holds: whether a single file is in this format, by its content; names say nothing.
        claims: whether a folder whose files have the right names is in this format, by their content.
        accepts: the answers of `Given` that make sense for the format, all of which `read` heeds.
        check: refuses answers that no file can fit, before a file is read.
        libraries: the modules that it imports to read a path, besides NumPy.
        needs_conversion: whether `load` refuses the format, because too much has to be assumed or installed.
    """

    description: str
    recognises: Callable[[Collection[str]], bool]
    files: Callable[[Collection[str]], list[str]]
    read: Callable[[Path, Given], Checkpoint]
    holds: Callable[[Path], bool] = _holds_nothing
    beside: Callable[[Path], list[str]] = _itself
    claims: Callable[[Path], bool] = _claims_all
    accepts: frozenset[str] = frozenset()
    check: Callable[[Given], None] = _accepts_all
    libraries: Callable[[Path], tuple[str, ...]] = _numpy_alone
    needs_conversion: bool = False


# In order of preference, where a folder holds more than one format.
READERS: dict[str, Reader] = {
    safetensors.FORMAT: Reader(
        "config.json and model.safetensors",
        safetensors.recognises,
        safetensors.files,
        safetensors.read,
        claims=lambda folder: not hub_mixin.claims(folder),
        accepts=OF_ANY_FILE,
    ),
    hub_mixin.FORMAT: Reader(
        "config.json and model.safetensors of PyTorch's hub mixin",
        hub_mixin.recognises,
        hub_mixin.files,
        hub_mixin.read,
        claims=hub_mixin.claims,
        accepts=OF_ANY_FILE | pytorch.ANSWERS,
        check=pytorch.check,
    ),
    saved_model.FORMAT: Reader(
        "saved_model.pb and variables/ (a TensorFlow SavedModel)",
        saved_model.recognises,
        saved_model.files,
        saved_model.read,
        accepts=OF_ANY_FILE,
        libraries=_only("tensorflow"),
    ),
    archive.FORMAT: Reader(
        "a .keras file",
        archive.recognises,
        archive.files,
        archive.read,
        holds=archive.holds,
        accepts=OF_KERAS,
        libraries=_only("h5py"),
    ),
    weights_file.FORMAT: Reader(
        "a .weights.h5 or .h5 file (Keras)",
        weights_file.recognises,
        weights_file.files,
        weights_file.read,
        holds=weights_file.holds,
        beside=weights_file.files_beside,
        accepts=OF_KERAS,
        libraries=_only("h5py"),
    ),
    tf_checkpoint.FORMAT: Reader(
        "a checkpoint's .index and .data files (TensorFlow)",
        tf_checkpoint.recognises,
        tf_checkpoint.files,
        tf_checkpoint.read,
        holds=tf_checkpoint.holds,
        beside=tf_checkpoint.files_beside,
        accepts=OF_KERAS,
        libraries=_only("tensorflow"),
    ),
    pytorch.FORMAT: Reader(
        "a .pth, .pt, .ckpt, .bin or .safetensors file (PyTorch)",
        pytorch.recognises,
        pytorch.files,
        pytorch.read,
        holds=pytorch.holds,
        accepts=OF_ANY_FILE | pytorch.ANSWERS,
        check=pytorch.check,
        libraries=pytorch.libraries,
        needs_conversion=True,
    ),
}


def detect(path: str | Path) -> str:
    """The name in READERS of the format that `path` is in: the first that is complete, else the first that is not.

    A single file is recognised by its content.

    Raises:
        CheckpointError: the path does not exist, or its format is not supported.
    """
    path = Path(path)
    if path.is_file():
        for name, reader in READERS.items():
            if _holds(reader, path):
                return name
    names = _list_files(path) if path.is_dir() else []
    complete = [name for name, reader in READERS.items() if reader.files(names) and reader.claims(path)]
    incomplete = [name for name, reader in READERS.items() if reader.recognises(names)]
    for name in complete + incomplete:
        return name
    if path.is_file() and (other := name_other(path)):
        raise CheckpointError(f"{path.name} is {other}")
    state = "not a checkpoint" if path.is_dir() else "a file of no known format" if path.exists() else "missing"
    *others, last = (reader.description for reader in READERS.values())
    raise CheckpointError(f"{path.name} is {state}; expected a folder with {', '.join(others)}, or {last}")


def _holds(reader: Reader, path: Path) -> bool:
    """Whether a file is in the reader's format; not if it is too damaged to tell."""
    try:
        return reader.holds(path)
    except OSError:
        raise
    except Exception:
        return False


def model_files(path: str | Path) -> list[str]:
    """The files that `read` reads, relative to the folder, the one that completes the model last.

    Raises:
        CheckpointError: as `detect`, or files are missing, or the format has to be converted first.
    """
    path = Path(path)
    reader = READERS[detect(path)]
    files = _files_of(reader, path)
    if reader.needs_conversion:
        raise CheckpointError(
            f"{files[-1]} has to be converted first: python -m cct_viz convert {files[-1]} --out DIR, then load DIR"
        )
    return files


def select_files(names: Collection[str]) -> list[str]:
    """The files of `names` that make up a model that `read` reads, the one that completes it last; [] without one."""
    selections = [reader.files(names) for reader in READERS.values() if not reader.needs_conversion]
    return next(filter(None, selections), [])


def read(path: str | Path, given: Given = NOTHING) -> Checkpoint:
    """Read the checkpoint at `path`, whichever format it is in, also one that `load` wants converted.

    Raises:
        CheckpointError: as `detect`; files are missing or damaged, or weights do not fit their configuration.
        ConfigError: answers that do not fit the file, or that its format has no use for.
    """
    path = Path(path)
    reader = check_answers(path, given)
    if path.is_dir():
        _files_of(reader, path)
    try:
        return reader.read(path, given)
    except (CheckpointError, ConfigError, OSError, ImportError):
        raise
    except MemoryError as error:
        raise CheckpointError(
            f"{path.name} needs far more memory than a file of its size should; download it again"
        ) from error
    except Exception as error:  # the file may be anyone's: what its reader did not foresee gets one sentence too
        kind = type(error).__name__
        raise CheckpointError(f"{path.name} is damaged, or of a form that was never seen ({kind})") from error


def check_answers(path: Path, given: Given) -> Reader:
    """The reader of the checkpoint at `path`, if the answers make sense for it; no array is read.

    Raises:
        CheckpointError: as `detect`.
        ConfigError: answers that the format has no use for, or that no file can fit.
    """
    reader = READERS[detect(path)]
    if useless := [name for name in given.names if name not in reader.accepts]:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in useless)
        raise ConfigError(f"{path.name} says this itself: leave out {options}")
    reader.check(given)
    return reader


def reader_and_size(path: Path) -> tuple[Reader, int]:
    """The reader of the checkpoint at `path`, and the bytes of the files that it reads.

    Raises:
        CheckpointError: as `detect`, or files are missing.
    """
    reader = READERS[detect(path)]
    folder = path if path.is_dir() else path.parent
    return reader, sum((folder / name).stat().st_size for name in _files_of(reader, path))


def _files_of(reader: Reader, path: Path) -> list[str]:
    files = reader.files(_list_files(path)) if path.is_dir() else reader.beside(path)
    if not files:
        raise CheckpointError(f"{path.name} is incomplete; expected {reader.description}")
    return files


def _list_files(path: Path) -> list[str]:
    """The files in a folder and its direct subfolders; no format needs more."""
    files = [file for pattern in ("*", "*/*") for file in path.glob(pattern) if os.path.isfile(file)]
    return sorted(file.relative_to(path).as_posix() for file in files)
