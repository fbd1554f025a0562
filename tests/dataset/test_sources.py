"""Which pictures a data set has, in which order, and what is wrong with those that cannot be read."""

import dataclasses
import functools
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import textwrap
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from cct_viz.dataset import chunks, sources
from cct_viz.dataset.sources import digest_listing, list_chunks

pytest_plugins = ["fake_hub"]


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = [picture(seed) for seed in range(5)]


def read(found):
    """All items of all chunks, after a journey to another process."""
    return [item for chunk in pickle.loads(pickle.dumps(found)) for item in chunk.read()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for module in ("sources", "tars", "tables"):
        monkeypatch.setattr(f"cct_viz.dataset.{module}.CHUNK", 2)
    root = tmp_path / "photos"
    for name, data in zip(("b.png", "a cat/1.png", "a cat/2.png", ".hidden.png", "Thumbs.db"), PICTURES, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_a_folder_is_its_files_by_name(folder):
    found = list_chunks(str(folder))
    items = read(found)
    assert [len(chunk) for chunk in found] == [2, 2]
    assert [item.name for item in items] == ["Thumbs.db", "a cat/1.png", "a cat/2.png", "b.png"]
    assert [item.label for item in items] == ["photos", "a cat", "a cat", "photos"]  # the model knows which are classes
    assert items[3].data == PICTURES[0]


def test_a_data_set_on_the_hub_is_read_through_its_address(folder, fake_hub):
    """In a process of its own, because the client reads where the Hub is when it is imported."""
    fake_hub.serve(folder, "owner/photos")
    fake_hub.may_be_told_who = True  # private data sets need it
    code = """
        import hashlib
        from cct_viz.dataset.sources import list_chunks
        for chunk in list_chunks("hf://datasets/owner/photos/*/*.png"):
            for item in chunk.read():
                print(item.name, item.label, hashlib.sha256(item.data).hexdigest(), sep=";")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    digests = [hashlib.sha256(data).hexdigest() for data in PICTURES[1:3]]
    assert done.stdout.splitlines() == [f"a cat/{n}.png;a cat;{digest}" for n, digest in enumerate(digests, 1)]


def test_a_pattern_and_an_address_mean_the_same(folder):
    assert [item.name for item in read(list_chunks(f"{folder}/*/*.png"))] == ["a cat/1.png", "a cat/2.png"]
    assert [item.name for item in read(list_chunks(f"{folder}/b.png"))] == ["b.png"]
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in folder.rglob("*.png"):
        memory.pipe(f"/photos/{path.relative_to(folder)}", path.read_bytes())
    items = read(list_chunks("memory://photos"))
    assert [item.name for item in items] == ["a cat/1.png", "a cat/2.png", "b.png"]
    assert items[0].data == PICTURES[1]


def test_nothing_to_read_and_unknown_addresses_are_said(tmp_path):
    for source, words in ((str(tmp_path / "none"), "has no files"), ("nowhere://x", "cannot be read")):
        with pytest.raises(ValueError, match=words):
            list_chunks(source)


def test_files_that_vanish_or_are_no_files_do_not_stop_the_others(folder, monkeypatch):
    os.mkfifo(folder / "pipe.png")  # reading it would wait for ever
    (folder / "z.png").symlink_to(folder / "b.png")
    (folder / "broken.png").symlink_to("nowhere")
    (folder / "a cat" / "2.png").write_bytes(PICTURES[2] + bytes(1000))
    monkeypatch.setattr(chunks, "MAX_BYTES", len(PICTURES[2]) + 999)
    found = list_chunks(str(folder))
    (folder / "a cat" / "1.png").unlink()
    problems = {item.name: item.problem for item in read(found) if item.data is None}
    assert "No such file" in problems["a cat/1.png"]
    assert "No such file" in problems["broken.png"]
    assert "at most" in problems["a cat/2.png"]
    assert "pipe.png" not in [item.name for item in read(found)]
    assert "z.png" in [item.name for item in read(found)]


@dataclasses.dataclass
class Away:
    """A file system that answers with an error; `there`: to files only."""

    error: Exception
    there: bool = False

    def open(self, path, mode):
        raise self.error

    cat_file = functools.partialmethod(open, "rb")

    def exists(self, path):
        return self.there


def test_what_may_pass_stops_and_what_stays_is_a_problem_of_one_picture(folder):
    (chunk, *_) = list_chunks(str(folder))

    def problems(error, there):
        return [item.problem for item in chunks.read_chunk(dataclasses.replace(chunk, fs=Away(error, there)))]

    assert all("It cannot be read" in text for text in problems(PermissionError(13, "Permission denied"), True))
    assert all("damaged in its archive" in text for text in problems(zipfile.BadZipFile("Bad CRC-32"), True))
    for error in (FileNotFoundError(), PermissionError(), TimeoutError()):  # the share is away, the login has ended
        with pytest.raises(type(error)):
            problems(error, False)
    with pytest.raises(OSError, match="cannot be read now: no connection"):
        problems(RuntimeError("no connection"), True)


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def test_members_of_one_name_are_two_pictures(folder):
    with tarfile.open(folder / "twice.tar", "w") as tar:
        for data in PICTURES[:2]:
            add(tar, "a.png", data)
    items = read(list_chunks(str(folder / "twice.tar")))
    assert [item.data for item in items] == PICTURES[:2]
    names = [item.name for item in items]
    assert names[1] == f"{names[0]} (2)"
    (chunk,) = list_chunks(str(folder / "twice.tar"))
    assert [item.data for item in chunks.read_chunk(chunk, {names[1]})] == [PICTURES[1]]


def test_a_tar_of_webdataset_gives_its_pictures_with_their_classes(folder):
    packed = folder / "packed"
    packed.mkdir()
    with tarfile.open(packed / "0.tar", "w") as tar:
        for i, data in enumerate(PICTURES[:3]):
            add(tar, f"{i}.png", data)
            add(tar, f"{i}.json", b"{}")
            add(tar, f"{i}.cls", [b"7", b"a_cat\n", b""][i])
        add(tar, "._3.png", b"left by a Mac")
    whole = (packed / "0.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        third = tar.getmember("2.png").offset_data
    (packed / "1.tar").write_bytes(whole[: third - 512 + 100])  # cut within a header
    (packed / "2.tar").write_bytes(b"no tar")
    (packed / "3.tar.gz").write_bytes(b"")
    (packed / "README.md").write_text("not a picture")
    items = read(list_chunks(str(packed)))
    good = [(item.name, item.label) for item in items if item.data]
    assert good[:3] == [("0.tar/0.png", 7), ("0.tar/1.png", "a_cat"), ("0.tar/2.png", None)]
    assert [item.data for item in items if item.data][:3] == PICTURES[:3]
    assert [name for name, _ in good[3:]] == ["1.tar/0.png", "1.tar/1.png"]
    problems = {item.name: item.problem for item in items if not item.data}
    assert list(problems) == ["1.tar", "2.tar", "3.tar.gz"]
    assert "ends too early, behind 2 pictures" in problems["1.tar"]
    assert "behind 0 pictures" in problems["2.tar"]
    assert "unpack" in problems["3.tar.gz"]


@pytest.mark.parquet
def test_rows_of_parquet_give_their_pictures_with_their_classes(folder):
    pa = pytest.importorskip("pyarrow", reason="pyarrow is missing; get it with: pip install pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    packed = folder / "packed"
    packed.mkdir()
    features = {"label": {"_type": "ClassLabel", "names": ["dog", "cat"]}, "img": {"_type": "Image"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    kinds = [("thumb", pa.binary()), ("img", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    rows = [{"thumb": b"x", "img": {"bytes": data, "path": None}, "label": i % 3} for i, data in enumerate(PICTURES)]
    rows[3]["img"] = None
    table = pa.Table.from_pylist(rows, pa.schema([*kinds, ("label", pa.int64())], metadata))
    pq.write_table(table, packed / "0.parquet", row_group_size=3)
    pq.write_table(pa.table({"jpg": PICTURES[:1], "label": ["cat"]}), packed / "1.parquet")
    pq.write_table(pa.table({"text": ["x"]}), packed / "2.parquet")
    (packed / "3.parquet").write_bytes(b"PAR1")
    found = list_chunks(str(packed))
    assert [len(chunk) for chunk in found] == [2, 2, 1, 1, 1, 1]
    items = read(found)
    assert [item.name for item in items[:5]] == [f"0.parquet#{row}" for row in range(5)]
    assert [item.data for item in items[:5]] == [*PICTURES[:3], None, PICTURES[4]]
    assert [item.label for item in items[:5]] == ["dog", "cat", None, None, "cat"]  # 2 is no class of the file
    assert (items[5].data, items[5].label) == (PICTURES[0], "cat")
    assert "no bytes" in items[3].problem
    assert "no column of pictures" in items[6].problem
    assert "no Parquet" in items[7].problem
    content = bytearray((packed / "0.parquet").read_bytes())
    content[8:200] = bytes(192)  # within the pages of the first rows
    (packed / "0.parquet").write_bytes(content)
    damaged = read(list_chunks(f"{packed}/0.parquet"))
    assert [item.name for item in damaged] == [f"0.parquet#{row}" for row in range(5)]
    assert "cannot be read" in damaged[0].problem
    assert "cannot be read" in damaged[2].problem
    assert damaged[4].data == PICTURES[4]  # its row group is whole
    with pytest.raises(TimeoutError):  # of a network, as fsspec has it: no damage
        read([dataclasses.replace(found[0], fs=Away(TimeoutError()))])


def test_a_listing_changes_with_names_and_sizes(folder):
    before = digest_listing(list_chunks(str(folder)))
    assert digest_listing(list_chunks(str(folder))) == before
    (folder / "b.png").write_bytes(PICTURES[1] + b"more")
    changed = digest_listing(list_chunks(str(folder)))
    (folder / "c.png").write_bytes(PICTURES[1])
    assert len({before, changed, digest_listing(list_chunks(str(folder)))}) == 3


def test_chunks_are_as_large_as_their_module_says():
    assert sources.CHUNK == chunks.CHUNK
