"""Every figure of README.md and of the cards, read again from the file that it comes from.

Each message names file and line. A figure of README.md that no rule below explains fails too: add the rule with it.
"""

import hashlib
import json
import re

import pytest
from reference import FOLDERS, ROOT, read_safetensors

from cct_viz.app.page import MOST_BYTES, MOST_MACS
from cct_viz.reports.paper import WIDTHS
from cct_viz.server.settings import MAX_UPLOAD_MB
from cct_viz.training.recipes import RECIPES
from cct_viz.web import notebook

pytestmark = pytest.mark.truth
CARDS = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
BY_NAME = {folder.name: folder for folder in FOLDERS}


TEST = "test_metrics.json"  # of the weights whose figures on the test images were measured


def read(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def metric(name, key):
    return read(BY_NAME[name], "metrics.json")[key]


def config(name):
    return read(BY_NAME[name], "config.json")


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def prose(text):
    """The text without what is no claim about a file: the Space's card, code, addresses; lines keep their numbers."""
    for pattern in (r"\A---\n.*?\n---\n", r"```.*?```", r"`[^`]*`", r"\]\([^)]*\)", r"https?://\S+"):
        text = re.sub(pattern, blank, text, flags=re.DOTALL)
    return text


def gain_of_convolutions():
    gain = metric("cct_2_3x2_seqpool_seed0", "accuracy") - metric("cvt_2_4_seed0", "accuracy")
    return (f"{100 * gain:.0f}",)


def grid_of_default_model():
    stages = config("cct_2_3x2_32_cifar10")["tokenizer"]
    side = config("cct_2_3x2_32_cifar10")["image_size"][0] // 2 ** len(stages)
    return str(side**2), str(side), str(side)


def default_model():
    tokenizer = config("cct_2_3x2_32_cifar10")["tokenizer"]
    size = str(tokenizer[0]["kernel_size"])
    return str(config("cct_2_3x2_32_cifar10")["num_layers"]), str(len(tokenizer)), size, size


def patches():
    sides = {config(name)["tokenizer"][0]["kernel_size"] for name in ("cvt_2_4_seed0", "vit_2_4_seed0")}
    return (str(sides.pop()),) * 2 if len(sides) == 1 else ("?", "?")


def installed_sizes():
    """MB of requirements.lock and of requirements-serve.lock, as benchmarks/README.md measured them."""
    text = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    found = re.search(
        r"new environments: ([\d,]+) MB from requirements.lock, ([\d,]+) MB from requirements-serve", text
    )
    return tuple(int(size.replace(",", "")) for size in found.groups())


# What README.md says -> what the files give for each group of the pattern.
CLAIMS = {
    r"here (\d+), one for each cell of an (\d+)×(\d+) grid": grid_of_default_model,
    r"more than (\d+) million\s+parameters or (\d+) billion MACs": lambda: (
        f"{MOST_BYTES / 2e6:g}",  # two bytes a parameter
        f"{MOST_MACS / 1e9:g}",
    ),
    r"at most (\d+) MB": lambda: (str(MAX_UPLOAD_MB),),
    r"Python 3\.11 to 3\.13 and (\d+) GB of disk": lambda: (f"{installed_sizes()[0] / 1000:.0f}",),
    r"instead, ([\d.]+) GB, it serves": lambda: (f"{installed_sizes()[1] / 1000:.1f}",),
    r"\((\d+) MB of Python packages; ([\d,]+) MB if": lambda: (
        str(round(installed_sizes()[1], -1)),
        f"{installed_sizes()[0]:,}",
    ),
    r"up to (\d+) MB\. \[examples": lambda: (f"{notebook.MOST_BYTES / 1e6:g}",),
    r": (\d+) or (\d+) mm wide": lambda: (f"{WIDTHS['single']:g}", f"{WIDTHS['double']:g}"),
    r"\((\d+) epochs with RandAugment": lambda: (str(RECIPES["paper_300"].epochs),),
    r"picture \((\d+)×(\d+)\), .* pixels in the model for photos \((\d+)×(\d+)\)": lambda: tuple(
        str(side) for name in ("cct_2_3x2_32_cifar10", "cct_imagenette") for side in config(name)["image_size"]
    ),
    r"photos: ten classes of Imagenette at (\d+)×(\d+) pixels": lambda: tuple(
        map(str, config("cct_imagenette")["image_size"])
    ),
    r"the same ([\d,]+) photos of Imagenette": lambda: (
        re.search(r"([\d,]+) images are for training", (BY_NAME["cct_imagenette"] / "README.md").read_text())[1],
    ),
    r"has (\d) transformer layers and a tokenizer of (\d) convolutions with (\d)×(\d) kernels": default_model,
    r"patches of (\d)×(\d) pixels instead": patches,
    r"the convolutional tokenizer gains (\d+) points": gain_of_convolutions,
}
# Figures of no file of the weights: versions, names, years, what people do, and what other tests measure.
ELSEWHERE = [
    r"5-minute tour",
    r"of 100 (answers|of them)",
    r"at\s+most 45 seconds",  # web/src/journey/scenes.test.ts
    r"1 to 9 open the stations",
    r"sees 13×13\s+pixels|5×5\s+pixels|51×51\s+pixels",  # test_cells.py
    r"of its own,\s+4×4 pixels",  # test_cells.py
    r"start(s)? at 0|white at 0",
    r"16-bit grey|12-bit scans",
    r"the 35 models",  # architecture/test_presets.py
    r"the last 5,000 of the 50,000 training images",  # images/README.md and the split's own test
    r"SHA-256",
    r"CIFAR-10\b",
    r"(CCT|CVT|ViT-Lite)-\d(/\dx?\d?)?",
    r"\btop-[15]\b",
    r"(et al\.|Zuidema|Krizhevsky|example of) 20\d\d",
    r"Apache-2\.0",
]


def test_every_figure_of_the_readme_is_in_its_file():
    whole = (ROOT / "README.md").read_text(encoding="utf-8")
    text = prose(re.sub(r"^\| `weights/.*$", blank, whole, flags=re.MULTILINE))  # the next test reads these rows
    wrong = []
    for pattern, figures in CLAIMS.items():
        source = whole if "Imagenette at" in pattern else text
        every = list(re.finditer(pattern, source))
        assert every, f"README.md no longer says {pattern!r}; remove the rule"
        for found in every:
            if found.groups() != (expected := figures()):
                wrong.append(f"README.md:{line_of(source, found.start())}: {found[0]!r}, but the files give {expected}")
        text = re.sub(pattern, blank, text)
    for pattern in ELSEWHERE:
        text = re.sub(pattern, blank, text)
    wrong += [
        f"README.md:{line_of(text, m.start())}: no rule explains {m[0]!r}" for m in re.finditer(r"\d[\d.,]*", text)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_readme_lists_every_bundled_model_with_its_accuracy():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(weights/\S+)` .*\| ([\d.]+%) \| ([\d.]+%) \| ([\d.]+%|) ?\|$", text, re.MULTILINE)
    expected = {}
    for folder in FOLDERS:
        metrics = read(folder, "metrics.json")
        test = f"{read(folder, TEST)['accuracy']:.2%}" if (folder / TEST).exists() else ""
        expected[str(folder.relative_to(ROOT))] = (f"{metrics['accuracy']:.2%}", f"{metrics['top5']:.2%}", test)
    assert {name: figures for name, *figures in rows} == {name: [*row] for name, row in expected.items()}, "Weights"


@CARDS
def test_a_card_says_what_its_files_say(folder):
    card, metrics, model = (
        (folder / "README.md").read_text(encoding="utf-8"),
        *(read(folder, name) for name in ("metrics.json", "config.json")),
    )
    images = f"{metrics['images']:,}"
    parameters = sum(array.size for array in read_safetensors(folder / "model.safetensors").values())
    width = model["tokenizer"][-1]["channels"]
    shape = f"{model['num_layers']} layers, {model['num_heads']} heads, width {width}"
    lines = [
        f"parameters ({shape}, ",
        f"transformer with {parameters:,} parameters",
        f"| on {images} validation images | |",
        f"| top-1 accuracy | {metrics['accuracy']:.2%} |",
        f"| top-5 accuracy | {metrics['top5']:.2%} |",
        f"| cross-entropy | {metrics['loss']:.4f} nats |",
        f"| expected calibration error, 15 bins | {metrics['ece']:.4f} |",
        f"- Recipe: {len(read(folder, 'history.json'))} epochs",
    ]
    if "confidence" in metrics:
        lines.append(f"| mean probability of the answers | {metrics['confidence']:.2%} |")
        assert sum(band["images"] for band in metrics["bands"]) == metrics["images"]
        assert sum(band["right"] for band in metrics["bands"]) == round(metrics["accuracy"] * metrics["images"])
    if (folder / "gauge.safetensors").exists():
        gauge = read_safetensors(folder / "gauge.safetensors")
        lines.append(f"AUROC {gauge['auroc'][0]:.2f}" if "auroc" in gauge else "apart was not measured.")
    if (folder / TEST).exists():
        test = read(folder, TEST)
        lines += [
            f"On CIFAR-10's {test['images']:,} test images, measured once",
            f"top-1 accuracy {test['accuracy']:.2%},",
            f"top-5 accuracy {test['top5']:.2%}, cross-entropy {test['loss']:.4f} nats, "
            f"expected calibration error {test['ece']:.4f} (`{TEST}`).",
        ]
    if "model-index:" in card:
        lines += [f"type: accuracy, value: {metrics['accuracy']:.4f}", f"top_5_accuracy, value: {metrics['top5']:.4f}"]
    missing = [f"{folder.name}/README.md no longer says {line!r}" for line in lines if line not in card]
    for match in re.finditer(r"^\| ([\w.]+\.\w+) \| `([0-9a-f]{64})` \|$", card, re.MULTILINE):
        if hashlib.sha256((folder / match[1]).read_bytes()).hexdigest() != match[2]:
            missing.append(f"{folder.name}/README.md:{line_of(card, match.start())}: another {match[1]}")
    assert not missing, "\n".join(missing)


COLUMNS = {"mean SRG": (), "over the centre": ("over_centre",), "behind the first": ("behind_first",)}


def cell_text(entry, column, protocols):
    """What a table of score.json's numbers says in one column; None for a column that holds no such number."""
    by_name = {protocol.replace("_", " "): protocol for protocol in protocols}
    if column in by_name:
        values = entry["protocols"][by_name[column]]
        return f"{values['srg']:.3f} ± {values['interval']:.3f} ({100 * values['percentile']:.0f})"
    if column not in COLUMNS:
        return None
    for key in COLUMNS[column]:
        entry = entry[key]
        if entry["interval"] == 0:  # the difference to itself
            return ""
    return f"{entry['srg']:{'+' if COLUMNS[column] else ''}.3f} ± {entry['interval']:.3f}"


@pytest.mark.parametrize("file", ["README.md", "score.md"])
@pytest.mark.parametrize("folder", [f for f in FOLDERS if (f / "score.json").exists()], ids=lambda folder: folder.name)
def test_a_score_table_is_the_one_in_score_json(folder, file):
    record, text = read(folder, "score.json"), (folder / file).read_text(encoding="utf-8")
    entries = {entry["method"].replace("_", " "): entry for entry in record["table"]}
    head = re.search(r"^\|.* map \|.*mean SRG.*$", text, re.MULTILINE)
    columns = [cell.strip() for cell in head[0].strip("|").split("|")]
    wrong, seen = [], set()
    for number, line in enumerate(text[head.end() :].lstrip("\n").splitlines()[1:], line_of(text, head.end()) + 2):
        if not line.startswith("|"):
            break
        cells = dict(zip(columns, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        name = cells["map"].strip("*").replace("_", " ")
        seen.add(name)
        for column, cell in cells.items():
            expected = cell_text(entries[name], column, record["protocols"])
            if expected is not None and cell != expected:
                wrong.append(f"{folder.name}/{file}:{number}: {name}, {column}: {cell}, but score.json has {expected}")
    assert not wrong, "\n".join(wrong)
    assert seen == set(entries)
    for said in (f"Measured on {record['images']:,} images", record["sha256"], record["command"]):
        assert said in text, f"{folder.name}/{file} no longer says {said}"
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == record["sha256"]
