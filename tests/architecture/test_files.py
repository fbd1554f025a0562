"""sha256 and atomic replacement of files."""

import hashlib

import pytest

from cct_viz.architecture.files import replace_file, sha256


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
