"""The tools of the Model Context Protocol, called by the protocol's official client on both of Gradio's transports."""

import asyncio
import base64
import json
import socket
from pathlib import Path

import gradio as gr
import gradio.mcp
import httpx
import pytest
from conftest import free_port
from gradio.processing_utils import save_bytes_to_cache

from cct_viz.app.upload import Upload
from cct_viz.server.data_urls import NOT_READABLE
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import launch
from cct_viz.server.mcp import NOT_UPLOADED, PICTURE, find_upload, read_summary

pytestmark = [
    pytest.mark.mcp,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CONTENT = b"not decoded here"


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "uploads" / "a b.png"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def test_a_path_or_an_address_names_an_upload(stored):
    for text in (
        str(stored),
        f"http://127.0.0.1:7860/gradio_api/file={stored}",
        f"https://a.example/cct/gradio_api/file={stored}".replace(" ", "%20"),
    ):
        assert find_upload(text, str(stored.parent)) == str(stored)


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "{folder}/../secret", "{folder}", "{folder}/none.png", "http://a/b.png", "", "\0", "x" * 9999],
)
def test_everything_else_is_refused_in_a_sentence(stored, text):
    (stored.parents[1] / "secret").write_text("x")
    for form in (text, f"http://127.0.0.1/gradio_api/file={text}"):
        with pytest.raises(ValueError, match="This app has no such picture"):
            find_upload(form.replace("{folder}", str(stored.parent)), str(stored.parent))


@pytest.fixture(scope="module")
def served():
    """Address of an app whose tools tell the content of a picture, and its folder of uploads."""
    pytest.importorskip("mcp", reason="the package is missing; get it with: pip install -r requirements-mcp.lock")
    folder = make_folder()

    def tell(image: str, times: str = "1") -> str:
        """What the file holds."""
        return Path(image).read_text() * int(times)

    def size(image: str) -> str:
        """How many bytes the file has."""
        return str(Path(image).stat().st_size)

    def both(image: str) -> tuple[str, str]:
        """Two files."""
        return tuple(save_bytes_to_cache(b"%d" % i, f"{i}.txt", str(folder)) for i in range(2))

    def explain(image: str) -> tuple[str, dict]:
        """A JSON file with a summary, and JSON."""
        content = json.dumps({"summary": {"answer": "Käse"}, "maps": [0.5] * 1000}).encode()
        return save_bytes_to_cache(content, "explanation.json", str(folder)), {"label": "Käse", "band": None}

    with gr.Blocks() as page:
        inputs, button = [Upload(), gr.Textbox("1")], gr.Button()
        button.click(tell, inputs, gr.Textbox(), api_name="tell")
        button.click(size, inputs[:1], gr.Textbox(), api_name="size")
        button.click(both, inputs[:1], [gr.File(), gr.File()], api_name="both")
        button.click(explain, inputs[:1], [gr.File(), gr.JSON()], api_name="explain")
    _, address, _ = launch(page, port=free_port(), block=False, mcp=True)
    yield address, folder
    page.close()


@pytest.fixture(params=["streamable HTTP", "SSE"])
def call(served, request):
    """Runs a function with a session of the client."""
    from mcp import ClientSession
    from mcp.client.sse import sse_client
    from mcp.client.streamable_http import streamablehttp_client

    address = f"{served[0]}gradio_api/mcp/"
    connect = {"streamable HTTP": lambda: streamablehttp_client(address), "SSE": lambda: sse_client(f"{address}sse")}

    def run(work):
        async def main():
            async with connect[request.param]() as streams, ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                return await work(session)

        return asyncio.run(main())

    return run


def ask(call, name, **arguments):
    """Whether a tool refuses, and the texts that it answers."""
    result = call(lambda session: session.call_tool(name, arguments))
    return result.isError, [content.text for content in result.content]


def test_the_schema_says_how_to_hand_over_a_picture(call):
    tools = {tool.name: tool.inputSchema for tool in call(lambda session: session.list_tools()).tools}
    assert tools["tell"]["properties"]["image"] == {"type": "string", "description": PICTURE}
    assert tools["tell"]["required"] == ["image"]


def test_a_data_url_of_more_than_other_requests_may_have(call, served, tmp_path, monkeypatch):
    """More than this app takes elsewhere, and than the protocol's package takes (4 MB)."""
    monkeypatch.setattr(gradio.mcp, "DEFAULT_TEMP_DIR", str(tmp_path))
    text = "data:image/png;base64," + base64.b64encode(b"a" + bytes(6_000_000)).decode()
    assert ask(call, "size", image=text) == (False, ["6000001"])
    files = [path for path in served[1].rglob("*") if path.is_file() and path.stat().st_size == 6_000_001]
    assert len(files) == 1  # in the folder that is swept, and only once
    assert not list(tmp_path.iterdir())


def test_an_upload_by_its_path_and_by_its_address(call, served):
    files = {"files": ("a.png", CONTENT)}
    (path,) = httpx.post(f"{served[0]}gradio_api/upload", files=files, trust_env=False).json()
    for text in (path, f"{served[0]}gradio_api/file={path}"):
        assert ask(call, "tell", image=text, times="2") == (False, [CONTENT.decode() * 2])


def test_nothing_else_is_read_or_fetched(call, tmp_path):
    (tmp_path / "a.png").write_bytes(CONTENT)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        for text in (f"http://127.0.0.1:{other.getsockname()[1]}/a.png", str(tmp_path / "a.png"), "/etc/passwd"):
            assert ask(call, "tell", image=text) == (True, [NOT_UPLOADED])
        with pytest.raises(BlockingIOError):
            other.accept()
    assert ask(call, "tell", image="data:image/png;base64,%%%") == (True, [NOT_READABLE])


def test_each_file_of_an_answer_is_a_content_of_its_own(call):
    _, texts = ask(call, "both", image="data:image/png;base64,QUJD")
    assert [text.rpartition("/")[2] for text in texts] == ["0.txt", "1.txt"]


def test_of_a_json_file_the_answer_has_the_summary_and_an_address_that_works(call):
    failed, (summary, link, answer) = ask(call, "explain", image="data:image/png;base64,QUJD")
    assert not failed
    assert json.loads(summary) == {"answer": "Käse"}
    assert json.loads(answer) == {"label": "Käse", "band": None}
    address = link.removeprefix("All numbers, as JSON: ")
    assert len(httpx.get(address, trust_env=False).json()["maps"]) == 1000


def test_only_json_files_of_the_app_are_read_for_a_summary(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    for path in (folder / "a.json", folder / "a.txt", tmp_path / "b.json"):
        path.write_text('{"summary": 1}')
    (folder / "c.json").write_text("{}")
    read = [read_summary(str(path), str(folder)) for path in (folder / "a.json", folder / "a.txt", folder / "c.json")]
    assert read == ["1", None, None]
    assert read_summary(str(tmp_path / "b.json"), str(folder)) is None
