"""A checkpoint folder in any format -> the same weights ready to serve: config.json, model.safetensors, model.onnx.

Reading a foreign checkpoint and exporting the graph need TensorFlow. They run in a child process, whose memory comes
back, whose deadline is kept by ending it, and whose crash costs a message. The result is kept in the cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .. import checkpoints
from . import CheckpointError

DEADLINE = 180.0  # seconds for reading and exporting; the largest preset takes 26 on two cores
VERSION = "2"  # raise when the exported graph changes, so that older cached ones are left behind
_FILES, _SUMS = ("config.json", "model.safetensors", "model.onnx"), "sha256.json"
_REFUSED = 3  # exit status of the child when the checkpoint itself is at fault


def cache_dir() -> Path:
    """Where prepared folders are kept: $CCT_VIZ_CACHE, else $XDG_CACHE_HOME/cct_viz, else ~/.cache/cct_viz.

    A folder in the temp directory stands in where that cannot be written.
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or tempfile.gettempdir()) / ".cache"
    wanted = Path(os.environ.get("CCT_VIZ_CACHE") or Path(home) / "cct_viz")
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if os.access(wanted, os.W_OK):
            return wanted
    except OSError:
        pass  # read-only or missing home: the cache then lives as long as the machine's temp folder
    fallback = Path(tempfile.gettempdir()) / f"cct_viz_{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    fallback.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (fallback.is_symlink() or fallback.stat().st_uid != os.getuid()):
        raise CheckpointError(f"{fallback} belongs to somebody else; set CCT_VIZ_CACHE to a folder of your own")
    return fallback


def sha256(path: Path) -> str:
    """The hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cached_export(folder: str | Path, *, deadline: float = DEADLINE) -> Path:
    """The cached, ready-to-serve form of the checkpoint in `folder`, made on first use, which a line on stderr says.

    Raises:
        CheckpointError: the checkpoint is damaged or of no known format, or reading it took longer than `deadline`
            seconds.
    """
    folder = Path(folder).resolve()
    checkpoints.detect(folder)
    ready = cache_dir() / _fingerprint(folder)[:32]
    if not _is_whole(ready):
        shutil.rmtree(ready, ignore_errors=True)
        print(f"Preparing {folder.name}, once on this machine ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=ready.parent, prefix="partial_") as scratch:
            out = Path(scratch) / "out"
            _run_child(folder, out, deadline)
            (out / _SUMS).write_text(json.dumps({name: sha256(out / name) for name in _FILES}))
            try:
                os.replace(out, ready)
            except OSError:
                if not _is_whole(ready):  # another process may have finished the same folder first
                    raise
    return ready


def is_cached(folder: str | Path) -> bool:
    """Whether `cached_export` has done its work on this checkpoint before, on this machine."""
    return _is_whole(cache_dir() / _fingerprint(Path(folder).resolve())[:32])


def _is_whole(ready: Path) -> bool:
    """Whether a prepared folder holds what was written to it: a disk may have been full, or a file cut since."""
    try:
        return json.loads((ready / _SUMS).read_text()) == {name: sha256(ready / name) for name in _FILES}
    except (OSError, ValueError):
        return False


def export_here(folder: str | Path, *, deadline: float = DEADLINE) -> None:
    """Write model.onnx beside the config.json and model.safetensors of `folder`, from nothing but those two.

    Raises:
        CheckpointError: as `cached_export`.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix="partial_") as scratch:
        _run_child(folder, Path(scratch) / "out", deadline)
        os.replace(Path(scratch) / "out" / "model.onnx", folder / "model.onnx")


def _fingerprint(folder: Path) -> str:
    """A digest of every file a reader may look at, by name and content."""
    digest = hashlib.sha256(VERSION.encode())
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        of_ours = relative in ("config.json", "model.safetensors")
        if path.is_file() and (of_ours or relative.endswith(".pb") or relative.startswith("variables/")):
            digest.update(f"\n{relative} {sha256(path)}".encode())
    return digest.hexdigest()


def _run_child(folder: Path, out: Path, deadline: float) -> None:
    package_root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")])),
    }
    try:
        child = subprocess.run(
            # -P: a keras.py in the current folder must not be taken for Keras
            [sys.executable, "-P", "-m", "cct_viz.checkpoints.cache", str(folder), str(out)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(f"reading {folder.name} took longer than {deadline:.0f} s and was ended") from None
    if child.returncode == _REFUSED:
        raise CheckpointError(child.stdout.strip())
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise CheckpointError(f"reading {folder.name} failed (status {child.returncode}): {last}")


def _main(folder: Path, out: Path) -> int:
    from . import safetensors

    try:
        checkpoint = checkpoints.read(folder)
    except CheckpointError as error:
        print(error)
        return _REFUSED
    safetensors.write(out, checkpoint.config, checkpoint.weights)
    from ..architecture.keras_model import build_model
    from ..architecture.onnx_export import export_onnx

    model = build_model(checkpoint.config)
    checkpoints.assign(model, checkpoint.weights)
    export_onnx(model, out / "model.onnx")
    if (folder / "README.md").is_file():
        shutil.copy(folder / "README.md", out / "README.md")
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), Path(sys.argv[2])))
