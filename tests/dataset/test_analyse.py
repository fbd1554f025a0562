"""The tables of a data set: what is in them, and that a stopped run ends as one that was not stopped."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from waiting import wait_until

import cct_viz
from cct_viz.cli import main
from cct_viz.dataset import analyse as module
from cct_viz.dataset import parts, worker
from cct_viz.evaluation.faithfulness import score_maps
from cct_viz.inference.load import load
from cct_viz.methods.attention import attention_distances, attention_tokens

pytestmark = [
    pytest.mark.parquet,
    pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is missing; get it with: pip install pyarrow"),
]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Nine pictures in folders, one of them damaged, in chunks of two."""
    monkeypatch.setattr("cct_viz.dataset.sources.CHUNK", 2)
    return write_photos(tmp_path / "photos")


def write_photos(root):
    rng = np.random.default_rng(0)
    for i in range(9):
        path = root / ("1" if i < 4 else "class_2") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    (root / "1" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    return root


def test_every_picture_has_a_row_with_what_its_trace_says(photos, tiny_classifier, tmp_path):
    seen, methods = [], ["contribution", "rollout", "contribution"]

    def progress(done, total):
        seen.append((done, total))

    analysis = cct_viz.analyse(tiny_classifier, photos, tmp_path / "out", methods=methods, progress=progress)
    assert seen == [(0, 9), (2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]
    table = analysis.pictures()
    names = table.column("image").to_pylist()
    assert names == sorted(str(p.relative_to(photos)) for p in photos.rglob("*.png") if p.name != "2.png")
    assert set(table.column("label").to_pylist()) == {"class 2", None}  # a folder "1" need not be class 1
    assert analysis.problems().to_pylist()[0]["image"] == "1/2.png"
    assert "1 problems" in repr(analysis)
    trace = tiny_classifier.trace(photos / names[4])
    row = {name: analysis.array(name)[4] for name, column in analysis.manifest["columns"].items() if column["shape"]}
    for name, expected in {
        "logits": trace.logits,
        "pooled": trace.pooled,
        "attention_distance": attention_distances(trace),
        "attention_tokens": attention_tokens(trace),
        "contribution": cct_viz.explain(trace, "contribution").maps[-1],
        "rollout": cct_viz.explain(trace, "rollout").maps[-1],
    }.items():
        np.testing.assert_allclose(row[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)  # alone, not in a batch
    assert table.column("predicted")[4].as_py() == trace.labels[trace.class_index()]
    relative = trace.relative(trace.logits)[trace.class_index()]
    assert row["attribution"].sum() == pytest.approx(relative, abs=1e-4)
    columns = analysis.manifest["columns"]
    assert len(columns["attribution"]["names"]) == len(row["attribution"])
    assert analysis.pictures(["image"]).column_names == ["image"]
    with pytest.raises(ValueError, match="no column of numbers"):
        analysis.array("predicted")


def test_faithfulness_is_that_of_the_map_in_the_row(photos, tiny_classifier, tmp_path):
    analysis = cct_viz.analyse(tiny_classifier, photos / "1", tmp_path / "out", methods=["rollout"], faithfulness=True)
    traces = [tiny_classifier.trace(photos / "1" / f"{i}.png") for i in (0, 1, 3)]
    settings = {"protocols": ("token_drop",), "points": 8, "permutations": 20}
    for i, (seed, trace) in enumerate(zip((0, 1, 513), traces, strict=True)):  # 513: the second of the second chunk
        maps = {"rollout": analysis.array("rollout")[i].reshape(-1)}
        expected = score_maps(tiny_classifier, trace, maps, seed=seed, **settings)["token_drop"]["rollout"]
        assert analysis.array("rollout_srg")[i] == pytest.approx(expected["srg"], abs=1e-5)
        assert analysis.array("rollout_percentile")[i] == pytest.approx(expected["percentile"], abs=0.06)  # a tie


def test_methods_that_do_not_apply_are_left_out_and_named(photos, class_token_folder, tmp_path, capsys):
    words = ["analyse", str(photos), "--model", str(class_token_folder), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"out": str(tmp_path / "out"), "pictures": 8, "problems": 1}
    assert "not applicable to this model: seqpool, contribution" in err
    assert f"1 of 9 pictures cannot be read: see {tmp_path / 'out' / 'problems'}" in err
    assert cct_viz.read_analysis(tmp_path / "out").manifest["methods"] == ["rollout"]
    assert main(words) == 0
    assert "9 pictures were done by an earlier run" in capsys.readouterr().err


@pytest.mark.parametrize("stop", ["before", "between", "after"])
def test_a_run_that_is_stopped_at_any_step_ends_the_same(photos, tiny_classifier, tmp_path, monkeypatch, stop):
    whole = cct_viz.analyse(tiny_classifier, photos, tmp_path / "whole", methods=["rollout"])
    write = parts._write

    def die(table, path):
        if path.name != "part-000001.parquet":
            write(table, path)
        elif stop == "between" and path.parent.name == "problems":
            write(table, path)  # the chunk's damaged picture is written, its good one is not
        else:
            if stop == "after":
                write(table, path)
            raise OSError("killed")

    monkeypatch.setattr(parts, "_write", die)
    out = tmp_path / "out"
    with pytest.raises(OSError, match="killed"):
        cct_viz.analyse(tiny_classifier, photos, out, methods=["rollout"], workers=1)
    with pytest.raises(ValueError, match="not finished"):
        cct_viz.read_analysis(out)
    monkeypatch.undo()
    monkeypatch.setattr("cct_viz.dataset.sources.CHUNK", 2)
    (out / "pictures" / ".1a2b3c4d.part-000001.parquet").write_bytes(b"half")  # as of a process that was killed
    count = []
    monkeypatch.setattr(worker, "write_part", lambda *rest: count.append(rest[1]) or parts.write_part(*rest))
    again = cct_viz.analyse(tiny_classifier, photos, out, methods=["rollout"])
    assert 0 not in count
    assert again.pictures().equals(whole.pictures())
    assert again.problems().equals(whole.problems())
    assert all(one.equals(other) for (_, one), (_, other) in zip(again.patches(), whole.patches(), strict=True))
    assert not list(out.rglob(".*"))  # no temporary files


def test_a_picture_that_became_readable_is_no_problem_any_more(photos, tiny_classifier, tmp_path, monkeypatch):
    """The run was stopped after the problems of a chunk were written, and before its pictures."""
    write, damaged = parts._write, photos / "1" / "2.png"
    whole = (photos / "1" / "1.png").read_bytes()
    damaged.write_bytes(bytes(len(whole)))

    def die(table, path):
        if path.parent.name == "pictures":
            raise OSError("killed")
        write(table, path)

    monkeypatch.setattr(parts, "_write", die)
    with pytest.raises(OSError, match="killed"):
        cct_viz.analyse(tiny_classifier, photos, tmp_path / "out", methods=["rollout"], workers=1)
    monkeypatch.setattr(parts, "_write", write)
    damaged.write_bytes(whole)
    analysis = cct_viz.analyse(tiny_classifier, photos, tmp_path / "out", methods=["rollout"])
    assert (analysis.pictures().num_rows, analysis.problems().num_rows) == (9, 0)


def test_another_analysis_in_the_same_folder_is_refused(photos, tiny_classifier, tiny_folder, tmp_path, monkeypatch):
    def run(classifier=tiny_classifier, **options):
        cct_viz.analyse(classifier, photos, tmp_path / "out", **{"methods": ["rollout"]} | options)

    run()
    with pytest.raises(ValueError, match="with other columns and options; choose another"):
        run(methods=["seqpool"])
    other = load(tiny_folder)
    other.weights = {name: array + np.float32(1e-3) for name, array in other.weights.items()}
    with pytest.raises(ValueError, match="with other weights"):
        run(other)
    (photos / "z.png").write_bytes(b"more")
    with pytest.raises(ValueError, match="with other pictures; choose"):
        run()
    (tmp_path / "out" / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="another version of this program"):
        cct_viz.read_analysis(tmp_path / "out")
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        run()
    with pytest.raises(ValueError, match="would be pictures"):
        cct_viz.analyse(tiny_classifier, photos, photos / "out")
    with pytest.raises(ValueError, match="no engine"):
        run(engine="spark")
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ValueError, match="pip install 'ray"):
        cct_viz.analyse(tiny_classifier, photos, tmp_path / "new", engine="ray")


KILLED = """
import sys, os
sys.path[:0] = [{root!r}, {tests!r}]
import onnxruntime, pyarrow.parquet, fsspec.implementations.local
from cct_viz import analyse, load
import cct_viz.dataset.engines, cct_viz.dataset.sources
cct_viz.dataset.sources.CHUNK = 2
for line in sys.stdin:  # a child for each run: they share the imports
    child = os.fork()
    if not child:
        analyse(load({model!r}), {photos!r}, line.strip(), methods=["rollout"], workers=1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_ends_as_one_that_was_not(photos, tiny_folder, tmp_path):
    code = KILLED.format(root=str(ROOT), tests=str(ROOT / "tests"), model=str(tiny_folder), photos=str(photos))
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(out, kill_after=None):
        print(out, file=parent.stdin, flush=True)
        child = int(parent.stdout.readline())
        if kill_after is not None:
            wait_until(lambda: out.exists() and len(list(out.glob("pictures/part-*"))) >= kill_after)
            os.kill(child, signal.SIGKILL)
        return int(parent.stdout.readline())

    out = tmp_path / "killed"
    status = [run(out, kill_after) for kill_after in (0, 1, 2)]
    assert status.count(signal.SIGKILL) > 0
    assert run(out) == run(tmp_path / "whole") == 0
    parent.stdin.close()
    assert parent.wait() == 0
    killed, whole = (module.read_analysis(tmp_path / name) for name in ("killed", "whole"))
    assert killed.pictures().equals(whole.pictures())
    assert killed.problems().equals(whole.problems())
    assert whole.pictures().num_rows == 8
