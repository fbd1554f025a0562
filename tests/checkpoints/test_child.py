"""A file that crashes, fills or holds up its reader costs a sentence, not the process that asked for it."""

import sys

import pytest

from cct_viz.checkpoints import CheckpointError, child

READER = """
import os
from cct_viz.checkpoints import READERS, Reader, child
def read(path, given):
    {body}
READERS["fake"] = Reader("x.bin", lambda names: False, lambda names: [], read, holds=lambda path: True)
child.SECONDS = 1
child.main()
"""
ENDS = {
    "crash": ("os.abort()", r"^a\.bin is damaged: its reader crashed \(SIGABRT\); download it again$"),
    "memory": (
        "[bytearray(1 << 26) for _ in range(16)]",
        r"^a\.bin needs far more memory than a file of its size should",
    ),
    "no end": ("while True: pass", r"^reading a\.bin took far longer than a file of its size needs, and was stopped"),
    "exit": ("os._exit(7)", r"^reading a\.bin failed \(status 7\): no message$"),
    "unforeseen": ("os.stat(None)", r"^a\.bin is damaged, or of a form that was never seen \(TypeError\)$"),
    "library": ("import not_there", r"^reading a\.bin needs not_there, which is not installed; install it, or convert"),
    "disk": ("raise OSError(5, 'Input/output error')", r"^a\.bin cannot be read: Input/output error$"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory")
@pytest.mark.parametrize("end", ENDS)
def test_whatever_a_file_does_to_its_reader_is_one_sentence(end, tmp_path, monkeypatch):
    body, message = ENDS[end]
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    monkeypatch.setattr(child, "COMMAND", ("-c", READER.format(body=body)))
    monkeypatch.setattr(child.registry, "check_answers", lambda path, given: None)
    monkeypatch.setattr(child.checkpoints, "detect", lambda path: "fake")
    with pytest.raises(CheckpointError, match=message):
        child.read(tmp_path / "a.bin")


def test_a_reader_that_waits_is_stopped_at_the_deadline(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "DEADLINE", 0.05)
    monkeypatch.setattr(child, "COMMAND", ("-c", "import time; time.sleep(60)"))
    with pytest.raises(CheckpointError, match=r"^reading a\.bin took longer than 0 s and was stopped$"):
        child.write(tmp_path / "a.bin", tmp_path / "out")
