"""Visitors' pictures: decoded once for their file's life, one at a time."""

import threading

import pytest
from PIL import Image

from cct_viz.app import pictures as module
from cct_viz.app.pictures import MAX_PICTURES, Pictures
from cct_viz.images.decode import ImageError, read_picture


class Model:
    def preprocess(self, picture):
        return picture


MODEL = Model()


@pytest.fixture
def decoded(monkeypatch):
    """The images that were decoded."""
    calls = []

    def read(image):
        calls.append(image)
        return read_picture(image)

    monkeypatch.setattr(module, "read_picture", read)
    return calls


def make(folder, name="a.png", colour="red"):
    Image.new("RGB", (4, 3), colour).save(folder / name)
    return folder / name


def test_a_file_is_decoded_once(tmp_path, decoded):
    pictures, path = Pictures(), make(tmp_path)
    first = pictures.prepare(MODEL, str(path))
    assert pictures.prepare(MODEL, str(path)) is first
    pictures.prepare(Model(), str(path))  # another model sees other pixels
    assert len(decoded) == 2


def test_a_damaged_file_is_refused_without_decoding_it_again(tmp_path, decoded):
    pictures, path = Pictures(), tmp_path / "notes.png"
    path.write_text("not a picture")
    for _ in range(3):
        with pytest.raises(ImageError, match=r"notes\.png"):
            pictures.prepare(MODEL, path)
    assert len(decoded) == 1


def test_a_deleted_or_changed_file_is_forgotten(tmp_path, decoded):
    pictures, path = Pictures(), make(tmp_path)
    pictures.prepare(MODEL, path)
    other = make(tmp_path, "other.bmp")
    path.unlink()
    with pytest.raises(ImageError, match="no file"):
        pictures.prepare(MODEL, path)
    pictures.prepare(MODEL, other)
    assert len(pictures._ready) == 1
    make(tmp_path, "other.bmp").write_bytes(make(tmp_path, "b.png", "blue").read_bytes())
    assert pictures.prepare(MODEL, other).pixels[0, 0].tolist() == [0, 0, 255]


def test_few_pictures_are_remembered(tmp_path, decoded):
    pictures = Pictures()
    paths = [make(tmp_path, f"{i}.png") for i in range(MAX_PICTURES + 1)]
    for path in [*paths, paths[-1], paths[0]]:
        pictures.prepare(MODEL, path)
    assert len(decoded) == MAX_PICTURES + 2


def test_one_picture_is_decoded_at_a_time(tmp_path, monkeypatch):
    inside, most, pictures = [], [], Pictures()

    def read(image):
        inside.append(image)
        most.append(len(inside))
        crowded.wait(0.01)  # time for a second thread to enter, if it were possible
        inside.remove(image)
        return read_picture(image)

    crowded = threading.Event()
    monkeypatch.setattr(module, "read_picture", read)
    paths = [make(tmp_path, f"{i}.png") for i in range(6)]
    threads = [threading.Thread(target=pictures.prepare, args=(MODEL, path)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
