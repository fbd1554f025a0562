"""Imports point downwards only, and neither importing nor serving loads a framework."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cct_viz"
FLOORS = {
    "config": 1,
    "settings": 1,
    "geometry": 1,
    "image_headers": 1,
    "images": 1,
    "preprocessing": 1,
    "trace": 1,
    "plots": 1,
    "position": 1,
    "explain": 2,
    "faithfulness": 2,
    "gradients": 2,
    "presets": 2,
    "checkpoints": 2,
    "cost": 2,
    "hub_errors": 2,
    "hub": 2,
    "model": 2,
    "export": 2,
    "prepare": 2,
    "classifier": 3,
    "bundle": 3,
    "score": 3,
    "dependence": 3,
    "convert": 3,
    "serving": 3,
    "ui": 3,
    "training": 3,
    "cli": 4,
    "__main__": 4,
}
FREE_OF_FRAMEWORKS = {
    "config",
    "geometry",
    "image_headers",
    "images",
    "preprocessing",
    "trace",
    "plots",
    "explain",
    "faithfulness",
    "ui",
}
FRAMEWORKS = {"keras", "tensorflow", "tf_keras", "torch", "jax"}


def imports_of(path: Path) -> set[str]:
    """Top-level modules that a file imports when it runs, those of this package as their own names.

    What stands below `if TYPE_CHECKING` is for readers: a tab may name the type of what it is handed.
    """
    found = set()
    depth = len(path.relative_to(PACKAGE).parts)
    tree = ast.parse(path.read_text())
    for_types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    unread = {id(child) for block in for_types for child in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in unread:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                found.add((node.module or "").split(".")[0])
            elif node.level == depth:  # from the package's root
                names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                found |= set(names)
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_imports_point_downwards(path):
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    imported = imports_of(path)
    upwards = {other for other in imported & set(FLOORS) if FLOORS[other] > FLOORS[name]}
    assert not upwards
    if name in FREE_OF_FRAMEWORKS:
        assert not imported & FRAMEWORKS
    if name == "ui":
        assert not imported & {"model", "hub", "classifier", "prepare", "export"}
    if name not in ("hub", "hub_errors"):
        assert "huggingface_hub" not in imported


def loaded_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(out.split())


@pytest.mark.parametrize(
    "code",
    [
        "import cct_viz",
        "import cct_viz; [getattr(cct_viz, name) for name in cct_viz.__all__ if name != 'build']",
        "import cct_viz.cli",
    ],
)
def test_importing_loads_no_framework(code):
    assert not loaded_by(code) & FRAMEWORKS


def test_serving_bundled_weights_loads_no_framework():
    code = "import cct_viz, numpy; cct_viz.load('keras_cct_cifar10').trace(numpy.zeros((50, 40, 3), 'uint8'))"
    loaded = loaded_by(code)
    assert "onnxruntime" in loaded
    assert not loaded & FRAMEWORKS
