"""`classify` and `explain` on files, folders and patterns: one table, damaged files listed at once, resumable."""

import csv
import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from cct_viz.cli import main, table
from cct_viz.cli.progress import Progress
from cct_viz.images.decode import ImageError
from cct_viz.images.gather import gather


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """A folder as people have them: pictures in subfolders, a damaged one, what Windows and macOS leave."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "deep/a.png", "deep/er/c.png"):
        path = tmp_path / "scans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    (tmp_path / "scans" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0 thumbnails")
    (tmp_path / "scans" / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "scans" / "cut.png").write_bytes((tmp_path / "scans" / "a.png").read_bytes()[:200])
    return tmp_path / "scans"


GOOD = ["a.png", "b.jpg", "deep/a.png", "deep/er/c.png"]


def run(capsys, *words):
    status = main([str(word) for word in words])
    return status, *capsys.readouterr()


def test_files_folders_and_patterns_are_gathered_in_order(scans):
    names = [item.name for item in gather(["scans", "scans/a.png", "scans/*.png", "scans/**/c.png", "missing.png"])]
    assert names[:6] == ["Thumbs.db", "a.png", "b.jpg", "cut.png", "deep/a.png", "deep/er/c.png"]
    assert names[6:] == ["a.png 2", "a.png 3", "cut.png 2", "c.png", "missing.png"]
    (scans.parent / "odd[1].png").write_bytes(b"")
    assert [item.name for item in gather(["odd[1].png"])] == ["odd[1].png"]  # a file that looks like a pattern
    (scans.parent / "none").mkdir()
    for source, what in (("none", "an empty folder"), ("*.tif", "a pattern that no file fits")):
        with pytest.raises(ImageError, match=what):
            gather([source])


def test_a_folder_is_classified_and_its_bad_files_are_listed_at_once(capsys, scans, tiny_folder, tiny_classifier):
    status, out, err = run(capsys, "classify", "scans", "--model", tiny_folder)
    assert status == 0  # nobody named the bad files
    assert [line.split(": ")[0] for line in out.splitlines()] == [f"scans/{name}" for name in GOOD]
    (label, p), *_ = tiny_classifier.trace(scans / "deep/a.png").top(1)
    assert f"scans/deep/a.png: {label} {p:.1%}" in out
    head, thumbs, cut = err.splitlines()
    assert head == "cct_viz: skipped 2 of 6 files, which are no readable pictures:"
    assert thumbs.startswith("  scans/Thumbs.db: ")
    assert cut.startswith("  scans/cut.png: ")
    assert run(capsys, "classify", "scans/a.png", "scans/cut.png", "--model", tiny_folder)[0] == 1


@pytest.mark.parametrize("command", ["classify", "explain"])
def test_strict_lists_all_bad_files_and_does_nothing(capsys, scans, tiny_folder, tiny_classifier, command):
    status, out, err = run(capsys, command, "scans", "--model", tiny_folder, "--strict", "--out", "made/x.csv")
    assert (status, out) == (1, "")
    assert err.startswith("cct_viz: 2 of 6 files are no readable pictures; nothing was done:\n")
    assert "Thumbs.db" in err
    assert "cut.png" in err
    assert not (scans.parent / "made").exists()


def read(path):
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_interrupted_table_continues_and_ends_as_one_that_was_not(capsys, scans, tiny_folder, tiny_classifier, kind):
    words = ["classify", "scans", "--model", tiny_folder, "--top", 2, "--out"]
    assert run(capsys, *words, f"whole.{kind}")[0] == 0
    whole = scans.parent / f"whole.{kind}"
    rows = read(whole)
    assert [row["image"] for row in rows] == GOOD
    top = tiny_classifier.trace(scans / "a.png").top(2)
    assert [(rows[0][f"label_{i}"], float(rows[0][f"probability_{i}"])) for i in (1, 2)] == [
        (label, pytest.approx(p, abs=1e-6)) for label, p in top
    ]
    cut = scans.parent / f"cut.{kind}"
    content = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for end in (0, 3, ends[0], ends[1] + 7, len(content)):  # killed within a line, or between two
        cut.write_bytes(content[:end])
        status, _, err = run(capsys, *words, cut)
        assert status == 0
        assert cut.read_bytes() == content
    assert "4 pictures were done by an earlier run" in err
    status, _, err = run(capsys, *words[:-3], "--out", cut)  # with three classes
    assert status == 1
    assert "rows of another model or of other options" in err


def test_another_picture_of_the_same_name_is_not_taken_for_done(capsys, scans, tiny_folder, tiny_classifier):
    model = "--model", tiny_folder
    assert run(capsys, "classify", "scans/a.png", *model, "--out", "table.csv")[0] == 0
    assert run(capsys, "explain", "scans/*.png", *model, "--method", "evidence", "--out", "explained")[0] == 0
    (scans / "deep/a.png").rename(scans / "a.png")
    for words in (("classify", "scans/a.png", "--out", "table.csv"), ("explain", "scans/a.*", "--out", "explained")):
        status, _, err = run(capsys, *words, *model, *(["--method", "evidence"] if words[0] == "explain" else []))
        assert status == 1
        assert "another picture that is called a.png; choose another --out" in err


def test_names_that_are_no_text_or_break_lines_do_not_break_a_table(capsys, scans, tiny_folder, tiny_classifier):
    for name in (os.fsdecode(b"caf\xe9.png"), "two\N{LINE SEPARATOR}lines.png", "form\ffeed.png"):
        (scans / name).write_bytes((scans / "a.png").read_bytes())
    words = "classify", "scans", "--model", tiny_folder, "--out", "table.csv"
    for _ in range(2):
        status, _, err = run(capsys, *words)
        assert status == 0, err
    assert "7 pictures were done by an earlier run" in err


def test_folders_of_pictures_differ_by_more_than_capital_letters(scans):
    (scans / "deep" / "A.PNG").write_bytes(b"")
    assert [item.name for item in gather(["scans/a.png", "scans/deep/A.PNG"])] == ["a.png", "A.PNG 2"]


def test_other_tables_are_refused_before_any_work(capsys, scans, tiny_folder, tiny_classifier, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name, words in (("x.xlsx", "ends in .csv, .jsonl, .parquet"), ("x.parquet", "pip install pyarrow")):
        status, out, err = run(capsys, "classify", "scans", "--model", tiny_folder, "--out", name)
        assert (status, out) == (1, "")
        assert words in err


@pytest.mark.parquet
def test_parquet_is_written_where_pyarrow_is(scans):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra that only Parquet needs")
    path = scans.parent / "x.parquet"
    for name in ("a", "b"):
        made = table.Table(path, ["image", "sha256", "label_1"], "tiny@1")
        made.add({"image": name, "sha256": "0" * 64, "label_1": "cat"})
        made.close()
    assert parquet.read_table(path).column("image").to_pylist() == ["a", "b"]


def test_each_picture_of_a_folder_is_explained_in_its_own_and_once(capsys, scans, tiny_folder, tiny_classifier):
    words = ["explain", "scans", "--model", tiny_folder, "--method", "seqpool", "--style", "bar", "--out"]
    status, out, err = run(capsys, *words, "out")
    out_folder = scans.parent / "out"
    assert (status, out) == (0, "4 explanations are in out\n")
    assert "skipped 2 of 6 files" in err
    assert [row["image"] for row in read(out_folder / "pictures.csv")] == GOOD
    record = json.loads((out_folder / "deep/er/c.png/explanation.json").read_text())
    assert record["top"][0]["label"] == tiny_classifier.trace(scans / "deep/er/c.png").top(1)[0][0]
    before = {path: path.stat().st_mtime_ns for path in out_folder.rglob("seqpool.png")}
    assert len(before) == 4
    (out_folder / "b.jpg/explanation.json").unlink()  # as if it had been killed there
    table = (out_folder / "pictures.csv").read_bytes()
    (out_folder / "pictures.csv").write_bytes(table[:-5])
    status, _, err = run(capsys, *words, "out")
    assert "2 pictures were done by an earlier run" in err
    after = {path: path.stat().st_mtime_ns for path in out_folder.rglob("seqpool.png")}
    assert [path.parent.name for path in before if before[path] != after[path]] == ["b.jpg", "c.png"]
    assert (out_folder / "pictures.csv").read_bytes() == table
    _, _, err = run(capsys, *words, "out", "--target", "0")  # another question: nothing is reused
    assert "earlier run" not in err
    status, _, err = run(capsys, *words, "scans/out")
    assert (status, "figures would be pictures" in err) == (1, True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_has_rate_and_time_left():
    now = iter([0.0, 0.1, 10.0, 3610.0])
    out = Terminal()
    progress = Progress(100, out=out, clock=lambda: next(now))
    progress.step()
    assert out.getvalue() == ""
    progress.step()
    assert out.getvalue() == "\r\x1b[K2 of 100 pictures, 0.2/s, 0:08:10 left"
    progress.step()
    assert out.getvalue().endswith("3 of 100 pictures, 0.000831/s, 32:25:23 left")
    progress.clear()
    assert out.getvalue().endswith("\r\x1b[K")
    now = iter([0.0, 29.0, 31.0])
    log = io.StringIO()
    progress = Progress(100, out=log, clock=lambda: next(now))
    progress.step()
    progress.step()
    assert log.getvalue() == "2 of 100 pictures, 0.0645/s, 0:25:19 left\n"
