"""The built page computes what Python computes, from the file of a picture on. Needs Chromium."""

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from conftest import tiny_config
from odd_images import encode
from page_vectors import make_photo
from PIL import Image, ImageCms
from visitor import Visitor, page_with

from cct_viz.images.decode import decode
from cct_viz.images.encode import data_url

SIZE = tiny_config().image_size
PHOTO = make_photo(*SIZE)
FIELDS = {
    "logits": "logits",
    "evidence": "evidence",
    "contributions": "contributions",
    "pooling_weights": "poolingWeights",
    "attentions": "attentions",
}


class BuiltPage(Visitor):
    """The page as it is delivered, opened from disk."""

    def take(self, data: bytes) -> dict:
        """What the page makes of a picture's file: its trace, or what it says is wrong."""
        return self.page.evaluate(
            """async (data) => {
                 const {session} = cctExplorer;
                 const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
                 await session.takePhoto(new File([bytes], "photo"), () => "photo");
                 if (session.notice?.kind === "problem") return {problem: session.notice.text};
                 const {trace} = session, list = (values) => values && Array.from(values);
                 return {
                   ...Object.fromEntries(["pixels", ...FIELDS].map((name) => [name, list(trace[name])])),
                   originalSize: list(trace.geometry.originalSize), box: list(trace.geometry.box),
                 };
               }""".replace("FIELDS", json.dumps(list(FIELDS.values()))),
            base64.b64encode(data).decode(),
        )


@pytest.fixture(scope="module")
def built(chromium, rounded, tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "page.html"
    picture = {"id": "photo", "name": "photo", "kind": "example", "truth": None, "address": data_url(PHOTO)}
    path.write_text(page_with(rounded, pictures=[picture]))
    built = BuiltPage(chromium, path.as_uri())
    yield built
    built.close()


# Counts in each worker the WebAssembly modules that run there.
COUNT_MODULES = """
const Plain = Blob;
const count = `self.modules = 0; { const {Instance} = WebAssembly;
  WebAssembly.Instance = function (...given) { self.modules++; return new Instance(...given); }; }`;
Blob = function (parts, options) {
  return new Plain(options?.type?.startsWith("text/javascript") ? [count, ...parts] : parts, options);
};
Blob.prototype = Plain.prototype;
"""


@pytest.mark.parametrize("allowed", [True, False])
def test_a_policy_may_forbid_webassembly(chromium, rounded, tmp_path, allowed):
    """The page's own allows it; under one that does not, JavaScript computes the same."""
    picture = {"id": "photo", "name": "photo", "kind": "example", "truth": None, "address": data_url(PHOTO)}
    text, rule = page_with(rounded, pictures=[picture]), " 'wasm-unsafe-eval'"
    assert text.count(rule) == 1
    (tmp_path / "page.html").write_text(text if allowed else text.replace(rule, ""))
    page = BuiltPage(chromium, (tmp_path / "page.html").as_uri(), script=COUNT_MODULES)
    check(page.take(encode(PHOTO)), rounded, encode(PHOTO))
    (worker,) = page.page.workers
    assert worker.evaluate("self.modules") == (
        2 if allowed else 0
    )  # the kernels, and the product with fused multiply-add
    assert page.ask("session.notice") is None
    if allowed:
        page.check_quiet()
    page.close()


def check(got, classifier, data, *, levels=0):
    """`levels`: how many grey levels a decoder may differ."""
    assert "problem" not in got, got
    prepared = classifier.preprocess(decode(data))
    pixels = np.array(got["pixels"], np.uint8).reshape(prepared.pixels.shape)
    assert np.abs(pixels.astype(int) - prepared.pixels).max() <= levels
    assert tuple(got["originalSize"]) == prepared.geometry.original_size
    assert tuple(got["box"]) == prepared.geometry.box
    trace = classifier.trace(pixels)
    for name, field in FIELDS.items():
        expected = getattr(trace, name).ravel()
        error = np.abs(np.array(got[field]) - expected).max() / max(1, np.abs(expected).max())
        assert error < 1e-4, name  # float32, summed in another order


def with_profile_of_other_colours():
    """An ICC profile that swaps the red and blue primaries; applying it changes the colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = profile.replace(b"rXYZ", b"none").replace(b"bXYZ", b"rXYZ").replace(b"none", b"bXYZ")
    return encode(PHOTO, icc_profile=exchanged)


def with_gamma():
    """Marked as linear light."""
    png, chunk = encode(PHOTO), b"gAMA" + struct.pack(">I", 100_000)
    return png[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


ALPHA = np.random.default_rng(2).integers(0, 256, SIZE, dtype=np.uint8)
KINDS = {
    "png": lambda: encode(PHOTO),
    "large": lambda: encode(make_photo(211, 397)),
    "upright panorama": lambda: encode(make_photo(600, 33)),
    "one pixel": lambda: encode(make_photo(1, 1)),
    "grey": lambda: encode(PHOTO[..., 0]),
    "palette": lambda: encode(Image.fromarray(PHOTO).quantize(16)),
    "gif": lambda: encode(Image.fromarray(PHOTO).quantize(16), "GIF"),
    "bmp": lambda: encode(PHOTO, "BMP"),
    "webp": lambda: encode(PHOTO, "WEBP", lossless=True),
    "alpha": lambda: encode(np.dstack([PHOTO, ALPHA])),
    "16 bits": lambda: encode(Image.fromarray((PHOTO[..., 0].astype(np.uint16) << 8) + 200)),
    "a profile": with_profile_of_other_colours,
    "gamma": with_gamma,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_explained_as_python_does(built, rounded, kind):
    data = KINDS[kind]()
    check(built.take(data), rounded, data)


def test_an_avif_is_explained_as_python_does(built, rounded):
    data = encode(make_photo(90, 60), "AVIF", quality=100, subsampling="4:4:4")
    check(built.take(data), rounded, data, levels=3)  # decoders round YUV to RGB differently


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_lies_upright(built, rounded, orientation):
    """A JPEG's decoders differ by a level."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(make_photo(90, 60), "JPEG", quality=95, exif=exif)
    check(built.take(data), rounded, data, levels=1)


BAD = {
    "an empty file": (b"", "Photo is an empty file; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted."),
    "text": (
        b"hello",
        "Photo is not an image that this page reads; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted.",
    ),
    "a phone's photo": (b"\0\0\0\x18ftypheic" + bytes(40), "Photo is a HEIC photo: export it as JPEG; "),
    "a scan": (b"II*\0" + bytes(40), "Photo is a TIFF image: save it as PNG or JPEG; "),
    "half a picture": (encode(PHOTO)[:40], "Photo is an image that is damaged, incomplete or of a rare kind; "),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_gets_a_sentence_and_the_next_one_works(built, rounded, case):
    data, says = BAD[case]
    assert built.take(data)["problem"].startswith(says)
    check(built.take(encode(PHOTO)), rounded, encode(PHOTO))


def test_masks_and_painted_pixels_are_answered_as_in_python(built, rounded):
    from cct_viz.images.preprocessing import normalise

    built.take(encode(PHOTO))
    masks = (np.random.default_rng(1).random((6, 15)) < 0.5).astype(np.uint8)
    got = built.page.evaluate(
        """async (masks) => {
              const {session} = cctExplorer, pixels = new Uint8Array(session.trace.pixels.length);
             const answers = await session.answers(masks.map((mask) => Uint8Array.from(mask)));
             const black = Array.from((await session.traceOf(pixels, new Set())).logits);
             return {answers: answers.map((logits) => Array.from(logits)), black};
           }""",
        masks.tolist(),
    )
    batch = normalise(np.repeat(PHOTO[None], 6, axis=0), rounded.config.preprocessing)
    np.testing.assert_allclose(got["answers"], rounded.forward(batch, masks.astype(np.float32)), atol=1e-4)  # float32
    black = normalise(np.zeros_like(PHOTO)[None], rounded.config.preprocessing)
    np.testing.assert_allclose(got["black"], rounded.forward(black)[0], atol=1e-4)


def test_the_page_asks_nobody(built):
    built.check_quiet()
