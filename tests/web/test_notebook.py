"""The explorer in the output cell of a notebook, in Chromium: a sandboxed frame without a server."""

import dataclasses
import pickle
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from conftest import ROOT, make_trace, tiny_config
from nbclient import NotebookClient
from visitor import Visitor
from waiting import PATIENCE, wait_for_rest

import cct_viz
from cct_viz.web import notebook
from cct_viz.web.examples import EXAMPLES

PHOTO = EXAMPLES[0].parents[1] / "photos" / "chelsea.jpg"
# As VS Code's page around an output cell: neither workers nor fonts may come from where the explorer has them.
VS_CODE = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src https: data:; "
    "font-src https:; connect-src https:; child-src https: data:"
)
HOST = '<!doctype html><title>Notebook</title><meta charset="utf-8">{policy}<h1>Cell</h1>{output}'


class Cell(Visitor):
    """A page with an output in it; questions go to the explorer in the frame."""

    def __init__(self, browser, url, drawn=True):
        self.frame, self.state = None, "visible" if drawn else "attached"
        super().__init__(browser, url)

    def wait(self):
        handle = self.page.wait_for_selector("iframe", state="attached")
        self.frame = handle.content_frame()
        self.frame.wait_for_selector(".cct[data-ready]", state=self.state)
        self.frame.wait_for_function("cctExplorer.session.progress === null")
        wait_for_rest(self.frame)

    def ask(self, expression, *arguments):
        code = f"(given) => {{ const session = cctExplorer.session; return {expression} }}"
        return self.frame.evaluate(code, list(arguments))


@pytest.fixture
def show(chromium, tmp_path):
    cells = []

    def open_cell(output, policy="", drawn=True):
        meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
        page = tmp_path / "notebook.html"
        page.write_text(HOST.format(policy=meta, output=output._repr_html_()), encoding="utf-8")
        cells.append(Cell(chromium, page.as_uri(), drawn))
        return cells[-1]

    yield open_cell
    for cell in cells:
        cell.close()


@pytest.fixture(scope="module")
def chelsea():
    return cct_viz.load("keras_cct_cifar10").trace(PHOTO)


def test_the_cell_shows_the_trace_and_runs_its_model(chelsea, show):
    cell = show(chelsea.explore())
    # Weights travel as float16, which moves a logit of order 10 by about 0.001.
    np.testing.assert_allclose(cell.ask("[...session.trace.logits]"), chelsea.logits, atol=0.02)
    assert cell.ask("[...session.trace.pixels]") == chelsea.pixels.ravel().tolist()
    assert cell.ask("session.trace.geometry.box") == list(chelsea.geometry.box)
    (without,) = cell.ask(
        "session.answers([Uint8Array.from({length: 64}, (_, t) => t % 2)]).then((a) => a.map((x) => [...x]))"
    )
    assert np.abs(without - chelsea.logits).max() > 0.1
    cell.ask("session.selection.open('take')")
    assert cell.frame.get_by_text("Save as JSON").count() == 1
    assert cell.frame.get_by_text("Copy a link").count() == 0  # a cell has no address
    with cell.page.expect_download() as download:
        cell.frame.get_by_text("Save as JSON").click()
    assert download.value.suggested_filename == "picture.json"
    cell.check_quiet()


@pytest.mark.parametrize("policy", ["", VS_CODE])
def test_without_model_or_workers_it_shows_python_s_numbers_and_says_what_is_missing(
    chelsea, show, policy, monkeypatch
):
    if not policy:
        monkeypatch.setattr(notebook, "MOST_BYTES", 1000)
    cell = show(chelsea.explore(), policy)
    assert cell.ask("[...session.trace.logits]") == chelsea.logits.astype(float).tolist()
    assert cell.ask("[...session.trace.pixels]") == chelsea.pixels.ravel().tolist()
    cell.ask("session.answers([null]).catch((error) => session.fail(error))")
    cell.frame.get_by_text("This page has the numbers of one picture and cannot run the model").first.wait_for()
    if not policy:  # otherwise Chromium logs what the policy of the notebook forbids
        cell.check_quiet()


def test_a_cell_that_is_folded_draws_when_it_is_opened(chelsea, show, monkeypatch):
    monkeypatch.setattr(notebook, "MOST_BYTES", 1000)
    html = chelsea.explore()._repr_html_()
    cell = show(SimpleNamespace(_repr_html_=lambda: f"<div id=fold style='width:0'>{html}</div>"), drawn=False)
    assert cell.frame.locator("svg").count() == 0
    cell.page.evaluate("fold.style.width = '1000px'")
    cell.frame.get_by_text("Convolution").first.wait_for()
    cell.check_quiet()


def test_a_cell_carries_the_model_only_up_to_a_size(chelsea, monkeypatch):
    assert "language-de" not in chelsea.explore().page  # in English only
    with_model = len(chelsea.explore()._repr_html_())
    monkeypatch.setattr(notebook, "MOST_BYTES", 1000)
    assert len(chelsea.explore()._repr_html_()) < 1_000_000 < with_model < 2_500_000


def test_a_trace_of_another_process_says_how_to_explore_it(rounded):
    trace = rounded.trace(np.zeros((12, 20, 3), np.uint8))
    assert trace.explore().page.count('id="payload"') == 1
    for lone in (
        make_trace(tiny_config()),
        pickle.loads(pickle.dumps(trace)),
        dataclasses.replace(trace, classifier=None),
    ):
        with pytest.raises(ValueError, match=r"classifier\.trace"):
            lone.explore()


@pytest.mark.slow
def test_the_example_notebook_runs_and_its_explorer_opens(show, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the kernel runs elsewhere
    (path,) = (ROOT / "examples").glob("*.ipynb")
    book = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells)  # they would make each commit large
    NotebookClient(book, timeout=PATIENCE, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [out for cell in book.cells if cell.cell_type == "code" for out in cell.outputs]
    assert not [out for out in outputs if out.get("name") == "stderr"]
    shown = [out["data"] for out in outputs if "data" in out]
    assert any("image/png" in data for data in shown)
    assert any("97.4%" in data.get("text/html", "") for data in shown)
    (explorer,) = [data["text/html"] for data in shown if "srcdoc" in data.get("text/html", "")]
    cell = show(SimpleNamespace(_repr_html_=lambda: explorer))
    assert cell.ask("session.trace.labels[session.target]") == "cat"
    cell.check_quiet()
