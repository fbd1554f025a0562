"""The app's page, its endpoints, and what a served app does not expose."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
from conftest import connect, make_trace, tiny_config
from gradio.processing_utils import save_bytes_to_cache
from gradio_client import handle_file
from PIL import Image
from waiting import PATIENCE

from cct_viz.app import page, serve, upload
from cct_viz.app.models import HubLine
from cct_viz.app.page import build_page
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints import CheckpointError
from cct_viz.checkpoints.given import ASSUMED_LABELS
from cct_viz.images.decode import decode
from cct_viz.inference.classifier import Source
from cct_viz.methods import METHODS, explain
from cct_viz.server import settings
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import PRIVATE, launch
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.html import TITLE

# Gradio and its client leave sockets and event loops to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]


class FakeModels:
    """A stub for Models without a model: the trace depends on the pixels only."""

    def __init__(self, config=None, *, num_parameters=1234):
        self.config = config or tiny_config(assumptions=(ASSUMED_LABELS,))
        self.num_parameters = num_parameters
        self.problem = ""
        self.downloads = 0

    def names(self):
        return ["tiny"]

    def get(self, name):
        if name != "tiny":
            raise CheckpointError(f"no model is called {name!r}; available: tiny")
        return SimpleNamespace(
            gauge=None,
            config=self.config,
            folder=None,
            source=Source("bundled", name, "abcdef"),
            position_prior=None,
            metrics={},
            num_parameters=self.num_parameters,
            weights={key: np.zeros(shape, np.float32) for key, shape in expected_shapes(self.config).items()},
        )

    def trace(self, name, image):
        return make_trace(self.config, seed=int(decode(image).mean()))

    def trace_pixels(self, name, pixels):
        return self.trace(name, pixels)

    def hub_line(self):
        return HubLine("keras-io/cct could not be loaded.", can_retry=True)

    def download(self):
        self.downloads += 1


def test_weights_are_one_file_that_stays():
    """Every visitor's page fetches it; the janitor removes what belongs to no component."""
    models = FakeModels()
    with gr.Blocks():
        owner = gr.HTML()
        files = page.PageFiles(owner)
        address = files.address(models.get("tiny"))
        assert address == files.address(models.get("tiny"))
    path = address.removeprefix("gradio_api/file=")
    assert owner.keep_in_cache == {path}
    assert path.endswith("abcdef.safetensors")
    assert Path(path).stat().st_size < 4 * 1234 * 10
    Path(path).unlink()  # a cleaner of temporary files took it
    assert files.address(models.get("tiny")) == address
    assert Path(path).is_file()


def test_languages_are_files_that_the_page_fetches():
    with gr.Blocks():
        owner = gr.HTML()
        addresses = page.PageFiles(owner).languages()
    assert sorted(addresses) == ["de", "es", "fr", "zh"]
    path = Path(addresses["de"].removeprefix("gradio_api/file="))
    assert str(path) in owner.keep_in_cache
    assert json.loads(path.read_text(encoding="utf-8"))["texts"]["close"] == "Schließen"


def test_a_load_of_the_page_reads_no_language(monkeypatch):
    """Every visitor asks for the addresses; the files have 380 kB."""
    with gr.Blocks():
        files = page.PageFiles(gr.HTML())
        addresses = files.languages()

    def refuse(*args, **options):
        raise AssertionError("it reads a file again")

    for name in ("read_text", "read_bytes"):
        monkeypatch.setattr(Path, name, refuse)
    assert files.languages() == addresses


@pytest.mark.parametrize("weight", [1.0, 1e6])
def test_a_model_that_does_not_fit_into_a_page_runs_on_the_server(weight):
    """It is too large, or a weight is too large for float16."""
    models = FakeModels(num_parameters=1234 if weight > 1 else page.MOST_BYTES)
    model = models.get("tiny")
    model.weights["head/bias"] += np.float32(weight)
    with gr.Blocks():
        assert page.PageFiles(gr.HTML()).address(model) is None


def run_app(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "app.py", "--no-hub", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def check_one_sentence(status, out, said):
    assert status == 1
    assert said in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""


@pytest.fixture
def start(monkeypatch, tmp_path, capsys):
    """start(*arguments) -> the exit status and the output of an app that cannot start, in this process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(settings, "set_environment", lambda: None)  # of the whole process
    monkeypatch.setattr(settings, "set_memory", lambda: None)
    return lambda *arguments: (serve.main(["--no-hub", *arguments]), capsys.readouterr())


@pytest.mark.parametrize("text", ["99999", "0", "-1", "http", "1" * 5000])
def test_invalid_port_gives_one_sentence(start, text):
    check_one_sentence(*start(f"--port={text}"), "from 1 to 65535")


@pytest.mark.slow
def test_invalid_environment_variable_gives_one_sentence():
    """In a process of its own: Gradio reads the variable when it is imported."""
    done = run_app(GRADIO_SERVER_PORT="http")
    check_one_sentence(done.returncode, SimpleNamespace(out=done.stdout, err=done.stderr), "from 1 to 65535")


def test_invalid_host_gives_one_sentence(start):
    check_one_sentence(*start("--host", "no such host"), "cannot listen on no such host")


@pytest.mark.parametrize("by_variable", [False, True])
def test_busy_port_gives_one_sentence_and_no_other_port_is_used(start, monkeypatch, by_variable):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        monkeypatch.setenv("GRADIO_SERVER_PORT", port if by_variable else "")
        result = start() if by_variable else start("--port", port)
    check_one_sentence(*result, f"cannot listen on 127.0.0.1, port {port}")


def test_box_passes_only_the_path():
    with gr.Blocks():
        original = upload.Upload(label="picture")
        box = type(original)(**original.constructor_args)  # as Gradio creates it again when a listener updates it
    assert box.get_block_name() == "image"
    assert box.preprocess(None) is None
    assert box.postprocess("/tmp/photo.svg").path == "/tmp/photo.svg"
    assert box.postprocess(None) is None
    stored = save_bytes_to_cache(b"x", "x.png", box.GRADIO_CACHE)
    assert box.preprocess(gr.data_classes.ImageData(path=stored)) == stored
    with pytest.raises(gr.Error, match="PNG"):
        box.preprocess(gr.data_classes.ImageData(url="data:image/png;base64,AAAA"))


@pytest.fixture(scope="module")
def served():
    """A page with a stub model on a free port, without a browser."""
    models = FakeModels()
    make_folder()
    page = build_page(models)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, address, _ = launch(page, host="127.0.0.1", port=port, block=False)
    yield models, address
    page.close()


@pytest.fixture(scope="module")
def client(served):
    return connect(served[1])


def test_the_only_public_endpoints_are_classify_and_explain(client):
    info = client.view_api(return_format="dict")
    assert set(info["named_endpoints"]) == {"/classify", "/explain"}
    assert info["unnamed_endpoints"] == {}


def test_the_inputs_name_no_url_because_urls_are_refused(served):
    info = httpx.get(f"{served[1]}gradio_api/info", trust_env=False).json()["named_endpoints"]
    for endpoint in info.values():
        picture = endpoint["parameters"][0]
        assert list(picture["type"]["properties"]) == ["path", "meta"]
        assert picture["python_type"]["description"] == upload.PATH
        assert "http" not in json.dumps(picture)
        assert "image=handle_file('photo.jpg')" in endpoint["code_snippets"]["python"]


def test_classify_returns_the_label_of_an_image(client):
    answer = client.predict(handle_file(EXAMPLES[3]), api_name="/classify")
    expected = FakeModels().trace("tiny", EXAMPLES[3])
    assert answer["label"] == expected.top(1)[0][0]
    given = {entry["label"]: entry["confidence"] for entry in answer["confidences"]}
    assert given == pytest.approx(dict(expected.top(3)))
    assert answer["band"] is answer["usual"] is None  # the stub's model was not measured
    assert answer["output"] == "softmax"
    assert answer["assumptions"] == [ASSUMED_LABELS]


def ask(served, name, *data):
    """Status and JSON of a request of the page."""
    answer = httpx.post(f"{served[1]}gradio_api/run/{name}", json={"data": data}, timeout=PATIENCE, trust_env=False)
    return answer.status_code, answer.json()


def test_the_page_gets_news_and_asks_for_another_download(served):
    before = served[0].downloads
    news = [json.loads(ask(served, "news", again, [])[1]["data"][0]) for again in (False, True)]
    assert [model["id"] for model in news[0]["models"]] == ["tiny"]
    assert news[0]["hub"] == {"text": "keras-io/cct could not be loaded.", "busy": False, "canRetry": True}
    assert served[0].downloads == before + 1
    assert json.loads(ask(served, "news", False, ["tiny"])[1]["data"][0])["models"] == []  # the page has it


def test_the_server_answers_with_the_trace_of_the_pixels(served):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    status, answer = ask(served, "trace", "tiny", base64.b64encode(pixels.tobytes()).decode())
    logits = json.loads(answer["data"][0])["logits"]
    expected = served[0].trace("tiny", pixels).logits
    assert status == 200
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(logits["data"]), "<f4"), expected)


@pytest.mark.parametrize("pixels", ["", "AAAA", "not base64", None, "A" * 956])
def test_odd_pixels_are_refused_in_one_sentence(served, pixels):
    said = "the picture does not have the 12 x 20 pixels that the model expects"
    assert ask(served, "trace", "tiny", pixels) == (422, {"detail": said})


@pytest.mark.parametrize("data", [[], [None, None], [5, {"a": 1}], ["none", ""]])
def test_odd_requests_for_a_trace_are_refused(served, data):
    status, answer = ask(served, "trace", *data)
    assert status == 422
    assert "no model is called" in answer["detail"] or "The inputs are not as expected" in answer["detail"]


@pytest.mark.parametrize("method", ["rollout", "contribution"])  # shares, and numbers with a sign
def test_explain_returns_a_figure_and_all_numbers(client, method):
    picture, numbers = client.predict(handle_file(EXAMPLES[3]), method, "1", api_name="/explain")
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
    numbers = json.loads(Path(numbers).read_text())
    expected = explain(FakeModels().trace("tiny", EXAMPLES[3]), method, target=1)
    np.testing.assert_allclose(numbers["maps"], expected.maps, rtol=1e-6)
    assert numbers["checks"] == dict(expected.checks)
    assert numbers["target"] == numbers["summary"]["explained_class"] == tiny_config().labels[1]
    assert numbers["assumptions"] == [ASSUMED_LABELS]


def test_explain_without_a_method_gives_the_headline_map(client):
    """The stub has no table of its own, so that is rollout."""
    _, numbers = client.predict(handle_file(EXAMPLES[3]), api_name="/explain")
    assert json.loads(Path(numbers).read_text())["method"] == "rollout"


@pytest.mark.parametrize(
    ("arguments", "words_said"), [(("nope", ""), "no method is called"), (("rollout", "zebra"), "zebra")]
)
def test_explain_gives_error_messages(client, arguments, words_said):
    with pytest.raises(Exception, match=words_said):
        client.predict(handle_file(EXAMPLES[3]), *arguments, api_name="/explain")


def test_explain_refuses_methods_that_run_the_model_again(client, monkeypatch):
    monkeypatch.setitem(METHODS, "again", lambda trace, *, classifier: None)
    with pytest.raises(Exception, match="again runs the model again"):
        client.predict(handle_file(EXAMPLES[3]), "again", "", api_name="/explain")


def test_invalid_upload_gives_a_message_without_paths(client, tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(Exception, match=r"notes\.png is .* are accepted") as caught:
        client.predict(handle_file(tmp_path / "notes.png"), api_name="/classify")
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize("path", [ROOT / "app.py", ROOT / "cct_viz/web/example_images/cat.png", Path("/etc/passwd")])
def test_no_file_of_the_machine_can_be_fetched(served, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served[1]}gradio_api/file={path}")
    assert caught.value.code == 403
    assert PRIVATE == ROOT


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}, {"meta": {}}])
@pytest.mark.parametrize("path", [str(EXAMPLES[3]), f"{os.curdir}/docs/page.png", "/etc/passwd", "/nothing", "\0"])
def test_no_picture_of_the_machine_can_be_classified(served, path, meta):
    """Gradio looks whether a path is an upload only if the path comes with "meta"."""
    call = f"{served[1]}gradio_api/call/classify"
    event = httpx.post(call, json={"data": [{"path": path, **meta}]}, trust_env=False).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=PATIENCE, trust_env=False).text
    assert answer.startswith("event: error")
    assert upload.NOT_STORED in answer or "The inputs are not as expected" in answer


def test_the_page_names_no_other_host(served):
    text = urllib.request.urlopen(served[1]).read().decode()
    loaded = re.findall(r"""(?:src|href)=["'](?:https?:)?//([^"'/]+)""", text)
    assert all(host.startswith(("127.0.0.1", "localhost")) for host in loaded)
    assert f'<meta property="og:title" content="{TITLE}"' in text  # the preview of a link says what this is


@pytest.mark.slow
def test_serving_loads_no_framework(tiny_classifier, tiny_folder):
    """Run the whole app in a process of its own, send one request, then list the imported modules."""
    code = f"""
import sys
sys.argv = ["app.py"]
import app
from cct_viz.app.models import Models
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import launch
from cct_viz.app.page import build_page
from cct_viz.web.examples import EXAMPLES
from gradio_client import Client, handle_file
make_folder()
made = build_page(Models([{str(tiny_folder)!r}], hub=False))
_, address, _ = launch(made, host="127.0.0.1", block=False)
assert "matplotlib" not in sys.modules  # takes half a second, for which the page does not wait
client = Client(address, verbose=False, httpx_kwargs={{"timeout": None}})
answer = client.predict(handle_file(EXAMPLES[0]), api_name="/classify")
assert answer["label"] in {tiny_classifier.labels!r}, answer
loaded = {{name.split(".")[0] for name in sys.modules}}
made.close()
print("LOADED", *sorted(loaded & {{"tensorflow", "keras", "tf_keras", "torch", "jax"}}))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "LOADED\n" in done.stdout
