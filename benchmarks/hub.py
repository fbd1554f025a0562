"""What a faulty Hub does to the app: its start, its message, when it gives up, and whether it recovers.

    python benchmarks/hub.py

Runs the real client against each fault of tests/fake_hub.py in turn; the faults that last until the deadline run at the
same time. Then starts the app with a Hub that is silent, one that drips, and one that sends garbage. Targets: the page
answers within 10 s of the start, the message is correct, the app gives up within 60 s and recovers without a restart.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "checkpoints"))

from fake_hub import FAULTS, TOKEN, FakeHub
from served import serve
from test_hub import EXPECTED, EXPECTED_AT_DEADLINE

from cct_viz.app import models as app_models
from cct_viz.architecture.presets import PRESETS
from cct_viz.checkpoints import hub
from cct_viz.inference import load as loading
from cct_viz.inference.classifier import Classifier

AT_DEADLINE = r"stopped answering|gave no answer|sent 0\.\d of 0\.3 MB|is busy or down"
SIZES = {"config.json": 700, "model.safetensors": 300_000}


def load(source: str, **options: object) -> Classifier:
    """Download a Hub repository as `cct_viz.load` does, but return the bundled weights."""
    if source in PRESETS:
        return loading.load(source)
    hub.fetch(source, **options)  # type: ignore[arg-type]
    return loading.load("keras_cct_cifar10")


def meet(number: int, fault: str, fake: FakeHub, folder: Path) -> tuple[app_models.Models, str, float]:
    """Start the app's models while the Hub has `fault`; returns them, the repository and the seconds it took."""
    repo = f"strange/host-{number}"
    fake.serve(folder, repo)
    fake.faults[repo] = fault
    started = time.monotonic()
    app_models.HUB_REPO = repo
    models = app_models.Models(load=load)
    models.download()
    return models, repo, time.monotonic() - started


def wait(models: app_models.Models) -> tuple[app_models.HubLine, float]:
    """What the page says after the download has ended, and the seconds until then."""
    started = time.monotonic()
    while models.hub_line().busy:
        time.sleep(0.02)
    return models.hub_line(), time.monotonic() - started


def check(
    fault: str, models: app_models.Models, repo: str, fake: FakeHub, met: tuple[app_models.HubLine, float]
) -> bool:
    """End the fault and retry; prints one line and returns whether everything is correct."""
    line, seconds = met
    words = re.escape(EXPECTED[fault][1]) if fault in EXPECTED else AT_DEADLINE
    said = bool(re.search(words, line.text)) and line.can_retry and TOKEN not in line.text
    del fake.faults[repo]
    models.download()
    recovered = not wait(models)[0].can_retry and repo in models.names()
    print(f"{fault:32} {seconds:5.1f} s  {'recovered' if recovered else 'NOT RECOVERED'}  {line.text}", flush=True)
    return said and recovered and seconds < 61  # the child process is stopped at 60


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HF_HOME": f"{home}/hub", "HF_TOKEN": TOKEN, "NO_PROXY": "*"}
        folder = Path(home) / "repository"
        folder.mkdir()
        for name, size in SIZES.items():
            (folder / name).write_bytes(np.random.default_rng(size).bytes(size))
        with contextlib.closing(FakeHub()) as fake:
            os.environ["HF_ENDPOINT"] = fake.url
            good, slowest = [], 0.0
            for number, fault in enumerate(EXPECTED):
                models, repo, seconds = meet(number, fault, fake, folder)
                slowest = max(slowest, seconds)
                good.append(check(fault, models, repo, fake, wait(models)))
            met = [meet(100 + number, fault, fake, folder) for number, fault in enumerate(EXPECTED_AT_DEADLINE)]
            with ThreadPoolExecutor(len(met)) as pool:
                waited = list(pool.map(lambda one: wait(one[0]), met))
            for fault, (models, repo, _), said in zip(EXPECTED_AT_DEADLINE, met, waited, strict=True):
                good.append(check(fault, models, repo, fake, said))
            no_token = not any(request.authorization for request in fake.requests)
            slowest = max(slowest, *(seconds for _, _, seconds in met))
            print(f"{sum(good)} of {len(FAULTS)} faults: right message, stopped in time, recovered")
            print(f"the models were ready at most {slowest:.1f} s after the start; tokens sent: {0 if no_token else 1}")
            fake.serve(folder, "keras-io/cct")
            for fault in ("silent", "drips", "garbage of the right size"):
                fake.faults = {"keras-io/cct": fault}
                with serve(environment={"HF_ENDPOINT": fake.url}) as app:
                    print(f"the app with a Hub that is {fault!r}: page after {app.seconds_to_page:.1f} s (target 10 s)")
                    good.append(app.seconds_to_page < 10)
    sys.exit(not all(good) or not no_token)


if __name__ == "__main__":
    main()
