"""The app inside something else: another web app, a page of another host, under a proxy's path."""

import re

import gradio as gr
import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import cct_viz
from cct_viz.app import embed
from cct_viz.server import janitor, settings
from cct_viz.server.launch import launch, mount

COURSE = "https://course.example.org"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(janitor.atexit, "register", lambda *_, **__: None)
    return janitor.make_folder()


def blocks():
    with gr.Blocks() as page:
        gr.Textbox()
    return page


def test_a_mounted_page_brings_its_guard_headers_and_health_and_leaves_the_host_alone():
    app = FastAPI()
    app.get("/")(lambda: {"hello": "main app"})
    begun = []
    mount(
        app,
        blocks(),
        "/cct",
        checks={"model": lambda: True},
        frame_ancestors=[f"{COURSE}/week/3"],
        begin=lambda: begun.append(True),
    )
    assert not begun
    with TestClient(app) as client:
        assert begun == [True]
        health = client.get("/cct/healthz")
        assert (health.status_code, health.json()) == (200, {"queue": True, "model": True, "disk": True})
        page = client.get("/cct")
        assert page.status_code == 200
        assert page.url.path == "/cct/"  # where the page's relative addresses start
        assert page.headers["Content-Security-Policy"].endswith(f"https://*.hf.space {COURSE}")
        assert client.get("/cct/gradio_api/proxy=http://x/").status_code == 404
        assert client.post("/cct/gradio_api/queue/join", content=b" " * 2_000_000).status_code == 413
        host = client.get("/")
        assert host.json() == {"hello": "main app"}
        assert "Content-Security-Policy" not in host.headers


@pytest.mark.slow
def test_mount_serves_the_explorer(cache):
    app = FastAPI()
    cct_viz.mount(app, "/lab/cct")
    with TestClient(app) as client:
        health = client.get("/lab/cct/healthz").json()
        assert health == {"queue": True, "model": True, "inference": True, "disk": True}
        weights = re.search(r"gradio_api/file=[^\"\\]+\.safetensors", client.get("/lab/cct/").text)[0]
        assert client.get(f"/lab/cct/{weights}").status_code == 200


@pytest.mark.parametrize("path", ["", "/", "cct", "/cct/", "/{x}"])
def test_only_a_path_below_the_host_can_be_mounted_at(path):
    with pytest.raises(ValueError, match="expected one like '/cct'"):
        mount(FastAPI(), blocks(), path)


@pytest.mark.parametrize(
    "url", ["course.example.org", "https://", "https://x; script-src *", "https://x y", "*", "'self'"]
)
def test_frame_ancestors_are_urls(url):
    with pytest.raises(ValueError, match="not the URL of a page"):
        settings.headers([url])


def test_a_proxys_path_is_where_the_page_finds_its_files():
    page = blocks()
    try:
        _, address, _ = launch(page, block=False, root_path="/cct", frame_ancestors=[COURSE])
        answer = httpx.get(f"{address}config", headers={"host": "example.org"}, trust_env=False, timeout=60)
        assert answer.json()["root"] == "http://example.org/cct"
        assert answer.headers["Content-Security-Policy"].endswith(COURSE)
    finally:
        page.close()


def test_a_notebook_shows_the_app_in_a_frame_that_notebooks_of_this_machine_may_have(monkeypatch):
    shown = []
    monkeypatch.setattr("gradio.utils.ipython_check", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(embed, "make_page", lambda models, hub: {"page": blocks(), "appearance": {}, "checks": {}})
    for name in settings.ENVIRONMENT:
        monkeypatch.setenv(name, "kept")
    running = cct_viz.launch(height=500)
    try:
        policy = httpx.get(running.url, trust_env=False, timeout=60).headers["Content-Security-Policy"]
        assert policy.endswith("http://localhost:* http://127.0.0.1:*")
        assert f'<iframe src="{running.url}" width="100%" height="500"' in shown[0].data
        assert running.url in repr(running)
    finally:
        running.close()


def test_folders_of_repeated_launches_lie_side_by_side(folder):
    assert janitor.make_folder().parent == folder.parent


def test_a_report_that_cannot_be_read_costs_one_sentence(tmp_path):
    (tmp_path / "picture.html").write_bytes(b"\xff\xd8\xff")
    for name, reason in (
        ("away.html", "No such file or directory"),
        (".", "Is a directory"),
        ("picture.html", "it is no"),
    ):
        with pytest.raises(
            OSError, match=f"cannot be read .{reason}.*; give the HTML file that `cct-viz report` wrote"
        ):
            embed.make_page([], hub=False, report=tmp_path / name)
