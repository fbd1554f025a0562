"""Files of other programs are read in a child process: nothing in them can end, fill or hold up this one.

The child's memory and processor time are limited in proportion to the files, its wall time by DEADLINE. A crash of a
library, a file that unpacks to gigabytes and one that keeps a reader busy without end become one sentence each. Some
formats need TensorFlow or PyTorch, whose memory is freed with the child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from .. import checkpoints
from ..architecture.config import ConfigError
from . import Checkpoint, CheckpointError, CheckpointWarning, registry, safetensors
from .given import NOTHING, Given

DEADLINE = 600.0  # seconds for everything, on a busy machine too; the limit of processor time comes first
# Beyond its libraries a reader gets FACTOR times its files: float16 doubles, and is copied on the way out.
SPARE, FACTOR = 200 << 20, 6
# 100 MB take 3 s on a slow core. A limit of processor time does not depend on what else the machine does.
SECONDS, BYTES_A_SECOND = 15, 4 << 20
ANSWER = "answer.json"
# -P: a keras.py in the current folder must not be taken for Keras
COMMAND = ("-P", "-m", "cct_viz.checkpoints.child")
# Each thread of a library reserves memory, as many as there are cores; reading needs none.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTEROP_THREADS")


def read(path: Path, given: Given = NOTHING) -> Checkpoint:
    """As `registry.read`, in a child process for every format but this project's own.

    Raises:
        CheckpointError: as `registry.read`; or the child crashed, or needed too much memory or time.
        ConfigError: answers that do not fit the file, or that its format has no use for.

    Warns:
        CheckpointWarning: as the format's reader.
    """
    if checkpoints.detect(path) == safetensors.FORMAT:
        return checkpoints.read(path, given)
    registry.check_answers(path, given)
    with tempfile.TemporaryDirectory(prefix="cct_viz_") as scratch:
        out = Path(scratch) / "out"
        format, notes = write(path, out, given)
        for note in notes:
            warnings.warn(note, CheckpointWarning, stacklevel=2)
        return dataclasses.replace(safetensors.read(out), format=format)


def write(path: Path, out: Path, given: Given = NOTHING) -> tuple[str, list[str]]:
    """Read a checkpoint in a child process and write it to the folder `out` in this project's format.

    Returns:
        The name in READERS of the format, and the texts of the reader's warnings.

    Raises:
        CheckpointError, ConfigError: as `read`.
    """
    with tempfile.TemporaryDirectory(prefix="cct_viz_") as scratch:
        answer = Path(scratch) / ANSWER
        status, errors = _run([str(path), str(out), str(answer)], json.dumps(dataclasses.asdict(given)), path.name)
        if not answer.is_file():
            raise CheckpointError(_explain_end(path.name, status, errors))
        said = json.loads(answer.read_text(encoding="utf-8"))
    if message := said.get("config_error"):
        raise ConfigError(message)
    if message := said.get("error"):
        raise CheckpointError(message)
    return said["format"], said["notes"]


def _run(arguments: list[str], given: str, name: str) -> tuple[int, str]:
    package_root = str(Path(__file__).resolve().parents[2])
    environment = (
        os.environ
        | dict.fromkeys(_ONE_THREAD, "1")
        | {
            "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
        }
    )
    try:
        child = subprocess.run(
            [sys.executable, *COMMAND, *arguments],
            env=environment,
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"reading {name} took longer than {DEADLINE:.0f} s and was stopped") from None
    return child.returncode, child.stderr


def _explain_end(name: str, status: int, errors: str) -> str:
    """What to say of a child that ended without an answer."""
    if hasattr(signal, "SIGXCPU") and status == -signal.SIGXCPU:
        return f"reading {name} took far longer than a file of its size needs, and was stopped; download it again"
    if hasattr(signal, "SIGKILL") and status == -signal.SIGKILL:
        return f"the process that read {name} stopped unexpectedly, possibly out of memory; free some and try again"
    if status < 0:
        return f"{name} is damaged: its reader crashed ({signal.Signals(-status).name}); download it again"
    last = (errors.strip().splitlines() or ["no message"])[-1]
    return f"reading {name} failed (status {status}): {last}"


def main() -> None:
    """Read the checkpoint argv[1] to the folder argv[2], with the answers on stdin, and write the result to argv[3]."""
    path, out, answer = map(Path, sys.argv[1:4])
    given = json.loads(sys.stdin.read())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        said = _answer(path, out, Given(**{name: _to_tuple(value) for name, value in given.items()}))
    said["notes"] = [str(warning.message) for warning in caught if issubclass(warning.category, CheckpointWarning)]
    answer.write_text(json.dumps(said), encoding="utf-8")


def _answer(path: Path, out: Path, given: Given) -> dict[str, Any]:
    try:
        _limit(path)
        checkpoint = checkpoints.read(path, given)
        safetensors.write(out, checkpoint.config, checkpoint.weights)
    except CheckpointError as error:
        return {"error": str(error)}
    except ConfigError as error:
        return {"config_error": str(error)}
    except ModuleNotFoundError as error:
        remedy = "install it, or convert the file elsewhere"
        return {"error": f"reading {path.name} needs {error.name}, which is not installed; {remedy}"}
    except OSError as error:
        return {"error": f"{path.name} cannot be read: {error.strerror or error}"}
    return {"format": checkpoint.format}


def _to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _limit(path: Path) -> None:
    """Limit memory and processor time from here on. Linux does both, macOS the second, Windows neither."""
    reader, size = registry.reader_and_size(path)
    for library in reader.libraries(path):  # which take memory of their own
        with contextlib.suppress(ImportError):  # the reader says what is missing
            importlib.import_module(library)
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS + size // BYTES_A_SECOND
    limits = {resource.RLIMIT_CPU: seconds, resource.RLIMIT_CORE: 0}
    if (data := _data()) is not None:
        limits[resource.RLIMIT_DATA] = data + SPARE + FACTOR * size
    for kind, limit in limits.items():
        _, most = resource.getrlimit(kind)
        if most == resource.RLIM_INFINITY or limit < most:
            resource.setrlimit(kind, (limit, most))


def _data() -> int | None:
    """The bytes that RLIMIT_DATA counts, as Linux says them."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"^VmData:\s+(\d+) kB$", status, re.MULTILINE)
    return int(match[1]) << 10 if match else None


if __name__ == "__main__":
    main()
