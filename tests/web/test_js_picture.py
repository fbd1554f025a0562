"""Pictures in the page: a file gives the same pixels as in Python, or one sentence. Needs Chromium."""

import base64
import json
import struct
import zlib

import numpy as np
import pytest
from conftest import tiny_config
from js_model_page import ModelPage, draw_photo, failure, image_file
from PIL import Image, ImageCms

from cct_viz.architecture.config import Preprocessing
from cct_viz.images.decode import decode
from cct_viz.images.headers import read_header
from cct_viz.images.preprocessing import centre_crop, crop_and_resize

FILTERS = ("box", "bilinear", "bicubic", "lanczos")
SIZES = [(32, 32), (33, 47), (211, 97), (640, 901), (7, 5), (1, 1), (600, 33)]


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    page = ModelPage(chromium, tmp_path_factory.mktemp("page") / "page.html")
    yield page
    page.context.close()


def prepare_in_page(
    page, data, config, script="return m.preparePicture(new File([bytes(data)], 'photo'), m.readConfig(config))"
):
    return page.run(script, data=data, config=json.dumps(config.to_dict()))


def worst(page, data, config):
    """The largest difference in grey levels between the page's pixels of an image file and Python's."""
    got = prepare_in_page(page, data, config)
    expected = crop_and_resize(decode(data), config.image_size, config.preprocessing)
    assert tuple(got["original"].values()) == expected.geometry.original_size
    assert tuple(got["crop"].values()) == expected.geometry.box
    return np.abs(got["pixels"].astype(int) - expected.pixels.ravel()).max()


def with_preprocessing(interpolation="bicubic", crop=1.0, image_size=(32, 32)):
    return tiny_config(image_size=image_size, preprocessing=Preprocessing(interpolation=interpolation, crop=crop))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", FILTERS)
def test_resized_photos_equal_python_within_a_grey_level(page, interpolation, size):
    data = image_file(draw_photo(*size))
    for config in (with_preprocessing(interpolation), with_preprocessing(interpolation, 0.875, (24, 40))):
        assert worst(page, data, config) == 0


@pytest.mark.parametrize("size", [(12, 20), (60, 90), (7, 5)], ids=str)
def test_grey_models_see_the_luminance_as_in_python(page, size):
    data = image_file(draw_photo(*size))
    config = tiny_config(channels=1, preprocessing=Preprocessing((0.5,), (0.2,)))
    assert worst(page, data, config) == 0
    got = prepare_in_page(page, data, config)["pixels"].reshape(-1, 3)
    assert (got == got[:, :1]).all()


def test_crops_equal_python(page):
    cases = [
        (a, b, s, c)
        for a in ((1, 1), (31, 64), (977, 1023))
        for b in ((1, 1), (32, 32), (24, 40))
        for s in (1, 2)
        for c in (1.0, 0.9, 0.3)
    ]
    cases = [((a[0] * s, a[1]), b, c) for a, b, s, c in cases]
    got = page.run("return cases.map((one) => m.centreCrop(...one).join())", cases=cases)
    assert list(got.values()) == [",".join(map(str, centre_crop(*case).box)) for case in cases]


def with_profile_of_other_colours(photo):
    """`photo` with an ICC profile that swaps the red and blue primaries; applying it changes the colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = profile.replace(b"rXYZ", b"none").replace(b"bXYZ", b"rXYZ").replace(b"none", b"bXYZ")
    return image_file(photo, icc_profile=exchanged)


def with_gamma(png):
    """`png` marked as linear light."""
    chunk = b"gAMA" + struct.pack(">I", 100_000)
    return png[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


def rgba(alpha):
    return np.dstack([draw_photo(64, 64), alpha])


ALPHAS = np.random.default_rng(2).integers(0, 256, (64, 64), dtype=np.uint8)
KINDS = {
    "grey": lambda: image_file(draw_photo(50, 60)[..., 0]),
    "palette": lambda: image_file(Image.fromarray(draw_photo(50, 60)).quantize(16)),
    "gif": lambda: image_file(Image.fromarray(draw_photo(50, 60)).quantize(16), "GIF"),
    "bmp": lambda: image_file(draw_photo(50, 60), "BMP"),
    "webp": lambda: image_file(draw_photo(50, 60), "WEBP", lossless=True),
    "alpha": lambda: image_file(rgba(ALPHAS)),
    "alpha of 0 and 1": lambda: image_file(rgba(np.where(ALPHAS > 128, 255, 0).astype(np.uint8))),
    "16 bits": lambda: image_file(Image.fromarray((draw_photo(50, 60)[..., 0].astype(np.uint16) << 8) + 200)),
    "a profile": lambda: with_profile_of_other_colours(draw_photo(50, 60)),
    "gamma": lambda: with_gamma(image_file(draw_photo(50, 60))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_format_gives_the_same_pixels_as_python(page, kind):
    data = KINDS[kind]()
    config = with_preprocessing(image_size=decode(data).shape[:2])  # nothing is resized: each pixel counts
    assert worst(page, data, config) == 0


@pytest.mark.parametrize("quality", [50, 95])
def test_jpeg_photos_are_within_a_level(page, quality):
    assert worst(page, image_file(draw_photo(603, 801), "JPEG", quality=quality), with_preprocessing()) <= 1


def test_avif_photos_are_read(page):
    """Two decoders turn luma and chroma into colours with different rounding."""
    photo = Image.fromarray(draw_photo(60, 90)).resize((9, 6)).resize((90, 60), Image.Resampling.BICUBIC)  # smooth
    assert worst(page, image_file(photo, "AVIF", quality=95), with_preprocessing()) <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_orientation_is_applied(page, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = image_file(draw_photo(90, 60), "JPEG", quality=95, exif=exif)
    assert worst(page, data, with_preprocessing()) <= 1


def huge(kind):
    """A small file whose header claims a huge image."""
    data = bytearray(image_file(draw_photo(8, 8), kind))
    at = {"PNG": 16, "GIF": 6, "BMP": 18, "JPEG": data.find(b"\xff\xc0") + 5, "AVIF": data.find(b"ispe") + 8}[kind]
    side = {"PNG": ">I", "GIF": "<H", "BMP": "<i", "JPEG": ">H", "AVIF": ">I"}[kind]
    struct.pack_into(side + side[1], data, at, 60_000, 60_000)
    return bytes(data)


OTHER_KINDS = {
    "TIFF": "a TIFF image",
    "JPEG2000": "a JPEG 2000 image",
    "PPM": "a PPM, PGM or PBM image",
    "TGA": "a TGA image",
}
BAD_PICTURES = {
    "nothing": (lambda: b"", "photo is an empty file; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted"),
    "text": (lambda: b"hello", "photo is not an image that this page reads; PNG, JPEG, "),
    "drawing": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "photo is an SVG drawing: save it as PNG; "),
    **{
        kind: (lambda kind=kind: image_file(draw_photo(8, 8), kind), f"photo is {says}: save it as PNG or JPEG; ")
        for kind, says in OTHER_KINDS.items()
    },
    "HEIC": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0", "photo is a HEIC photo: export it as JPEG; an iPhone"),
    "half a header": (lambda: image_file(draw_photo(8, 8))[:18], "photo is an image that is damaged, incomplete or "),
    "no pixels": (lambda: image_file(draw_photo(8, 8))[:40], "photo is an image that is damaged, incomplete or "),
    "half a JPEG's header": (lambda: image_file(draw_photo(8, 8), "JPEG")[:30], "photo is an image that is damaged, "),
    **{
        f"a huge {kind}": (
            lambda kind=kind: huge(kind),
            f"photo has 60000x60000 pixels (3600.0 megapixels); up to {most} ",
        )
        for kind, most in (("PNG", 25), ("GIF", 25), ("BMP", 25), ("JPEG", 64), ("AVIF", 25))
    },
}


@pytest.mark.parametrize("case", BAD_PICTURES)
def test_invalid_picture_gives_a_message(page, case):
    make, says = BAD_PICTURES[case]
    script = "await m.preparePicture(new File([bytes(data)], 'photo'), m.readConfig(config))"
    config = json.dumps(tiny_config().to_dict())
    assert failure(page, script, data=make(), config=config).startswith(says)


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (200_000_000, "photo is a file of 200 MB; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted up to 106 MB"),
        (100, "photo cannot be read; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted"),
    ],
)
def test_a_file_too_large_is_not_read(page, size, says):
    """Reading this file always fails, like a file that was deleted in the meantime."""
    script = (
        "const file = new File(['GIF'], 'photo'); Object.defineProperty(file, 'size', {value: size});"
        "file.arrayBuffer = async () => { throw new DOMException('The requested file could not', 'NotReadableError') };"
        "await m.preparePicture(file, m.readConfig(config))"
    )
    assert failure(page, script, size=size, config=json.dumps(tiny_config().to_dict())) == says


def test_size_of_a_gif_is_that_of_its_first_frame(page):
    """A frame may be larger than the logical screen; here a comment and a control block precede it."""
    data = image_file(Image.fromarray(draw_photo(8, 9)).quantize(16), "GIF", comment=b"a" * 600, transparency=0)
    frame = data.index(b",", data.index(b"!\xf9"))
    assert data[frame + 5 : frame + 9] == struct.pack("<2H", 9, 8)
    for place in ((0, 0, 60_000, 50_000), (59_000, 49_000, 1000, 1000)):
        large = data[: frame + 1] + struct.pack("<4H", *place) + data[frame + 9 :]
        assert read_header(large, "GIF").size == (50_000, 60_000)
        assert list(page.run("return m.readSize(bytes(data).buffer)", data=large).values()) == [50_000, 60_000]
    assert list(page.run("return m.readSize(bytes(data).buffer)", data=data).values()) == [8, 9]


def test_sizes_of_webp_headers(page):
    """The three forms of WebP: lossy, lossless and extended."""
    photo = draw_photo(50, 60)
    forms = [
        image_file(photo, "WEBP"),
        image_file(photo, "WEBP", lossless=True),
        image_file(photo, "WEBP", exif=b"Exif"),
    ]
    assert [form[12:16] for form in forms] == [b"VP8 ", b"VP8L", b"VP8X"]
    sizes = page.run(
        "return files.map((file) => m.readSize(bytes(file).buffer).join())",
        files=[base64.b64encode(form).decode() for form in forms],
    )
    assert list(sizes.values()) == ["50,60"] * 3
