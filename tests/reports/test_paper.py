"""Figures for papers: a column's width, fonts that stay text, colours that everybody tells apart, a caption."""

import io
import re
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from conftest import make_trace, tiny_config
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from PIL import Image

import cct_viz
from cct_viz.architecture.presets import DEFAULT
from cct_viz.inference.load import load
from cct_viz.methods import METHODS, explain, takes
from cct_viz.reports import fonts
from cct_viz.reports.bundle import write_bundle
from cct_viz.reports.figures import colourise, figure
from cct_viz.reports.findings_pdf import write_pdf
from cct_viz.reports.findings_sections import Section
from cct_viz.reports.paper import STYLES, Drawing, Look, latex_figure
from cct_viz.web.examples import EXAMPLES

MM = 72 / 25.4  # points of PDF
# Machado et al. 2009, https://doi.org/10.1109/TVCG.2009.113, severity 1, on linear RGB.
COLOUR_BLIND = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def saved(drawing: Drawing, kind: str) -> bytes:
    buffer = io.BytesIO()
    drawing.savefig(buffer, format=kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("size", "mm"), [("single", 89), ("double", 183), (120, 120), ("57.5", 57.5)])
def test_a_figure_has_a_columns_width_in_every_format(trace, size, mm):
    heat = explain(trace, "seqpool")
    drawing = figure(trace, heat, size=size, style="panels", dpi=100)
    with Image.open(io.BytesIO(saved(drawing, "png"))) as picture:
        assert picture.width == pytest.approx(mm / 25.4 * 100, abs=1)
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+)", saved(drawing, "pdf"))
    assert float(box) == pytest.approx(mm * MM, abs=0.01)
    (width,) = re.findall(rb'<svg[^>]* width="([0-9.]+)pt"', saved(drawing, "svg"))
    assert float(width) == pytest.approx(mm * MM, abs=0.01)


@pytest.mark.slow
def test_fonts_are_truetype_in_pdf_and_text_in_svg_and_files_repeat(trace):
    heat = explain(trace, "seqpool")
    drawing = figure(trace, heat, size="single")
    pdf, svg = saved(drawing, "pdf"), saved(drawing, "svg")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b">photo</text>" in svg
    again = figure(trace, heat, size="single")
    assert (saved(again, "pdf"), saved(again, "svg")) == (pdf, svg)
    before = matplotlib.rcParams["pdf.fonttype"]
    assert before == 3  # the settings of the process are the user's
    with ThreadPoolExecutor(2) as threads:  # which save at the same time
        assert all(b"/Type3" not in file for file in threads.map(lambda _: saved(figure(trace, heat), "pdf"), range(2)))
    assert matplotlib.rcParams["pdf.fonttype"] == before


@pytest.fixture
def cat_font(tmp_path):
    """A font that has one letter, which Matplotlib's own lacks."""
    builder = FontBuilder(1000, isTTF=True)
    pen = TTGlyphPen(None)
    for step, point in enumerate([(0, 0), (0, 700), (500, 700), (500, 0)]):
        (pen.lineTo if step else pen.moveTo)(point)
    pen.closePath()
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "cat": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "A Cat Sans", "styleName": "Regular", "psName": "ACatSans"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cat.ttf")
    fonts_before = font_manager.fontManager.ttflist[:]
    font_manager.fontManager.addfont(tmp_path / "cat.ttf")
    fonts._families_for.cache_clear()
    yield
    font_manager.fontManager.ttflist[:] = fonts_before
    fonts._families_for.cache_clear()


def test_a_letter_that_the_own_font_lacks_comes_from_an_installed_one(cat_font, tmp_path):
    drawing = Drawing(figsize=(2, 1))
    both, plain = drawing.text(0.1, 0.5, "猫 cat", family="monospace"), drawing.text(0.1, 0.1, "cat")
    pdf = saved(drawing, "pdf")  # a letter that no font has is a warning, which fails the test
    assert saved(drawing, "pdf") == pdf
    assert b"ACatSans" in pdf
    assert b"DejaVuSansMono" in pdf
    assert (both.get_fontfamily(), plain.get_fontfamily()) == (["monospace", "A Cat Sans"], ["sans-serif"])
    write_pdf("猫", [Section("cat", ("猫",))], tmp_path / "report.pdf")
    assert b"ACatSans" in (tmp_path / "report.pdf").read_bytes()


def test_a_letter_that_no_font_has_is_named_in_a_warning():
    drawing = Drawing(figsize=(2, 1))
    drawing.text(0.1, 0.5, "cat \ue123")
    with pytest.warns(UserWarning, match="57635"):
        saved(drawing, "png")


def test_an_overlay_is_the_picture_alone_and_a_bar_the_scale_alone(trace):
    heat = explain(trace, "seqpool")
    height, width = trace.pixels.shape[:2]
    with Image.open(io.BytesIO(saved(figure(trace, heat, style="overlay", size=50), "png"))) as picture:
        assert picture.height / picture.width == pytest.approx(height / width, abs=0.01)
        assert np.asarray(picture)[0, 0, :3].tolist() != [255, 255, 255]
    bar = saved(figure(trace, heat, style="bar", size=50), "svg")
    assert b">share of 1</text>" in bar
    assert b"photo" not in bar
    several = figure(trace, explain(trace, "rollout"), style="overlay", size="double")
    assert len(several.axes) == 3
    assert several.get_size_inches()[0] == pytest.approx(183 / 25.4)


def test_every_style_draws_signed_maps_and_a_small_picture_is_enlarged_to_the_resolution(trace):
    for style in STYLES:
        assert saved(figure(trace, explain(trace, "contribution"), style=style, size="single", dpi=50), "png")
    (image,) = figure(trace, explain(trace, "seqpool"), style="overlay", size=50.8, dpi=300).axes[0].images
    assert image.get_array().shape[1] == 600


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"style": "jet"}, "no style is called 'jet'; choose one of full, panels, overlay, bar"),
        ({"size": "wide"}, r"expected single \(89 mm\), double \(183 mm\), or 30 to 1000 millimetres"),
        ({"size": 3}, "the size is 3"),
        ({"size": float("nan")}, "the size is nan"),
        ({"dpi": 5}, "dpi is 5; expected 30 to 2400"),
    ],
)
def test_what_does_not_exist_is_refused(trace, options, words):
    with pytest.raises(ValueError, match=words):
        cct_viz.figure(trace, explain(trace, "seqpool"), **options)


@pytest.mark.parametrize("kind", COLOUR_BLIND)
@pytest.mark.parametrize("signed", [False, True])
def test_the_colours_are_told_apart_by_people_who_do_not_tell_all_colours_apart(kind, signed):
    values = np.linspace(-1 if signed else 0, 1, 9)
    rgb = colourise(values, signed=signed, limit=1.0, over_photo=True) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(COLOUR_BLIND[kind]).T, 0, 1)
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    if signed:  # lightest at 0, and the two signs differ at each strength but 0
        assert (np.diff(luminance[:5]) > 0).all()
        assert (np.diff(luminance[4:]) < 0).all()
        assert np.abs(seen[:4] - seen[:4:-1]).max(axis=1).min() > 0.1
    else:
        assert (np.diff(luminance) > 0).all()


@pytest.fixture(scope="module")
def bundled_trace(cache):
    """To which every method applies."""
    return load(DEFAULT).trace(EXAMPLES[0])


@pytest.mark.parametrize("method", [method for method in METHODS if not takes(method, "classifier")])
def test_a_caption_has_method_model_class_errors_and_source(bundled_trace, method):
    trace = bundled_trace
    heat = explain(trace, method, target=1)
    look = Look(format="pdf", size="single")
    text = latex_figure(trace, heat, f"{method}.pdf", look, model="my_cct", sha256="ab" * 32, target=1)
    assert f"\\includegraphics[width=89mm]{{{method}.pdf}}" in text
    assert "class: automobile (" in text
    assert r"Model: my\_cct, weights SHA-256 abababababab." in text
    assert text.count("error") == len(heat.checks)
    assert re.search(r"Method: .+\. Drawn with CCT Explorer", text)
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    caption = re.search(r"caption\{(.*)\}\n", bare)[1]
    assert not re.search(r"[&%$#_~^]", re.sub(r"\\url\{[^}]*\}", "", caption))
    assert all(url.startswith("\\url{http") for url in re.findall(r"\S*https?://\S+", caption.replace("(", " ")))


def test_a_bundle_is_drawn_as_asked(tmp_path):
    from test_bundle import FakeClassifier

    config = tiny_config(labels=("50 % & more", "b_c", "{d}"))
    look = Look(format="svg", style="panels", size="double", dpi=100)
    record = write_bundle(
        FakeClassifier(config), make_trace(config), tmp_path, methods=["seqpool", "evidence"], look=look
    )
    assert {"seqpool.svg", "evidence.svg", "captions.tex"} <= set(record["files"])
    captions = (tmp_path / "captions.tex").read_text()
    assert captions.count(r"\begin{figure}") == captions.count(r"\includesvg[width=183mm]") == 2
