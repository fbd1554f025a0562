"""Archives are checked before anything in them is unpacked."""

import warnings
import zipfile

import pytest

from cct_viz.checkpoints import CheckpointError, zip_files
from cct_viz.checkpoints.zip_files import list_names, open_zip


def write(path, members, method=zipfile.ZIP_STORED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # two members of one name
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_an_archive_as_programs_write_them_is_read(tmp_path):
    path = write(tmp_path / "a.zip", [("a", b"abc"), ("b:1/c", bytes(300_000))], zipfile.ZIP_DEFLATED)
    with open_zip(path) as archive:
        assert archive.read("b:1/c") == bytes(300_000)
    assert list_names(path) == ["a", "b:1/c"]


@pytest.mark.parametrize(
    ("members", "method", "message"),
    [
        ([("../a", b"")], zipfile.ZIP_STORED, r"a file named '\.\./a', outside of the archive"),
        ([("a", b""), ("a", b"")], zipfile.ZIP_STORED, "two files of one name"),
        ([("a", b"x")], zipfile.ZIP_LZMA, "compressed in a way that is not used for weights"),
        ([("a", b"x"), ("b", bytes(1 << 24))], zipfile.ZIP_DEFLATED, "^b in a.zip unpacks to 16,777,216 bytes"),
        ([(f"{i}", bytes(1 << 20)) for i in range(9)], zipfile.ZIP_DEFLATED, "unpacks to 1,048,576 bytes"),
    ],
)
def test_what_no_file_of_weights_has_is_refused(tmp_path, members, method, message):
    path = write(tmp_path / "a.zip", members, method)
    with pytest.raises(CheckpointError, match=message), open_zip(path):
        pass


def test_a_list_of_far_too_many_members_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zip", [(f"{i}", b"") for i in range(50)])
    assert len(list_names(path)) == 50
    monkeypatch.setattr(zip_files._File, "most", 500)
    assert list_names(path) == []
    with (
        pytest.raises(CheckpointError, match=r"the archive has a list of members of .* bytes; expected 500 at most"),
        open_zip(path),
    ):
        pass
