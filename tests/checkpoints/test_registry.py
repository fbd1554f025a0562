"""The contract of READERS: a reader names its files, and everything that needs files asks it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_config

from cct_viz import checkpoints
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import READERS, CheckpointError, Reader, cache, safetensors
from cct_viz.checkpoints.other_files import name_other

SAVED_MODEL = [
    "fingerprint.pb",
    "keras_metadata.pb",
    "saved_model.pb",
    "variables/variables.data-00000-of-00002",
    "variables/variables.data-00001-of-00002",
    "variables/variables.index",
]
# format -> the names of a complete checkpoint
COMPLETE = {
    "safetensors": ["config.json", "model.safetensors"],
    "pytorch_hub": ["config.json", "model.safetensors"],
    "keras_saved_model": SAVED_MODEL,
    "keras_archive": ["cct.keras"],
    "keras_weights": ["checkpoint.weights.h5"],
    "tf_checkpoint": ["ckpt.data-00000-of-00002", "ckpt.data-00001-of-00002", "ckpt.index"],
    "shi_labs": ["cct.pth"],
}
# format -> file -> what it must hold, where names do not tell formats apart
CONTENT = {"pytorch_hub": {"config.json": b'{"num_heads": 2}'}}
OTHER_FILES = ["README.md", "model.onnx", "notes/model.txt"]


def write_files(folder, names, content=None):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((content or {}).get(name, name.encode()))
    return folder


def entry_of(folder, monkeypatch):
    """The cache entry of a checkpoint; for a format that is converted first, as if it were not."""
    readers = {name: dataclasses.replace(reader, needs_conversion=False) for name, reader in READERS.items()}
    with monkeypatch.context() as patched:
        for name, reader in readers.items():
            patched.setitem(READERS, name, reader)
        return cache.entry(folder)


def test_every_reader_has_an_example():
    assert set(COMPLETE) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_reader_lists_its_files(name, tmp_path):
    reader, names = READERS[name], COMPLETE[name]
    assert sorted(reader.files([*OTHER_FILES, *names])) == sorted(names)
    assert reader.recognises(names)
    assert not reader.recognises(OTHER_FILES)
    assert reader.files(OTHER_FILES) == []
    assert checkpoints.detect(write_files(tmp_path, [*OTHER_FILES, *names], CONTENT.get(name))) == name


@pytest.mark.parametrize("name", READERS)
def test_the_last_file_completes_the_model(name):
    """A download that was cut short anywhere looks unfinished."""
    names = READERS[name].files(COMPLETE[name])
    assert [READERS[name].files(names[:n]) for n in range(len(names))] == [[]] * len(names)


@pytest.mark.parametrize("name", READERS)
def test_changed_byte_of_any_file_gives_another_cache_entry(name, tmp_path, cache_folder, monkeypatch):
    folder = write_files(tmp_path / "model", [*OTHER_FILES, *COMPLETE[name]], CONTENT.get(name))
    entries = {entry_of(folder, monkeypatch)}
    for file in COMPLETE[name]:
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(bytes([content[0] ^ 1]) + content[1:])
        entries.add(entry_of(folder, monkeypatch))
        (folder / file).write_bytes(content)
    assert len(entries) == 1 + len(COMPLETE[name])
    write_files(folder, ["another.txt"])
    (folder / "README.md").write_bytes(b"a new card")
    assert entry_of(folder, monkeypatch) in entries


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CCT_VIZ_CACHE", str(tmp_path / "cache"))


def test_new_reader_needs_only_its_entry(tmp_path, cache_folder, monkeypatch, capfd):
    """A format of two files whose names nothing else knows."""
    needed = ["shape.txt", "numbers.bin"]
    config = tiny_config()
    weights = {name: np.zeros(shape, np.float32) for name, shape in expected_shapes(config).items()}

    def read(folder, given):
        assert sorted(path.name for path in folder.iterdir()) == ["numbers.bin", "shape.txt"]
        return checkpoints.Checkpoint(config, weights, "fake")

    fake = Reader(
        description="shape.txt and numbers.bin",
        recognises=lambda names: "numbers.bin" in names,
        files=lambda names: needed if set(needed) <= set(names) else [],
        read=read,
    )
    monkeypatch.setitem(READERS, "fake", fake)
    one, two = (write_files(tmp_path / name, needed) for name in ("one", "two"))
    assert cache.entry(one) == cache.entry(two)
    (two / "numbers.bin").write_bytes(b"other numbers")
    assert cache.entry(one) != cache.entry(two)
    assert checkpoints.select_files(["README.md", "numbers.bin", "shape.txt"]) == needed
    assert checkpoints.detect(one) == "fake"
    assert checkpoints.read(one).format == "fake"
    (two / "shape.txt").unlink()
    with pytest.raises(CheckpointError, match=r"two is incomplete; expected shape\.txt and numbers\.bin"):
        checkpoints.read(two)
    with pytest.raises(CheckpointError, match=r"expected a folder with .*shape\.txt and numbers\.bin"):
        checkpoints.detect(tmp_path)

    def write(folder, out):  # a child process has the READERS of the package alone
        safetensors.write(out, checkpoints.read(folder).config, weights)

    monkeypatch.setattr(cache.child, "write", write)
    assert not cache.is_ready(one)
    ready = cache.own_folder(one)
    assert ready == cache.entry(one)
    assert cache.is_ready(one)
    assert not cache.is_ready(two)
    assert "Converting one" in capfd.readouterr().err


def test_a_complete_format_is_preferred_to_an_incomplete_one(tmp_path):
    folder = write_files(tmp_path, ["model.safetensors", *SAVED_MODEL])
    assert checkpoints.detect(folder) == "keras_saved_model"
    write_files(tmp_path, ["config.json"])
    assert checkpoints.detect(folder) == "safetensors"


def test_a_format_that_is_converted_first_is_not_downloaded_or_prepared(tmp_path, cache_folder, capfd):
    assert checkpoints.select_files(["cct.pth"]) == []
    folder = write_files(tmp_path / "model", ["cct.pth"])
    with pytest.raises(CheckpointError, match=r"cct\.pth has to be converted first: python -m"):
        cache.own_folder(folder)
    assert not cache.is_ready(folder)
    assert capfd.readouterr().err == ""


def test_files_deeper_than_any_format_are_not_listed(tmp_path):
    write_files(tmp_path, ["a/b/saved_model.pb", "a/saved_model.pb"])
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        checkpoints.detect(Path(tmp_path))


OTHERS = {
    "empty": (b"", r"is empty \(0 bytes\): download or save it again"),
    "LFS": (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer, not the file itself: run 'git lfs"),
    "page": (b"\n <!DOCTYPE html>", "is a web page, not a file of weights: download the file itself"),
    "gzip": (b"\x1f\x8b\x08", "is a gzip archive: unpack it first"),
    "zip": (b"PK\x03\x04", "is a zip archive that is cut off or holds no model: download it again, or unpack it first"),
    "tar": (b"model.h5".ljust(257, b"\0") + b"ustar\x0000", "is a tar archive: unpack it first"),
    "JSON": (b'{"a": 1}', "is a JSON file, not a file of weights: give the file or folder that it describes"),
    "unknown": (b"\0\1\2", "is a file of no known format; expected a folder with"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_file_of_another_kind_is_named(tmp_path, case):
    content, message = OTHERS[case]
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^model {message}"):
        checkpoints.read(tmp_path / "model")


def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path):
    assert name_other(tmp_path) == "a file that cannot be read (Is a directory)"
    assert name_other(tmp_path / "gone") == "a file that cannot be read (No such file or directory)"


@pytest.mark.parametrize("error", [IndexError("list index out of range"), RecursionError(), ValueError(7)])
def test_what_a_reader_did_not_foresee_is_one_sentence(monkeypatch, tmp_path, error):
    def fail(path, given):
        raise error

    def look(path):
        raise error

    fake = Reader("x.bin", lambda names: "x.bin" in names, lambda names: ["x.bin"] if "x.bin" in names else [], fail)
    monkeypatch.setitem(READERS, "fake", fake)
    folder = write_files(tmp_path / "odd", ["x.bin"])
    with pytest.raises(
        CheckpointError, match=f"^odd is damaged, or of a form that was never seen .{type(error).__name__}"
    ):
        checkpoints.read(folder)
    monkeypatch.setitem(READERS, "fake", dataclasses.replace(fake, holds=look))
    (tmp_path / "unknown").write_bytes(b"?")
    with pytest.raises(CheckpointError, match="unknown is a file of no known format"):
        checkpoints.detect(tmp_path / "unknown")


def test_a_message_that_quotes_a_file_stays_one_printable_line():
    """Names in a file may be long, and may hold codes that a terminal obeys."""
    text = str(CheckpointError("the layer \x1b[31mred\n" + "x" * 200_000 + " is unknown"))
    assert text.startswith(r"the layer \x1b[31mred\nxxx")
    assert text.endswith("xxx is unknown")
    assert text.isprintable()
    assert 590 < len(text) <= 600
    assert str(CheckpointError("a short one: ü")) == "a short one: ü"
