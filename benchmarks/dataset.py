"""What a data set costs: threads and Ray in turn, with 1, 2 and 4 actors, and a run that is killed three times.

    python benchmarks/dataset.py overhead SOURCE [--rounds N]
    python benchmarks/dataset.py killed SOURCE [--engine ray]

SOURCE is anything that `cct-viz analyse` takes. Processor time is of all processes of a run, those of Ray too.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cct_viz.dataset.analyse import read_analysis

ROOT = Path(__file__).resolve().parent.parent
MARK = "CCT_VIZ_BENCHMARK"  # in the environment of all processes of a run
TICKS = os.sysconf("SC_CLK_TCK")
WAYS = {
    "threads": ["--engine", "threads"],
    "Ray, 1 actor": ["--engine", "ray", "--workers", "1"],
    "Ray, 2 actors": ["--engine", "ray", "--workers", "2"],
    "Ray, 4 actors": ["--engine", "ray", "--workers", "4"],
}


class Run:
    """One `cct-viz analyse`, and what its processes have used so far."""

    def __init__(self, source: str, out: Path, words: list[str]):
        self.mark, self.used = f"{MARK}={uuid.uuid4().hex}", {}
        name, value = self.mark.split("=")
        environment = os.environ | {name: value, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "cct_viz", "analyse", source, "--out", str(out), *words]
        self.start = time.perf_counter()
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def look(self) -> bool:
        """Whether it still runs; notes the processor time of its processes."""
        running = self.process.poll() is None
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if self.mark.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                    self.used[pid] = (int(fields[11]) + int(fields[12])) / TICKS
            except OSError:
                continue
        return running

    def wait(self) -> tuple[float, float]:
        """(seconds, processor seconds) of the whole run."""
        while self.look():
            time.sleep(0.2)
        seconds = time.perf_counter() - self.start
        assert self.process.returncode == 0, self.process.returncode
        return seconds, sum(self.used.values())


def measure(source: str, rounds: int) -> None:
    for _ in range(rounds):
        for name, words in WAYS.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds, used = Run(source, Path(folder) / "out", words).wait()
                analysis = read_analysis(Path(folder) / "out")
                size = sum(path.stat().st_size for path in analysis.folder.rglob("*.parquet"))
            count = analysis.manifest["pictures"]
            load = os.getloadavg()[0]
            print(
                f"{name:14} {count:,} pictures: {seconds:6.1f} s, {used:6.1f} s of processor time, "
                f"{1e3 * used / count:5.2f} ms a picture, {size / count:,.0f} bytes a picture, load {load:.0f}",
                flush=True,
            )


def kill(source: str, engine: str) -> None:
    folder = Path(tempfile.mkdtemp())
    words = ["--engine", engine]
    Run(source, folder / "whole", words).wait()
    whole = read_analysis(folder / "whole")
    parts = whole.manifest["chunks"]
    for share in (1, 2, 3):
        run = Run(source, folder / "killed", words)
        while len(list((folder / "killed").glob("pictures/part-*"))) < share * parts // 4:
            assert run.look(), "it ended before it could be killed; take a larger SOURCE"
            time.sleep(0.02)
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        left = len(list((folder / "killed").glob("pictures/part-*")))
        print(f"killed with {left} of {parts} parts", flush=True)
    Run(source, folder / "killed", words).wait()
    killed = read_analysis(folder / "killed")
    same = killed.pictures().equals(whole.pictures()) and killed.problems().equals(whole.problems())
    left = [path.name for path in killed.folder.rglob(".*")]
    print(f"{killed!r}: {'the same rows' if same else 'OTHER ROWS'}, {len(left)} temporary files left")
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("overhead", "killed"))
    parser.add_argument("source")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", default="threads")
    options = parser.parse_args()
    if options.what == "overhead":
        measure(options.source, options.rounds)
    else:
        kill(options.source, options.engine)


if __name__ == "__main__":
    main()
