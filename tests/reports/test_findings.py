"""The report of a data set: its numbers are those of the tables, and its file fetches nothing."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import cct_viz
from cct_viz.architecture.config import CCTConfig
from cct_viz.cli import main
from cct_viz.methods.strongest import add_picture, no_patches, read_patches
from cct_viz.reports.findings import find
from cct_viz.reports.findings_pdf import write_pdf
from cct_viz.reports.findings_pictures import open_source
from cct_viz.reports.findings_sections import Gallery, Map, Section, Strips, Table, title_of
from cct_viz.reports.report import write_report

pytestmark = [
    pytest.mark.parquet,
    pytest.mark.skipif(not find_spec("pyarrow"), reason="pyarrow is missing; get it with: pip install pyarrow"),
]


@pytest.fixture
def analysed(tmp_path, monkeypatch, tiny_classifier):
    """Twelve pictures of three classes, in chunks of five; one cannot be read."""
    monkeypatch.setattr("cct_viz.dataset.sources.CHUNK", 5)
    rng = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "photos" / tiny_classifier.labels[i % 3].replace(" ", "_") / f"{i}<b>.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)).save(path)
    path.write_bytes(b"damaged")
    return cct_viz.analyse(tiny_classifier, tmp_path / "photos", tmp_path / "out", faithfulness=True)


def test_the_findings_are_means_of_the_tables(analysed):
    findings = find(analysed)
    table = analysed.pictures()
    labels, predicted = (np.array(table.column(name).to_pylist()) for name in ("label", "predicted"))
    assert (findings.pictures, findings.problems) == (11, 1)
    assert findings.accuracy == pytest.approx((labels == predicted).mean())
    np.testing.assert_allclose(findings.position_prior, analysed.array("seqpool").mean(axis=0), rtol=1e-5)
    assert findings.position_prior.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(
        findings.attention_distance, analysed.array("attention_distance").mean(axis=0), rtol=1e-5
    )
    for label, count in findings.predicted.items():
        assert count == (predicted == label).sum()
        expected = analysed.array("attribution")[predicted == label].mean(axis=0)
        np.testing.assert_allclose(findings.attribution[label], expected, rtol=1e-4, atol=1e-6)
    wrong = labels != predicted
    assert sum(cell.count for cell in findings.cells) == wrong.sum()
    assert {one.name for cell in findings.cells for one in cell.shown} <= set(np.array(table.column("image"))[wrong])
    pooled = analysed.array("pooled").astype(np.float64)
    covariance = np.cov(pooled, rowvar=False, bias=True)
    inverse = np.linalg.inv(covariance + 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    apart = pooled - pooled.mean(axis=0)
    distances = np.sqrt(np.einsum("nd,de,ne->n", apart, inverse, apart))
    assert float(findings.unusual[0].text) == pytest.approx(distances.max(), abs=0.05)
    assert float(findings.typical[0].text) == pytest.approx(distances.min(), abs=0.05)
    above = analysed.array("rollout_percentile") >= 0.95
    assert findings.faithfulness["rollout"].beats_chance == pytest.approx(above.mean())


def test_the_report_has_its_pictures_inside_and_fetches_nothing(analysed, tmp_path, capsys):
    assert main(["report", str(analysed.folder)]) == 0
    assert "The report of 11 pictures" in capsys.readouterr().out
    html = (analysed.folder / "report.html").read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(addresses) > 12
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert "<script" not in html
    assert "<b>" not in html  # in the names of files
    assert "&lt;b&gt;.png" in html
    for heading in ("Position prior", "Attention distance", "Which part writes which class", "Classes confused"):
        assert f"<h2>{heading}</h2>" in html


def test_the_strongest_patches_are_those_of_all_chunks(analysed, tiny_classifier, tmp_path):
    names = analysed.pictures(["image"]).column("image").to_pylist()
    pixels = [tiny_classifier.preprocess(tmp_path / "photos" / name).pixels for name in names]
    expected = no_patches(tiny_classifier.config)
    for number, trace in enumerate(tiny_classifier.traces(pixels)):
        expected = add_picture(expected, trace, number)
    findings = find(analysed)
    for one, other in zip(findings.patches, expected, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-5)
        places = [[findings.patch_pictures.get(n, (0, None))[1] for n in row] for row in one.pictures.tolist()]
        assert places == [[names[n] if n >= 0 else None for n in row] for row in other.pictures.tolist()]
    assert main(["report", str(analysed.folder)]) == 0
    assert all(read_patches(analysed.folder, tiny_classifier.config))
    html = (analysed.folder / "report.html").read_text(encoding="utf-8")
    assert html.count("Strongest patches, stage") == 2
    assert html.count("<i style=") == sum(stage.channels for stage in tiny_classifier.config.tokenizer)


def test_a_pdf_is_the_same_twice_and_its_letters_stay_text(analysed, tmp_path, capsys):
    path = tmp_path / "report.pdf"
    assert main(["report", str(analysed.folder), "--out", str(path)]) == 0
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Subtype /Type3" not in content  # letters stay text, which readers can search
    assert all(read_patches(tmp_path, CCTConfig.from_dict(analysed.manifest["config"])))
    assert main(["report", str(analysed.folder), "--out", str(path)]) == 0
    assert path.read_bytes() == content  # the same numbers give the same file


def test_a_pdf_goes_on_over_as_many_pages_as_it_needs(tmp_path, monkeypatch):
    said, written, boxes, numbers = [], [], [], np.arange(70 * 101, dtype=float).reshape(70, 101) - 1000
    place = Figure.add_axes
    monkeypatch.setattr(Figure, "add_axes", lambda self, box: boxes.append(box) or place(self, box))
    monkeypatch.setattr(Axes, "text", lambda self, x, y, text, fontsize, **rest: written.append((text, fontsize)))
    monkeypatch.setattr(Figure, "text", lambda self, x, y, text, **rest: said.append((round(y, 4), text)))
    names = [f"a class with a long name {i}" for i in range(70)]
    body = (
        "word " * 2000,
        Table("true", [f"part {c}" for c in range(101)], names, numbers, "+.1f", numbers, signed=True),
        Table(
            "",
            ["x" * 160, "y" * 160],
            ["z" * 160, "verylongwordwithoutspaces"],
            numbers[:2, :2],
            ".1f",
            numbers[:2, :2],
        ),
        Map(np.ones((3, 40)), "a wide map"),
        Gallery(tuple((f"picture {i} with a name that is long", np.zeros((72, 20, 3), np.uint8)) for i in range(30))),
        Gallery((("away", None),)),
        Strips(np.zeros((300 * 5, 9 * 5, 3), np.uint8), 300),
        Strips(np.zeros((2 * 200, 9 * 20, 3), np.uint8), 2),
    )
    write_pdf("$not maths", [Section("A heading", body)], tmp_path / "long.pdf")
    content = (tmp_path / "long.pdf").read_bytes()
    assert len(re.findall(rb"/Type /Page\b", content)) > 6
    assert all(0.03 < y < 0.97 for y, _ in said)  # no line leaves its page
    assert all(x > 0 and y > 0.03 and x + width < 0.97 and y + height < 0.97 for x, y, width, height in boxes)
    assert {f"part {c}" for c in range(101)} <= {text for text, _ in written}
    assert min(points for _, points in written) > 4.5  # still to be read
    assert "verylongwordwithoutspaces" in {text for text, _ in written}
    assert {str(n) for n in range(1, 301)} <= {text for _, text in said}  # every channel has its strip


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("/home/ada/course/photos/", "tiny on photos"),
        ("photos/*/*.jpg", "tiny on photos/*/*.jpg"),
        ("/home/ada/*.parquet", "tiny on ada/*.parquet"),
        ("s3://bucket/photos", "tiny on photos"),
        ("photo.png", "tiny on photo.png"),
        ("*.png", "tiny on *.png"),
        ("C:\\Users\\ada\\photos", "tiny on photos"),
        ("/home/ada/[2024] photos", "tiny on [2024] photos"),
    ],
)
def test_the_title_does_not_tell_where_the_data_set_is(source, title):
    assert title_of({"model": "tiny", "source": source}) == title


def test_without_its_source_the_report_has_names_only(analysed, tmp_path):
    (tmp_path / "photos" / "more.png").write_bytes(b"")
    assert open_source(analysed.manifest) == ()
    (tmp_path / "photos").rename(tmp_path / "away")
    write_report(analysed, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("<img") == 1  # the map of the weights


def test_a_model_without_weights_and_pictures_without_classes_have_a_shorter_report(class_token_folder, tmp_path):
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    analysis = cct_viz.analyse(cct_viz.load(class_token_folder), tmp_path / "a.png", tmp_path / "out")
    write_report(analysis, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Position prior" not in html
    assert "Classes confused" not in html
    (tmp_path / "a.png").write_bytes(b"damaged")
    empty = cct_viz.analyse(cct_viz.load(class_token_folder), tmp_path / "a.png", tmp_path / "empty")
    with pytest.raises(ValueError, match="nothing to report"):
        find(empty)
