"""Random traces without a framework, consistent from the residual stream to the logits, and shared fixtures."""

from __future__ import annotations

import one_thread  # noqa: F401

# isort: split

import dataclasses
import io
import os
import socket
import subprocess
import sys
import urllib.request
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE, wait_until

from cct_viz.architecture.config import CCTConfig, ConvStage, numbered_labels
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.images.preprocessing import centre_crop
from cct_viz.inference.trace import ReadoutWeights, Trace

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parent.parent
MARKS = {"chromium": "browser", "fake_hub": "hub", "torch": "torch"}  # fixture -> mark of the tests that use it
# Debian's two builds of Chromium: the first has no windows, and takes half the processor time.
CHROMIUMS = (Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium"))
CHROMIUM = next((path for path in CHROMIUMS if path.exists()), CHROMIUMS[0])
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture, mark in MARKS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def tiny_config(**changes) -> CCTConfig:
    """Two conv stages, two layers and a grid of 3 x 5 tokens: small and not square."""
    config = CCTConfig(
        image_size=(12, 20),
        tokenizer=(ConvStage(6, pool_padding="same"), ConvStage(8, pool_padding="same")),
        num_layers=2,
        num_heads=2,
        key_dim=4,
        mlp_dim=8,
        labels=numbered_labels(3),
        mlp_output_activation=True,
    )
    return dataclasses.replace(config, **changes)


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float = 1e-5) -> np.ndarray:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(variance + np.float32(epsilon)) + beta


def pool_by_formula(
    pool: str, representation: np.ndarray, kernel: np.ndarray | None, bias: float
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray]:
    """Scores (n,), weights (n,) and pooled vector (dim,) of `representation` (m, dim): written apart from the package's
    table of pools, which it tests."""
    scores = representation @ kernel + np.float32(bias) if pool == "seqpool" else None
    weights = {"seqpool": scores, "mean": np.zeros(len(representation), np.float32)}.get(pool)
    weights = None if weights is None else softmax(weights)
    pooled = {
        "seqpool": lambda: weights @ representation,
        "mean": lambda: weights @ representation,
        "max": lambda: representation.max(axis=0),
        "class_token": lambda: representation[0],
    }[pool]()
    return scores, weights, pooled


def make_trace(config: CCTConfig, seed: int = 0) -> Trace:
    """A random float32 Trace of `config`; stream, representation and logits follow from the outputs of the blocks."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    m, dim, k, layers = (
        config.sequence_length,
        config.embedding_dim,
        config.num_classes,
        config.num_layers,
    )
    weights = ReadoutWeights(
        gamma=draw(dim),
        beta=draw(dim),
        epsilon=1e-5,
        head=draw(dim, k),
        bias=draw(k),
        pool_kernel=draw(dim) if config.pool == "seqpool" else None,
        pool_bias=0.5 if config.pool == "seqpool" else 0.0,
        position=draw(m, dim) if config.position == "learnable" else None,
    )
    attention_outputs, mlp_outputs = draw(layers, m, dim), draw(layers, m, dim)
    stream = [draw(m, dim)]
    for attended, added in zip(attention_outputs, mlp_outputs, strict=True):
        x = stream[-1] + attended
        if config.block == "official":
            x = layer_norm(x, draw(dim), draw(dim))
        stream.append(x + added)
    representation = layer_norm(stream[-1], weights.gamma, weights.beta)
    scores, pooling, pooled = pool_by_formula(config.pool, representation, weights.pool_kernel, weights.pool_bias)
    pixels = rng.integers(0, 256, (*config.image_size, 3), dtype=np.uint8)
    if config.channels == 1:
        pixels[:] = pixels[..., :1]
    return Trace(
        image=pixels.copy(),
        pixels=pixels,
        geometry=centre_crop(config.image_size, config.image_size, 1.0),
        stages=stage_geometry(config),
        feature_maps=tuple(
            np.abs(draw(*shape, stage.channels))
            for shape, stage in zip(config.stage_shapes, config.tokenizer, strict=True)
        ),
        stream=np.stack(stream),
        attention_outputs=attention_outputs,
        mlp_outputs=mlp_outputs,
        attentions=softmax(2 * draw(layers, config.num_heads, m, m)),
        representation=representation,
        pool_scores=scores,
        pooling_weights=pooling,
        logits=pooled @ weights.head + weights.bias,
        readout_weights=weights,
        labels=config.labels,
        pool=config.pool,
        block=config.block,
        output=config.output,
        channels=config.channels,
    )


@pytest.fixture
def trace() -> Trace:
    return make_trace(tiny_config())


@pytest.fixture
def class_token_trace() -> Trace:
    return make_trace(tiny_config(pool="class_token"))


def write_random_checkpoint(folder, config):
    from cct_viz.architecture.weights import expected_shapes
    from cct_viz.checkpoints import safetensors

    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0.0, 0.5, shape).astype(np.float32) + name.endswith("gamma")
        for name, shape in expected_shapes(config).items()
    }
    safetensors.write(folder, config, weights)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A checkpoint folder of a tiny random model, as written by `train`."""
    return write_random_checkpoint(tmp_path_factory.mktemp("weights") / "tiny", tiny_config())


@pytest.fixture(scope="session")
def class_token_folder(tmp_path_factory, cache):
    """The same with a class token; many methods do not apply to it."""
    config = tiny_config(pool="class_token")
    return write_random_checkpoint(tmp_path_factory.mktemp("weights") / "class_token", config)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """A cache folder for converted checkpoints, for this test run and all its workers."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            folder = folder.parent
        folder = folder / "cache"
        folder.mkdir(exist_ok=True)
        patch.setenv("CCT_VIZ_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def rounded(cache, tmp_path_factory):
    """A tiny classifier whose weights are exact in float16, so that the page's numbers must equal its numbers."""
    from cct_viz.checkpoints import safetensors
    from cct_viz.inference.load import load

    folder = write_random_checkpoint(tmp_path_factory.mktemp("weights") / "exact", tiny_config())
    weights = safetensors.read(folder).weights
    safetensors.write(folder, tiny_config(), weights, dtype="float16")
    return load(folder)


@pytest.fixture(scope="session")
def tiny_classifier(tiny_folder, cache):
    from cct_viz.inference.load import load

    return load(tiny_folder)


@pytest.fixture(scope="module")
def chromium():
    """A headless browser. If it is missing, tests fail in CI and are skipped elsewhere."""
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is missing; get it with: apt-get install {CHROMIUM.name}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def free_tabs(chromium):
    """Tabs that tests have left, by the options they were opened with."""
    return defaultdict(list)


@pytest.fixture
def visit(chromium, free_tabs):
    """Open addresses, each in a tab of its own; at the end none may have complained or asked another host."""
    from visitor import Visitor

    visitors = []

    def open_page(url, **options):
        left = free_tabs[tuple(sorted(options.items()))]
        if url.startswith("file:") and left:
            visitor = left.pop()
            visitor.start_again(url)
        else:
            visitor = Visitor(chromium, url, **options)
        visitors.append((visitor, left if url.startswith("file:") else None))
        return visitor

    yield open_page
    for visitor, _ in visitors:
        visitor.check_quiet()
    for visitor, left in visitors:
        if left is None:
            visitor.close()
        else:
            left.append(visitor)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is missing; get it with: pip install torch")


@pytest.fixture
def reads_here(monkeypatch):
    """Foreign files are read in this process: for what becomes of them. A process for each, with its limits, would
    spend seconds on importing TensorFlow or PyTorch; `test_child.py` and the models from the Hub have one."""
    from cct_viz.checkpoints import child

    def run(arguments: list[str], given: str, name: str) -> tuple[int, str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(given))
            child.main()
        return 0, ""

    monkeypatch.setattr(child, "_limit", lambda path: None)
    monkeypatch.setattr(child, "_run", run)


def leave_out_xla(monkeypatch) -> None:
    """For what a training does, not how fast: XLA compiles a tiny model for 30 times as long as it then trains, and
    TensorFlow optimises its graph for as long as it traces it."""
    import tensorflow as tf

    from cct_viz.training import train

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

    compile_model = train.compile_model

    def compile_without(model, *rest):
        compile_model(model, *rest)
        model.jit_compile = False

    monkeypatch.setattr(train, "compile_model", compile_without)


@pytest.fixture
def without_xla(monkeypatch):
    leave_out_xla(monkeypatch)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


def connect(address: str, **options):
    """Gradio's client, which by itself waits five seconds for an answer, whatever else the machine does."""
    from gradio_client import Client

    return Client(address, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": PATIENCE}, **options)


@pytest.fixture(scope="session")
def app_address(tmp_path_factory):
    """Where `python app.py` serves the bundled weights, with no Hub in reach."""
    folder, port = tmp_path_factory.mktemp("app"), free_port()
    log, url = folder / "log", f"http://127.0.0.1:{port}/"
    environment = os.environ | {
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HOME": str(folder / "hub"),
    }
    with log.open("w") as out:
        app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            wait_until(lambda: app.poll() is not None or answers(url), why=log.read_text)
            assert app.poll() is None, log.read_text()
            yield url
            assert "Traceback" not in log.read_text()
        finally:
            app.terminate()
            app.wait(30)
