"""Files of a release: locked dependencies, the Space card, the container, and read-only workflows."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = {
    "requirements.lock": ["requirements.txt"],
    "requirements-mcp.lock": ["requirements.txt", "requirements-mcp.txt"],
    "requirements-ray.lock": ["requirements.txt", "requirements-ray.txt"],
    "requirements-dev.lock": ["requirements.txt", "requirements-dev.txt"],
}

# The keys of a Space's card: those in the Hub's reference of Space configurations, and those of every repository card.
SPACE_KEYS = {
    *("title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "suggested_hardware"),
    *("suggested_storage", "app_file", "app_port", "base_path", "fullWidth", "header", "short_description", "models"),
    *("datasets", "tags", "thumbnail", "pinned", "hf_oauth", "hf_oauth_scopes", "hf_oauth_expiration_minutes"),
    *("hf_oauth_authorized_org", "disable_embedding", "startup_duration_timeout", "custom_headers"),
    *("preload_from_hub", "license"),
}
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
REPO = re.compile(r"[\w.-]+/[\w.-]+")


def read_lines(name):
    """The entries of a requirements file, each on one line."""
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    return [line for line in lines if line and line.lstrip()[0] != "#" and not line.startswith("-r ")]


def read_pins(name):
    return [Requirement(re.sub(r"\s+(--hash=|#).*", "", line)) for line in read_lines(name)]


@pytest.mark.parametrize("lock", [*LOCKS, "requirements-serve.lock"])
def test_a_lock_has_every_pin_and_a_hash_of_each_file(lock):
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", line) for line in read_lines(lock))
    locked = {(pin.name, str(pin.specifier)) for pin in read_pins(lock)}
    assert all(re.fullmatch(r"==[\w.+!]+", version) for _, version in locked)
    for source in LOCKS.get(lock, []):
        assert {(pin.name, str(pin.specifier)) for pin in read_pins(source)} <= locked
    assert "://" not in (ROOT / lock).read_text()  # so that any mirror of the index works


def test_the_pinned_versions_are_among_those_the_package_allows():
    """The app is tested with requirements.txt; an installed package brings what pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    allowed = {(pin.name, str(pin.marker)): pin.specifier for pin in map(Requirement, project["dependencies"])}
    pins = read_pins("requirements.txt")
    assert {(pin.name, str(pin.marker)) for pin in pins} == set(allowed)
    for pin in pins:
        (version,) = pin.specifier
        assert allowed[pin.name, str(pin.marker)].contains(version.version), pin.name


def test_all_locks_have_the_same_versions():
    """Each package of the app has the same version, for the same platforms, in every lock."""
    app, *others = ({str(pin) for pin in read_pins(lock)} for lock in LOCKS)
    assert all(app <= other for other in others)


def test_the_lock_for_serving_is_the_apps_without_training():
    """Serving imports neither Keras nor TensorFlow (`test_serving_loads_no_framework`)."""
    app, serving = ({str(pin) for pin in read_pins(lock)} for lock in ("requirements.lock", "requirements-serve.lock"))
    assert serving < app
    given = {pin.name: str(pin.specifier) for pin in read_pins("requirements.txt")}
    locked = {pin.name: str(pin.specifier) for pin in read_pins("requirements-serve.lock")}
    assert set(given) - set(locked) == {"keras", "tensorflow", "tensorflow-cpu"}
    assert {name: given[name] for name in given if name in locked}.items() <= locked.items()


@pytest.mark.parametrize("extra", ["mcp", "ray"])
def test_an_extra_allows_the_versions_that_are_tested(extra):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    allowed = {Requirement(text).name: Requirement(text) for text in extras[extra]}
    pins = read_pins(f"requirements-{extra}.txt")
    assert {pin.name for pin in pins} == set(allowed)
    for pin in pins:
        (version,) = pin.specifier
        assert allowed[pin.name].specifier.contains(version.version)
        assert allowed[pin.name].extras == pin.extras
    assert set(extras["dataset"]) <= set(extras["ray"])


def test_versions_are_above_those_with_known_faults():
    pins = {pin.name: pin.specifier for pin in read_pins("requirements.lock")}
    for name, floor in {"gradio": "6.31", "pillow": "12.3", "keras": "3.15"}.items():
        (pin,) = pins[name]
        assert tuple(map(int, pin.version.split("."))) >= tuple(map(int, floor.split(".")))


@pytest.fixture(scope="module")
def card():
    return yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def test_the_space_card_has_only_keys_that_the_hub_documents(card):
    assert set(card) <= SPACE_KEYS
    assert card["sdk"] == "gradio"
    assert {card["colorFrom"], card["colorTo"]} <= COLOURS
    assert card["python_version"] in ("3.11", "3.12", "3.13")  # as a number, 3.10 would become 3.1
    assert card["license"] == "apache-2.0"
    assert len(card["title"]) <= 60
    assert len(card["emoji"]) == 1
    assert len(card["short_description"]) <= 60  # the Hub refuses longer ones
    assert (ROOT / card["app_file"]).is_file()
    for key in ("models", "datasets"):
        assert all(REPO.fullmatch(repo) for repo in card[key])
    assert all(re.fullmatch(r"[a-z0-9-]+", tag) for tag in card["tags"])


def test_a_space_installs_the_locked_versions(card):
    """The Hub installs Gradio as in the card, and the rest as in requirements.txt."""
    pins = {pin.name: str(pin.specifier) for pin in read_pins("requirements.txt")}
    assert pins["gradio"] == f"=={card['sdk_version']}"
    for line in card.get("preload_from_hub", []):  # "owner/name [file,file] [commit]"
        assert REPO.fullmatch(line.split()[0])


def test_workflows_have_read_permissions_only():
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        assert "pull_request_target" not in workflow[True]  # YAML reads `on` as True
        for job in workflow["jobs"].values():
            assert set(job) <= {"runs-on", "container", "timeout-minutes", "steps"}
            assert job["timeout-minutes"] <= 60
            for step in job["steps"]:
                if "uses" in step:
                    assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
                    assert step["with"]["persist-credentials"] is False
                assert "${{" not in step.get("run", "")  # so that a pull request's title cannot run as a command
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    runs = [step.get("run", "") for job in jobs for step in job["steps"]]
    assert ".ci/run" in runs
    assert any("pip-audit --require-hashes" in run for run in runs)


def test_every_protection_names_a_test_that_exists():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!threat|---)(.+?) \|.*\| (.+) \|$", text, re.MULTILINE)
    assert len(rows) > 20
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))
    for threat, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, threat
        assert set(named) <= defined, threat
        for script, parts in re.findall(r"`(benchmarks/\w+\.py)([^`]*)`", tests):
            known = re.findall(r'^    "(\w+)": ', (ROOT / script).read_text(encoding="utf-8"), re.MULTILINE)
            assert set(parts.split()) <= set(known), script


def test_the_container_runs_without_root_and_has_a_health_check():
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    words = [word for word, _ in steps]
    assert re.fullmatch(r"python:3\.11-[a-z-]+@sha256:[0-9a-f]{64}", dict(steps)["FROM"])  # one build, for good
    assert ["USER", "1000"] in steps
    assert not {"COPY", "ADD", "RUN"} & set(words[words.index("USER") :])  # its user can change no file of the image
    assert "ProxyHandler({})" in dict(steps)["HEALTHCHECK"]  # a proxy of the environment does not reach the container
    assert "/healthz" in dict(steps)["HEALTHCHECK"]
    writable = dict(pair.split("=") for word, rest in steps if word == "ENV" for pair in rest.split())
    for name in ("HF_HOME", "CCT_VIZ_CACHE", "MPLCONFIGDIR"):  # --read-only --tmpfs /tmp, as documented
        assert writable[name].startswith("/tmp/")
    assert ["ARG", "REQUIREMENTS=requirements-serve.lock"] in steps
    assert any(word == "RUN" and '--requirement "$REQUIREMENTS"' in rest for word, rest in steps)
    copied = [name for word, rest in steps if word == "COPY" for name in rest.split()[:-1]]
    included = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(included)
    assert all((ROOT / name).exists() for name in copied)
