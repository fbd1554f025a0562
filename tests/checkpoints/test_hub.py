"""The Hub: the real client against a local server with faults."""

import errno
import json
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from waiting import PATIENCE, wait_until

from cct_viz.checkpoints import hub, select_files
from cct_viz.checkpoints.download_job import ANSWER_SECONDS
from cct_viz.checkpoints.hub import HubError, fetch
from cct_viz.checkpoints.hub_errors import explain

pytest_plugins = ["fake_hub"]

DEADLINES = (4.0, 16.0, 64.0)  # seconds: on a busy machine the first may pass before the child asks
REPO = "keras-io/cct"
ROOT = Path(__file__).resolve().parents[2]
NEXT_STEP = re.compile(r"try again|download the repository yourself|check |set HF_HOME|leave it out|Choose another")
SHARD = "variables/variables.data-00000-of-00001"
SAVED_MODEL = {
    "keras_metadata.pb": 5_000,
    "fingerprint.pb": 55,
    SHARD: 60_000,
    "variables/variables.index": 900,
    "saved_model.pb": 200_000,
}


def write_folder(folder, sizes, seed=0):
    for name, size in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(np.random.default_rng([seed, size]).bytes(size))
    return folder


@pytest.fixture
def saved_model(tmp_path, fake_hub):
    folder = write_folder(tmp_path / "repository", {**SAVED_MODEL, "README.md": 300, "assets/notes.txt": 20})
    fake_hub.serve(folder, REPO)
    return folder


@pytest.fixture
def project(tmp_path, fake_hub):
    sizes = {"config.json": 700, "model.safetensors": 300_000, "model.onnx": 1_000, "README.md": 300}
    folder = write_folder(tmp_path / "repository", sizes)
    fake_hub.serve(folder, REPO)
    return folder


def assert_same(snapshot, folder, names):
    got = {f.relative_to(snapshot.folder).as_posix(): f.read_bytes() for f in snapshot.folder.rglob("*") if f.is_file()}
    assert got == {name: (folder / name).read_bytes() for name in names}


def run_python(code, env=None, *, repo_id=REPO, unprivileged=False):
    """Run `code` in a new interpreter; returns what it prints as JSON. Its environment is ours, changed by `env`."""
    new = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    new = {name: value for name, value in new.items() if value is not None}
    command = [sys.executable, "-c", code, json.dumps(repo_id)]
    if unprivileged and os.geteuid() == 0:  # root can write read-only files unless it drops this capability
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, env=new, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FETCH = """
import json, sys
from cct_viz.checkpoints.hub import HubError, fetch
try:
    snapshot = fetch(json.loads(sys.argv[1]))
    print(json.dumps(["ok", sorted(f.name for f in snapshot.folder.rglob("*") if f.is_file())]))
except HubError as error:
    print(json.dumps([error.kind, str(error)]))
"""


def test_fetches_what_a_saved_model_needs_and_nothing_else(fake_hub, saved_model):
    snapshot = fetch(REPO)
    assert (snapshot.repo_id, snapshot.revision) == (REPO, fake_hub.commit(REPO))
    assert_same(snapshot, saved_model, SAVED_MODEL)
    assert fake_hub.count("other") == 0
    assert set(fake_hub.bodies()) == set(SAVED_MODEL)


def test_fetches_what_the_projects_format_needs_and_nothing_else(fake_hub, project):
    assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])


@pytest.mark.parametrize("pinned", [False, True], ids=["branch", "commit"])
def test_cached_model_needs_no_request(fake_hub, project, pinned):
    revision = fake_hub.commit(REPO) if pinned else None
    cold = fetch(REPO, revision=revision)
    asked = len(fake_hub.requests)
    warm = fetch(REPO, revision=revision)
    assert len(fake_hub.requests) == asked
    assert warm == cold
    fake_hub.close()
    assert fetch(REPO, revision=revision, offline=True) == cold
    assert fetch(REPO, revision=revision) == cold


def test_cache_of_the_client_is_used(fake_hub, project, monkeypatch):
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    folder = snapshot_download(REPO, endpoint=fake_hub.url, token=False)
    asked = len(fake_hub.requests)
    snapshot = fetch(REPO)
    assert (str(snapshot.folder), len(fake_hub.requests)) == (folder, asked)


@pytest.mark.parametrize("name", SAVED_MODEL)
def test_incomplete_snapshot_is_not_used(fake_hub, saved_model, monkeypatch, name):
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    folder = Path(snapshot_download(REPO, endpoint=fake_hub.url, token=False))
    (folder / name).unlink()
    with pytest.raises(HubError) as caught:
        fetch(REPO, offline=True)
    assert caught.value.kind == "offline"
    if name == "saved_model.pb":
        fetch(REPO)
        assert (folder / name).read_bytes() == (saved_model / name).read_bytes()


def test_an_interrupted_download_is_completed(fake_hub, saved_model, monkeypatch):
    monkeypatch.setattr(hub, "DEADLINE", 2.0)
    fake_hub.fault = "drips"
    with pytest.raises(HubError):
        fetch(REPO)
    fake_hub.fault = None
    monkeypatch.setattr(hub, "DEADLINE", PATIENCE)
    snapshot = fetch(REPO)
    assert_same(snapshot, saved_model, SAVED_MODEL)
    assert list(snapshot.folder.parent.parent.rglob("*.incomplete")) == []


def test_select_files_needs_every_shard_and_refuses_paths_outside():
    assert select_files(["config.json"]) == []
    assert select_files(["saved_model.pb", "variables/variables.index", SHARD]) != []
    assert select_files(["saved_model.pb", "variables/variables.index", SHARD.replace("of-00001", "of-00002")]) == []
    both = ["../../saved_model.pb", "config.json", "x/config.json", "saved_model.pb", "model.safetensors", "model.onnx"]
    assert select_files(both) == ["config.json", "model.safetensors"]


# fault -> kind and a word of the message
EXPECTED = {
    "no such repository": ("not found", "no public model repository"),
    "private repository": ("not found", "private"),
    "asks for a login": ("forbidden", "401"),
    "forbidden": ("forbidden", "403"),
    "gated": ("forbidden", "owner"),
    "disabled": ("forbidden", "owner"),
    "no such revision": ("not found", "revision main"),
    "file gone": ("not found", "is missing"),
    "rate limit": ("busy", "429"),
    "internal error": ("busy", "500"),
    "unavailable": ("busy", "503"),
    "closes at once": ("offline", "connection"),
    "closes at files": ("offline", "connection"),
    "shortens files": ("damaged", "size or checksum differs"),
    "endless body": ("damaged", "arrived with a wrong size"),
    "garbage of the right size": ("damaged", "checksum"),
    "garbage in small files": ("damaged", "checksum"),
    "no JSON": ("damaged", "HF_ENDPOINT"),
    "no commit": ("damaged", "HF_ENDPOINT"),
    "strange commit": ("damaged", "HF_ENDPOINT"),
    "no JSON listing": ("damaged", "HF_ENDPOINT"),
    "strange listing": ("damaged", "HF_ENDPOINT"),
    "circle": ("damaged", "in a loop"),
    "circle at files": ("damaged", "in a loop"),
    "empty listing": ("not found", "no files"),
    "no model": ("not found", "it has README.md; expected"),
    "too large": ("forbidden", "600 MB"),
    # The client itself retries five times, for about eight seconds, before it gives up.
    "cuts": ("offline", "connection broke"),
}
# These block the client for as long as it allows; the deadline ends it.
EXPECTED_AT_DEADLINE = {
    "silent": ("busy", "no answer"),
    "silent at the listing": ("busy", "no answer"),
    "silent at files": ("busy", "0.0 of 0.3 MB"),
    "stalls": ("busy", "of 0.3 MB"),
    "drips": ("busy", "of 0.3 MB"),
    "rate limit on files": ("busy", "of 0.3 MB"),
    "internal error in the listing": ("busy", "no answer"),
    "internal error on files": ("busy", "of 0.3 MB"),
}


def test_every_fault_has_an_expectation():
    from fake_hub import FAULTS

    assert set(EXPECTED) | set(EXPECTED_AT_DEADLINE) == set(FAULTS)


def fail(repo_id):
    """Run a fetch that must fail; returns the kind and the message, after checking that it can be shown to users."""
    with pytest.raises(HubError) as caught:
        fetch(repo_id)
    message = str(caught.value)
    assert NEXT_STEP.search(message), message
    for secret in (str(Path(os.environ["HF_HOME"]).parent), os.environ["HF_TOKEN"], str(ROOT), "Traceback"):
        assert secret not in message
    return caught.value.kind, message


@pytest.mark.parametrize("fault", EXPECTED)
def test_a_fault_gives_its_message_and_the_next_fetch_succeeds(fake_hub, project, fault, monkeypatch):
    from fake_hub import FAULTS

    monkeypatch.setattr(hub, "DEADLINE", PATIENCE)
    fake_hub.fault = fault
    kind, message = fail(REPO)
    expected, words = EXPECTED[fault]
    assert (kind, words in message) == (expected, True), message
    fake_hub.fault = None
    if FAULTS[fault][0] != "info" or fault == "no such repository":  # the first response alone leaves nothing behind
        assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])


def test_deadline_holds_for_every_fault(fake_hub, project, monkeypatch):
    """All faults run at once, so that the test takes one deadline and not their sum."""
    from fake_hub import FAULTS

    fake_hub.faults = {f"strange/host-{i}": fault for i, fault in enumerate(EXPECTED_AT_DEADLINE)}
    for repo_id in fake_hub.faults:
        fake_hub.serve(project, repo_id)
    with ThreadPoolExecutor(len(fake_hub.faults)) as pool:
        for deadline in (12.0, 24.0, 48.0):  # until every child came as far as its fault, however busy the machine is
            monkeypatch.setattr(hub, "DEADLINE", deadline)
            fake_hub.requests.clear()
            answers = list(pool.map(fail, fake_hub.faults))
            asked = {
                (request.path.count(repo_id) and repo_id, request.route)
                for request in fake_hub.requests
                for repo_id in fake_hub.faults
            }
            if all(
                {(repo_id, route) for route in FAULTS[fault][0].split()} & asked
                for repo_id, fault in fake_hub.faults.items()
            ):
                break
        for (kind, message), (expected, words) in zip(answers, EXPECTED_AT_DEADLINE.values(), strict=True):
            by_deadline = words in message and f" in {deadline:.0f} s;" in message
            by_client = deadline > ANSWER_SECONDS and "stopped answering" in message  # which gives up earlier
            assert kind == expected, message
            assert by_deadline or by_client, message
        monkeypatch.setattr(hub, "DEADLINE", PATIENCE)
        repos, fake_hub.faults = list(fake_hub.faults), {}
        for snapshot in pool.map(fetch, repos):
            assert_same(snapshot, project, ["config.json", "model.safetensors"])


def test_no_download_outlives_its_deadline(fake_hub, project, monkeypatch):
    fake_hub.fault = "silent"
    for seconds in DEADLINES:
        monkeypatch.setattr(hub, "DEADLINE", seconds)
        fail(REPO)
        if fake_hub.requests:
            break
    assert fake_hub.hung_up.wait(PATIENCE)


def test_no_download_outlives_its_parent(fake_hub, project):
    fake_hub.fault = "silent"
    with subprocess.Popen(
        [sys.executable, "-c", FETCH, json.dumps(REPO)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as parent:
        wait_until(lambda: fake_hub.requests or parent.poll() is not None)
        assert parent.poll() is None
        assert not fake_hub.hung_up.is_set()
        parent.kill()
    assert fake_hub.hung_up.wait(PATIENCE)


def test_large_downloads_get_more_time(fake_hub, project, monkeypatch):
    assert hub.time_limit(10_000_000) == 60
    assert hub.time_limit(10_100_000) == 61
    monkeypatch.setattr(hub, "FREE_BYTES", 0)
    monkeypatch.setattr(hub, "BYTES_PER_SECOND", 200_000)  # 1.5 s more for 300 kB
    fake_hub.fault = "stalls"
    for seconds in DEADLINES:
        monkeypatch.setattr(hub, "DEADLINE", seconds)
        with pytest.raises(HubError) as caught:
            fetch(REPO)
        if "MB of keras-io/cct" in str(caught.value):
            break
    assert re.search(rf"0\.\d of 0\.3 MB of keras-io/cct in {seconds + 1.5:.0f} s;", str(caught.value))


def test_host_that_does_not_exist(fake_hub, project):
    fake_hub.close()
    with pytest.raises(HubError) as caught:
        fetch(REPO)
    assert (caught.value.kind, "cannot be reached" in str(caught.value)) == ("offline", True)


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1", "", "nonsense"])
def test_an_endpoint_that_is_no_web_address(fake_hub, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(HubError, match="HF_ENDPOINT is not a web address") as caught:
        fetch(REPO)
    assert caught.value.kind == "offline"


@pytest.mark.parametrize(
    "repo_id", ["cct", "a/b/c", "keras-io/../x", "keras-io/a b", "keras--io/cct", "", "/", "a/b\n"]
)
def test_invalid_repository_name_is_refused_without_a_request(fake_hub, repo_id):
    with pytest.raises(HubError, match="expected owner/name") as caught:
        fetch(repo_id)
    assert (caught.value.kind, fake_hub.requests) == ("not found", [])


@pytest.mark.parametrize("revision", ["", "../../etc", "a b", "/etc/passwd", "ma\nin"])
def test_invalid_revision_is_refused_without_a_request(fake_hub, revision):
    with pytest.raises(HubError, match="expected a branch, a tag or a 40-digit commit") as caught:
        fetch(REPO, revision=revision)
    assert (caught.value.kind, fake_hub.requests) == ("not found", [])


def test_an_unknown_revision_is_named(fake_hub, project):
    with pytest.raises(HubError, match="no revision v9") as caught:
        fetch(REPO, revision="v9")
    assert caught.value.kind == "not found"


def test_offline_makes_no_request(fake_hub, project):
    with pytest.raises(HubError, match="HF_HUB_OFFLINE") as caught:
        fetch(REPO, offline=True)
    assert (caught.value.kind, fake_hub.requests) == ("offline", [])


def test_environment_variables_are_respected(fake_hub, project, tmp_path):
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE in an interpreter of their own, as a user sets them."""
    home = tmp_path / "elsewhere"
    kind, message = run_python(FETCH, {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1"})
    assert (kind, "HF_HUB_OFFLINE" in message, fake_hub.requests) == ("offline", True, [])
    files = ["config.json", "model.safetensors"]
    assert run_python(FETCH, {"HF_HOME": str(home)}) == ["ok", files]
    assert (home / "hub" / "models--keras-io--cct").is_dir()
    asked = len(fake_hub.requests)
    assert run_python(FETCH, {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": None}) == ["ok", files]
    assert len(fake_hub.requests) == asked


def test_four_processes_download_once(fake_hub, saved_model):
    command = [sys.executable, "-c", FETCH, json.dumps(REPO)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    four = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [json.loads(process.communicate()[0]) for process in four]
    names = sorted(Path(name).name for name in SAVED_MODEL)
    assert [files for _, files in answers] == [names] * 4
    assert fake_hub.bodies().count("saved_model.pb") == 1
    assert sorted(fake_hub.bodies()) == sorted(SAVED_MODEL)


def test_a_damaged_cache_is_repaired(fake_hub, project):
    snapshot = fetch(REPO)
    blob = (snapshot.folder / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(HubError, match="damaged copy") as caught:
        fetch(REPO, offline=True)
    assert caught.value.kind == "offline"
    fake_hub.requests.clear()
    assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])
    assert (fake_hub.bodies().count("model.safetensors"), fake_hub.count("info")) == (1, 1)


def test_corrupt_small_file_is_refused_and_deleted(fake_hub, project):
    """config.json is not in large-file storage: only git's checksum in the listing tells that its content is wrong."""
    fake_hub.fault = "garbage in small files"
    with pytest.raises(HubError, match=r"^config\.json of keras-io/cct arrived damaged") as caught:
        fetch(REPO)
    assert (caught.value.kind, fake_hub.bodies().count("config.json")) == ("damaged", 2)
    assert fake_hub.bodies().count("model.safetensors") <= 2
    assert hub.cached() == []
    fake_hub.fault = None
    assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])
    fake_hub.close()
    assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])


def test_corrupt_file_in_the_cache_is_downloaded_again(fake_hub, project):
    blob = (fetch(REPO).folder / "config.json").resolve()
    blob.write_bytes(bytes(blob.stat().st_size))
    assert_same(fetch(REPO), project, ["config.json", "model.safetensors"])


def test_corrupt_file_is_downloaded_at_most_twice(fake_hub, project):
    fake_hub.fault = "garbage of the right size"
    with pytest.raises(HubError, match="arrived damaged twice"):
        fetch(REPO)
    assert fake_hub.bodies() == ["config.json", "config.json"]


def test_progress_is_called_in_the_callers_thread(fake_hub, project):
    seen = []
    fetch(REPO, progress=lambda done, total, text: seen.append((done, total, text, threading.get_ident())))
    assert {thread for *_, thread in seen} == {threading.get_ident()}
    assert seen[0][:2] == (0, 0)
    assert seen[-1][:3] == (300_700, 300_700, "Fetching keras-io/cct: 0.3 of 0.3 MB")
    done = [done for done, *_ in seen]
    assert done == sorted(done)
    seen.clear()
    fetch(REPO, progress=lambda *report: seen.append(report))
    assert seen == []


def test_progress_can_stop_the_download(fake_hub, project):
    def stop(done, total, text):
        if total:
            wait_until(lambda: fake_hub.count("file", "HEAD"))
            raise KeyboardInterrupt

    fake_hub.fault = "silent at files"
    with pytest.raises(KeyboardInterrupt):
        fetch(REPO, progress=stop)
    assert fake_hub.hung_up.wait(PATIENCE)


def test_the_terminal_shows_progress_and_a_file_does_not(capsys, monkeypatch):
    hub.print_progress(1, 2, "half")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    hub.print_progress(1, 2, "half")
    hub.print_progress(2, 2, "whole")
    assert capsys.readouterr().err == "\x1b[Khalf\r\x1b[Kwhole\n"


def test_a_cache_that_cannot_be_written(fake_hub, project, tmp_path, monkeypatch):
    from huggingface_hub import constants

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(HubError, match="set HF_HOME") as caught:
        fetch(REPO)
    assert caught.value.kind == "forbidden"
    assert str(tmp_path) not in str(caught.value)


def test_a_cache_that_can_only_be_read(fake_hub, project, tmp_path):
    files = ["config.json", "model.safetensors"]
    assert run_python(FETCH) == ["ok", files]
    asked = len(fake_hub.requests)
    home = tmp_path / "hf_home"
    folders = [home, *(folder for folder in home.rglob("*") if folder.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert run_python(FETCH, unprivileged=True) == ["ok", files]
        assert len(fake_hub.requests) == asked
        fake_hub.serve(project, "keras-io/other")
        kind, message = run_python(FETCH, repo_id="keras-io/other", unprivileged=True)
        assert (kind, "set HF_HOME" in message) == ("forbidden", True)
    finally:
        for folder in folders:
            folder.chmod(0o755)


def test_a_user_without_a_home(fake_hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", "~nobody-of-this-name/.cache/huggingface/hub")
    with pytest.raises(HubError, match="no home folder") as caught:
        fetch(REPO)
    assert caught.value.kind == "forbidden"


def test_disk_full_during_the_download(fake_hub, project):
    """A limit on file sizes stands for a full disk: the client's write fails in the same place."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    kind, message = run_python(limit + FETCH)
    assert (kind, "disk is too full" in message) == ("busy", True)
    assert run_python(FETCH)[0] == "ok"


def test_full_disk_error_is_recognised():
    error = explain(OSError(errno.ENOSPC, "No space left on device", "/srv/secret"), REPO, None)
    assert (error.kind, "/srv" in str(error)) == ("busy", False)


class Response:
    def __init__(self, status_code, headers=()):
        self.status_code, self.headers = status_code, headers


def client_error(name, *bases, status=None, headers=()):
    """An error as the client raises it, which `explain` knows by its name and its response."""
    error = type(name, bases or (Exception,), {})("in /srv/secret")
    if status is not None:
        error.response = Response(status, headers)
    return error


# error -> kind and words of the message
ERRORS = {
    "offline mode": (client_error("OfflineModeIsEnabled"), "offline", "unset HF_HUB_OFFLINE"),
    "gated": (client_error("GatedRepoError", status=403), "forbidden", "restricts access: ask the owner"),
    "disabled": (client_error("DisabledRepoError", status=403), "forbidden", "restricts access: ask the owner"),
    "no revision": (client_error("RevisionNotFoundError", status=404), "not found", "has no revision main"),
    "no repository": (
        client_error("RepositoryNotFoundError", status=401, headers=["X-Error-Code"]),
        "not found",
        "no public model repository keras-io/cct",
    ),
    "login": (client_error("RepositoryNotFoundError", status=401), "forbidden", "(401) without a login"),
    "legal": (client_error("HfHubHTTPError", status=451), "forbidden", "(451) without a login"),
    "busy": (client_error("HfHubHTTPError", status=429), "busy", "(429): try again in a few minutes"),
    "down": (client_error("HfHubHTTPError", status=503), "busy", "(503): try again in a few minutes"),
    "no file": (
        client_error("RemoteEntryNotFoundError", type("EntryNotFoundError", (Exception,), {})),
        "not found",
        "A file that",
    ),
    "gone": (client_error("HfHubHTTPError", status=410), "not found", "lists is missing: try again later"),
    "circle": (client_error("TooManyRedirects"), "damaged", "redirects in a loop: check HF_ENDPOINT"),
    "no address": (client_error("LocalProtocolError"), "offline", "HF_ENDPOINT is not a web address"),
    "silence": (client_error("ReadTimeout", type("TimeoutException", (Exception,), {})), "busy", "stopped answering"),
    "no connection": (
        client_error("ConnectTimeout", type("TimeoutException", (type("TransportError", (Exception,), {}),), {})),
        "offline",
        "cannot be reached, or the connection broke: check the connection",
    ),
    "disk full": (OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/secret"), "busy", "disk is too full"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "/srv/secret"), "forbidden", "cannot be written"),
    "wrong size": (OSError("Consistency check failed"), "damaged", "arrived with a wrong size"),
    "no metadata": (
        client_error("FileMetadataError", OSError),
        "damaged",
        "could not be understood (FileMetadataError)",
    ),
    "unknown": (KeyError("/srv/secret"), "damaged", "could not be understood (KeyError)"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_the_client_is_explained_by_what_to_do(case):
    error, kind, words = ERRORS[case]
    explained = explain(error, REPO, None)
    assert (explained.kind, words in str(explained)) == (kind, True), explained
    assert re.search("check |try again|ask the|unset|set HF_HOME|download the|free some", str(explained))
    assert "/srv" not in str(explained)


def test_the_reason_of_an_error_is_in_its_causes():
    wrapper = client_error("LocalEntryNotFoundError", type("EntryNotFoundError", (Exception,), {}))
    wrapper.__cause__ = client_error("HfHubHTTPError", status=429)
    assert explain(wrapper, REPO, None).kind == "busy"
    reason = HubError("forbidden", "the reason")
    wrapper.__cause__ = reason
    assert explain(wrapper, REPO, None) is reason
    wrapper.__cause__ = None
    assert "(LocalEntryNotFoundError)" in str(explain(wrapper, REPO, None))


def test_importing_the_readers_the_hub_and_convert_loads_no_framework_and_no_client():
    code = (
        "import cct_viz.checkpoints.convert, cct_viz.checkpoints.hub, sys, json; print(json.dumps(list(sys.modules)))"
    )
    assert not {"huggingface_hub", "keras", "tensorflow", "torch"} & set(run_python(code))
