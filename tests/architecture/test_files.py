"""sha256 and atomic replacement of files."""

import hashlib
import os
from pathlib import Path

import pytest

from cct_viz.architecture.files import check_file, check_folder, replace_file, sha256


def test_sha256_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()


def test_replace_file_writes_the_content_and_leaves_no_temporary_file(tmp_path):
    path = tmp_path / "state.weights.h5"
    for text in ("old", "new"):
        replace_file(path, lambda temporary, text=text: temporary.write_text(text))
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")

    def fail(temporary):
        assert temporary.name.endswith(path.name)  # some writers choose the format by the suffix
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_others_can_read_what_a_writer_kept_to_its_owner(tmp_path):
    """As safetensors does: a server that runs as another user could not open the weights."""
    (tmp_path / "usual").touch()

    def write(temporary):
        temporary.unlink()
        temporary.touch(mode=0o600)

    replace_file(tmp_path / "kept", write)
    assert (tmp_path / "kept").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").touch()
    for path in (tmp_path / "new", tmp_path / "old", Path("new")):
        check_file(path)
    for path in (tmp_path, tmp_path / "a" / "b", Path("a"), Path()):
        check_folder(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_what_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "old").touch()
    for check, path, error, named in (
        (check_file, tmp_path, IsADirectoryError, tmp_path),
        (check_file, tmp_path / "none" / "new", FileNotFoundError, tmp_path / "none"),
        (check_file, tmp_path / "old" / "new", NotADirectoryError, tmp_path / "old"),
        (check_folder, tmp_path / "old" / "a" / "b", NotADirectoryError, tmp_path / "old"),
    ):
        with pytest.raises(error) as caught:
            check(path)
        assert caught.value.filename == str(named)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    for check, path in ((check_file, tmp_path / "old"), (check_file, tmp_path / "new"), (check_folder, tmp_path / "a")):
        with pytest.raises(PermissionError):
            check(path)
