"""Starting the app without the stubs that Gradio writes for editors."""

import functools
import importlib.util
import inspect
import sys

import gradio as gr
import pytest

from cct_viz.server.stubs import without_stubs


@pytest.fixture
def define(tmp_path, monkeypatch):
    return functools.partial(_define, tmp_path, monkeypatch)


def _define(folder, monkeypatch, name):
    """Import a module that defines a component; returns where Gradio writes its stub."""
    path = folder / f"{name}.py"
    path.write_text("import gradio as gr\n\n\nclass Mine(gr.Textbox):\n    EVENTS = ['change']\n")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return path.with_suffix(".pyi")


def test_components_get_no_stub(define):
    assert define("usual").exists()  # otherwise Gradio has changed, and this module can go
    with without_stubs():
        assert not define("quick").exists()
        assert inspect.getfile(_define) == __file__
    assert inspect.getfile(gr.Textbox).endswith("textbox.py")
