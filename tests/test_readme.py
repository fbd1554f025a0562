"""What the README promises is run, word for word."""

import base64
import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cct_viz import cli
from cct_viz.architecture import presets

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("photo.jpg", "a.png", "b.png"):
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(name)


def test_the_python_example_runs(pictures, capsys):
    (example,) = re.findall(r"## In Python\n\n```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(example, names)
    trace = names["trace"]
    np.testing.assert_allclose(names["total"], trace.logits, atol=1e-5)  # logits of order 1 in float32
    out = capsys.readouterr().out
    for line in example.splitlines():  # what the comments say of shapes is what is printed
        if promised := re.search(r"# (\(2, 2, 64, 64\) \(64,\))", line):
            assert promised[1] in out


def test_every_command_line_is_understood(pictures):
    (block,) = re.findall(r"## On the command line\n\n```bash\n(.*?)```", README, re.DOTALL)
    lines = [line for line in block.splitlines() if line]
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "cct_viz"]
        cli._parser().parse_args(words[3:])


def test_the_request_with_a_picture_inside_is_made_without_options_of_gnu(pictures):
    """macOS has another base64, which takes no file as an argument and no -w."""
    (making,) = re.findall(r"```bash\n\((printf .*)\) \|\n  curl", README)
    assert "base64 -" not in making
    made = json.loads(subprocess.run(["sh", "-c", making], capture_output=True, check=True).stdout)
    coded = made["data"][0]["path"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(coded, validate=True) == Path("photo.jpg").read_bytes()


def test_every_setting_in_the_table_is_read_somewhere():
    code = "".join(path.read_text() for path in [*ROOT.glob("*.py"), *ROOT.glob("cct_viz/**/*.py")])
    (table,) = re.findall(r"## Settings\n\n(.*?)\n\n", README, re.DOTALL)
    for name in re.findall(r"`([A-Z_]+)`", table):
        if not name.startswith(("HF_", "KERAS_")):  # those are read by the libraries themselves
            assert name in code, name


def test_the_table_of_weights_tells_what_the_folders_hold():
    (section,) = re.findall(r"## Weights\n\n(.*?)\n\n", README, re.DOTALL)
    bundled = {preset.folder for preset in presets.PRESETS.values() if preset.folder}
    assert bundled
    for folder in bundled:
        metrics = json.loads((folder / "metrics.json").read_text())
        (row,) = [line for line in section.splitlines() if f"`{folder.relative_to(ROOT)}`" in line]
        assert f"{metrics['accuracy']:.2%}" in row
        assert f"{metrics['top5']:.2%}" in row
