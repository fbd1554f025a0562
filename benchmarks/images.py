"""Decode every file of a folder with our decoder, and compare it with TensorFlow's decoder.

    python benchmarks/images.py DIR [--make N] [--seed S] [--without-tensorflow]

Each decoder runs in a child process, which is stopped if it hangs: a crash or a hang is counted, and the next file is
read. `--make N` first writes to DIR N damaged copies of the tests' unusual images, and their files of many small parts.
Targets: 0 crashes, 0 hangs, the slowest file under 1 s, each refusal is a readable message, and 99.9 % of the files
that both decoders accept differ by at most 1 grey level.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import selectors
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cct_viz.images.decode import ACCEPTED, ImageError, decode
from cct_viz.images.headers import MAX_PIXELS, find_format, read_header

ROOT = Path(__file__).resolve().parent.parent
HANG_SECONDS = 20.0
MEMORY_LIMIT = 8_000_000_000  # bytes of address space for TensorFlow's decoder, which has no cap on pixels
SENTENCE = re.compile(r"accepted|expected")


class Child:
    """A process that decodes the files whose paths it reads, and answers with one line of JSON for each."""

    def __init__(self, decoder: str):
        self.command = [sys.executable, __file__, "--child", decoder]
        self.process: subprocess.Popen | None = None

    def ask(self, path: Path) -> dict:
        """The result of one file: "verdict" is accepted, refused, raised, crash or hang."""
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(self.command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
            self.process.stdout.readline()  # the child has finished its imports
        self.process.stdin.write(json.dumps(str(path)).encode() + b"\n")
        self.process.stdin.flush()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            if not waiting.select(HANG_SECONDS):
                return self.end("hang")
        line = self.process.stdout.readline()
        return json.loads(line) if line else self.end("crash")

    def end(self, verdict: str) -> dict:
        self.process.kill()
        status = self.process.wait()
        self.process = None
        return {"verdict": verdict, "text": f"exit status {status}", "seconds": HANG_SECONDS, "memory": 0.0}


def serve_child(decoder: str, out: int) -> None:
    """Decode the files named on stdin; write the pixels to a file that the parent reads."""
    if decoder == "tensorflow":
        run = import_tensorflow_decoder()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    else:
        run = decode
    answers = os.fdopen(out, "w")
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        path = json.loads(line)
        before = reset_peak()
        started = time.process_time()  # processor time does not depend on the load
        try:
            pixels = run(path)
            result = {"verdict": "accepted", "text": "x".join(map(str, pixels.shape))}
        except Exception as error:
            expected = isinstance(error, ImageError) or decoder == "tensorflow"
            result = {"verdict": "refused" if expected else "raised", "text": str(error)[:300]}
            result["error"] = type(error).__name__
        result |= {"seconds": time.process_time() - started, "memory": read_status("VmHWM") - before}
        if result["verdict"] == "accepted":
            np.save(pixels_file(os.getppid(), decoder), pixels)
        print(json.dumps(result), file=answers, flush=True)


def import_tensorflow_decoder():
    os.environ["CUDA_VISIBLE_DEVICES"], os.environ["TF_CPP_MIN_LOG_LEVEL"] = "", "3"
    import tensorflow as tf

    def run(path: str) -> np.ndarray:
        """(H, W, 3) uint8, transparency over white."""
        data = Path(path).read_bytes()
        kind = find_format(data)
        if kind == "JPEG":
            return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        # If a PNG of 1, 2 or 4 bits has no alpha, TensorFlow invents one of 1, 3 or 15.
        channels = {"WEBP": 4, "GIF": 3, "PNG": 4 if b"tRNS" in data else 0}.get(kind, 0)
        pixels = tf.io.decode_image(data, channels=channels, expand_animations=False).numpy()
        colour, alpha = pixels, None
        if pixels.shape[-1] in (2, 4):
            colour, alpha = pixels[..., :-1], pixels[..., -1:] / 255
        if alpha is not None:
            colour = np.round(alpha * colour + (1 - alpha) * 255).astype(np.uint8)
        return colour if colour.shape[-1] == 3 else np.repeat(colour, 3, axis=-1)

    return run


def reset_peak() -> float:
    """Reset the peak memory of this process; returns its present memory, in MB."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return read_status("VmRSS")


def read_status(field: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)[0]) / 1e3


def pixels_file(parent: int, decoder: str) -> Path:
    return Path("/dev/shm" if Path("/dev/shm").is_dir() else "/tmp") / f"pixels_{parent}_{decoder}.npy"


def compare(path: Path) -> str | int:
    """The largest difference between the two decoders' pixels in grey levels, or why they are not compared."""
    ours, theirs = (np.load(pixels_file(os.getpid(), name)) for name in ("ours", "tensorflow"))
    data = path.read_bytes()
    kind = find_format(data)
    header = read_header(data, kind)
    if header.orientation != 1:
        return "EXIF orientation, which TensorFlow ignores"
    if kind == "JPEG" and header.size[0] * header.size[1] > MAX_PIXELS:
        return "decoded at reduced scale"
    if kind == "BMP" and data[28] != 24:
        return "BMP palette or masks, which TensorFlow ignores"
    if kind == "GIF":
        with Image.open(path) as image:
            if image.has_transparency_data or image.tile[0].extents != (0, 0, *image.size):
                return "GIF with transparency or area outside its frame, black in TensorFlow"
    if ours.shape != theirs.shape:
        return f"sizes differ: {ours.shape} and {theirs.shape}"
    return int(np.abs(ours.astype(int) - theirs).max(initial=0))


def run(folder: Path, with_tensorflow: bool) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    ours, theirs = Child("ours"), Child("tensorflow")
    verdicts: dict[str, Counter] = defaultdict(Counter)
    agreement: dict[str, Counter] = defaultdict(Counter)
    notable, slowest, hungriest = [], (0.0, ""), (0.0, "")
    for path in files:
        answer = ours.ask(path)
        with path.open("rb") as stream:
            kind = find_format(stream.read(64)) or "other"
        verdict = answer["verdict"]
        if verdict == "refused" and not (SENTENCE.search(answer["text"]) and answer["text"].isprintable()):
            verdict = "unreadable message"
        verdicts[kind][verdict] += 1
        slowest = max(slowest, (answer["seconds"], str(path)))
        hungriest = max(hungriest, (answer["memory"], str(path)))
        if verdict not in ("accepted", "refused"):
            notable.append(f"{verdict}: {path}: {answer}")
        if not with_tensorflow or kind == "other":
            continue
        other = theirs.ask(path)
        if (verdict, other["verdict"]) == ("accepted", "accepted"):
            difference = compare(path)
            if isinstance(difference, str):
                agreement[kind][difference.split(":")[0]] += 1
            else:
                agreement[kind]["within 1" if difference <= 1 else "beyond 1"] += 1
            if isinstance(difference, int) and difference > 1:
                notable.append(f"differs: {path}: {difference}")
        elif "accepted" in (verdict, other["verdict"]):
            alone = "only we accept" if verdict == "accepted" else "only TensorFlow accepts"
            agreement[kind][alone] += 1
            if verdict == "refused":
                notable.append(f"{alone}: {path}: {answer['text']}")
    for name in ("ours", "tensorflow"):
        pixels_file(os.getpid(), name).unlink(missing_ok=True)
    print("\n".join(notable))
    print(f"{len(files)} files in {folder}; {ACCEPTED}")
    for kind, counts in sorted(verdicts.items()):
        print(f"{kind:6} {dict(counts)}  {dict(agreement[kind])}")
    total = sum(verdicts.values(), Counter())
    wrong = {name: total[name] for name in ("crash", "hang", "raised", "unreadable message")}
    print(f"{dict(total)}; target: {wrong} all 0")
    print(f"slowest {slowest[0]:.2f} s of processor time (target 1 s) {slowest[1]}")
    print(f"most memory {hungriest[0]:.0f} MB above the start {hungriest[1]}")
    both = sum(agreement.values(), Counter())
    compared = both["within 1"] + both["beyond 1"]
    if compared:
        print(f"TensorFlow: {both['within 1']} of {compared} within 1 grey level, {both['within 1'] / compared:.3%}")


def fill(folder: Path, count: int, seed: int) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from odd_images import SLOW, make_kinds, make_slow_file, mutate

    folder.mkdir(parents=True, exist_ok=True)
    kinds, rng = make_kinds(), np.random.default_rng(seed)
    for number in range(count):
        (folder / f"{seed}_{number:06d}").write_bytes(mutate(kinds[number % len(kinds)], rng))
    for kind in SLOW:
        (folder / kind).write_bytes(make_slow_file(kind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--make", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-tensorflow", action="store_true")
    parser.add_argument("--child", choices=["ours", "tensorflow"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        out = os.dup(1)
        os.dup2(2, 1)  # output of the libraries must not mix with our lines
        serve_child(options.child, out)
    elif options.folder is None:
        parser.error("give a folder, DIR")
    else:
        if options.make:
            fill(options.folder, options.make, options.seed)
        run(options.folder, not options.without_tensorflow)


if __name__ == "__main__":
    main()
