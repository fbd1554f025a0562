"""Packages import each other in one direction only; importing and serving load no deep-learning framework."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "cct_viz"
# Each imports only those before it. `server` does not depend on transformers, nor `web` on the server.
ORDER = (
    *("architecture", "images", "checkpoints", "inference", "methods", "evaluation", "dataset", "reports"),
    *("training", "server", "web", "app", "cli", "__main__"),
)
FORBIDDEN = {("server", name) for name in ORDER} | {("web", "server")}
MAY_IMPORT_FRAMEWORKS = {
    *("architecture/keras_model.py", "inference/gradients.py"),
    *("evaluation/randomisation.py", "checkpoints/convert.py", "checkpoints/pytorch/state_dict.py"),
    *("checkpoints/saved_model/graph.py", "checkpoints/saved_model/signature.py", "checkpoints/tensor_bundle.py"),
    *("training/data.py", "training/progress.py", "training/train.py", "training/finish.py"),
    *("training/on_device.py", "training/augmentation_on_device.py"),
}
FRAMEWORKS = {"keras", "tensorflow", "tf_keras", "torch", "jax"}


def imports_of(path: Path) -> set[str]:
    """The imports anywhere in a file: packages of this project and top-level modules of others."""
    names = set()
    here = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            names |= {base[0]} if base[0] else {alias.name for alias in node.names}
    return names


def test_the_order_lists_every_package_and_module():
    names = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__"} == set(ORDER)


def forbidden_to(path: Path) -> set[str]:
    """What a file may not import."""
    package = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    names = {*ORDER[ORDER.index(package) + 1 :], *(name for one, name in FORBIDDEN if one == package)} - {package}
    if path.relative_to(PACKAGE).as_posix() not in MAY_IMPORT_FRAMEWORKS:
        names |= FRAMEWORKS
    if path.relative_to(PACKAGE).as_posix() not in ("checkpoints/hub.py", "checkpoints/download_job.py"):
        names.add("huggingface_hub")
    return names


def test_imports_follow_the_order():
    files = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]
    offenders = {str(path): sorted(imports_of(path) & forbidden_to(path)) for path in files}
    assert {path: names for path, names in offenders.items() if names} == {}


def loaded_by(code: str) -> set[str]:
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(out.split())


def test_importing_loads_no_framework():
    code = "import cct_viz, cct_viz.cli; [getattr(cct_viz, name) for name in cct_viz.__all__ if name != 'build']"
    assert not loaded_by(code) & FRAMEWORKS


def test_building_the_pages_data_loads_no_matplotlib():
    modules = "cct_viz.web.payload, cct_viz.web.html"
    code = f"import sys; sys.modules['gradio'] = type(sys)('gradio'); import {modules}"
    assert "matplotlib" not in loaded_by(code)


def test_a_classifier_needs_no_runtime_until_it_is_given_one():
    assert "onnxruntime" not in loaded_by("import cct_viz.inference.classifier")


def test_serving_bundled_weights_loads_no_framework():
    code = "import cct_viz, numpy; cct_viz.load('keras_cct_cifar10').trace(numpy.zeros((50, 40, 3), 'uint8'))"
    loaded = loaded_by(code)
    assert "onnxruntime" in loaded
    assert not loaded & FRAMEWORKS
