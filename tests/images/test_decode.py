"""Unusual and damaged images made in code: decoded correctly, or refused with one sentence."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from odd_images import (
    PHOTO,
    WHOLE,
    bmp_rle,
    chunk,
    encode,
    exif,
    make_kinds,
    mutate,
    patch_jpeg_size,
    png,
    with_jpeg_segment,
)
from PIL import Image

from cct_viz.images.decode import ImageError, decode
from cct_viz.images.headers import MAX_JPEG_PIXELS, MAX_PIXELS

REPOSITORY = Path(__file__).parents[2]
JPEG_TOLERANCE = 12  # grey levels on smooth pictures at quality 90 and more


def decode_or_none(data):
    """The decoded image, or None if it is refused with one sentence."""
    try:
        return decode(data)
    except ImageError as error:
        message = str(error)
    assert message.isprintable()
    assert "accepted" in message or "expected" in message
    return None


# Sources of pixels


@pytest.mark.parametrize("name", ["png", "webp_lossless", "bmp"])
def test_lossless_files_decode_exactly(name):
    np.testing.assert_array_equal(decode(WHOLE[name]), PHOTO)


@pytest.mark.parametrize("name", WHOLE)
def test_removing_metadata_changes_no_pixel(name):
    expected = np.array(Image.open(io.BytesIO(WHOLE[name])).convert("RGB"))
    np.testing.assert_array_equal(decode(WHOLE[name]), expected)


def test_paths_bytes_pil_images_and_arrays_agree(tmp_path):
    path = tmp_path / "holiday.txt"  # the name is not used to find the format
    path.write_bytes(WHOLE["png"])
    for source in (path, str(path), path.read_bytes(), memoryview(WHOLE["png"]), Image.open(path), PHOTO.copy()):
        image = decode(source)
        np.testing.assert_array_equal(image, PHOTO)
        assert image.dtype == np.uint8
        assert not image.flags.writeable


def test_arrays_with_grey_and_alpha():
    grey = PHOTO[..., 0]
    np.testing.assert_array_equal(decode(grey), np.repeat(grey[..., None], 3, axis=-1))
    np.testing.assert_array_equal(decode(grey[..., None]), decode(grey))
    opaque = np.dstack([PHOTO, np.full_like(grey, 255)])
    np.testing.assert_array_equal(decode(opaque), PHOTO)
    np.testing.assert_array_equal(decode(np.dstack([PHOTO, np.zeros_like(grey)])), np.full_like(PHOTO, 255))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PHOTO / 255, "float64.*255"),
        (PHOTO.astype(np.uint16), "uint16"),
        (PHOTO[None], r"\(1, 60, 80, 3\).*one image"),
        (np.moveaxis(PHOTO, -1, 0), r"\(3, 60, 80\)"),
        (np.zeros((0, 4, 3), np.uint8), "4x0 pixels"),
        (np.broadcast_to(np.uint8(0), (10_000, 10_000, 3)), "megapixels"),
        (Image.new("F", (4, 4)), "mode F"),
        (Image.fromarray(np.full((4, 4), -1, np.int32)), "-1"),
        (Image.new("RGB", (0, 4)), "0x4 pixels"),
        ([1, 2], "list"),
        (None, "NoneType"),
        ("no/such/cat.png", "no file named cat.png"),
        ("/", "not a file"),
        ("a\0b.png", r"a\?b.png cannot be read"),
    ],
)
def test_other_objects_are_refused_with_one_sentence(source, words):
    with pytest.raises(ImageError, match=words) as error:
        decode(source)
    assert "\n" not in str(error.value)


def test_messages_name_only_the_file_and_are_printable(tmp_path):
    folder = tmp_path / "secret"
    folder.mkdir()
    path = folder / ("a" * 200 + "\n.png")
    path.write_text("no image")
    with pytest.raises(ImageError) as error:
        decode(path)
    assert "secret" not in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 200
    with pytest.raises(ImageError, match="secret is not a file") as error:
        decode(folder)
    assert str(tmp_path) not in str(error.value)
    with pytest.raises(ImageError, match=r"\?\.png"):
        decode("\udcff.png")


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(ImageError, match="8590 MB"):
        decode(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipes_are_refused_without_waiting(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match=r"pipe\.png is not a file"):
        decode(pipe)


# Modes


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "PA", "CMYK", "YCbCr", "HSV"])
def test_pil_modes_convert_correctly(mode):
    colours = Image.fromarray(PHOTO).convert("RGBA") if mode in ("LA", "PA") else Image.fromarray(PHOTO)
    image = colours.convert("LA").convert("PA") if mode == "PA" else colours.convert(mode)
    expected = np.array(image.convert("RGB"))  # without transparent pixels
    np.testing.assert_array_equal(decode(image), expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_png_greys_of_all_depths_span_black_to_white(depth):
    levels = np.array([0, 2**depth // 2, 2**depth - 1])
    if depth == 16:
        row = struct.pack(">3H", *levels)
    else:
        bits = "".join(f"{level:0{depth}b}" for level in levels)
        row = int(bits.ljust(24, "0"), 2).to_bytes(3, "big")
    grey = decode(png(3, 1, depth, 0, b"\0" + row))[0, :, 0]
    expected = levels >> 8 if depth == 16 else levels * 255 // (2**depth - 1)
    np.testing.assert_array_equal(grey, expected)


def test_sixteen_bit_grey_and_colour_agree():
    values = np.array([[0, 255, 256, 0x1234, 0x7FFF, 0x8000, 0xFEFF, 0xFFFF]], np.uint16)
    big_endian = values.astype(">u2")
    grey = decode(png(8, 1, 16, 0, b"\0" + big_endian.tobytes()))
    colour = decode(png(8, 1, 16, 2, b"\0" + np.repeat(big_endian, 3).tobytes()))
    np.testing.assert_array_equal(grey, colour)
    np.testing.assert_array_equal(grey[..., 0], values >> 8)
    for image in (Image.fromarray(values), Image.fromarray(values.astype(np.int32))):
        np.testing.assert_array_equal(decode(image), grey)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key"),
    [
        (1, 0, b"\x40", b"\0\0"),
        (2, 0, b"\x30", b"\0\0"),
        (2, 0, b"\xb0", b"\0\2"),
        (4, 0, b"\x5f", b"\0\5"),
        (8, 0, b"\x05\xff", b"\0\5"),
        (8, 2, b"\1\2\3\xff\xff\xff", b"\0\1\0\2\0\3"),
        (16, 0, b"\x12\x34\xff\xff", b"\x12\x34"),
        (16, 2, b"\x12\0\x12\xff\x80\0\xff\xff\xff\xff\xff\xff", b"\x12\0\x12\xff\x80\0"),
    ],
)
def test_the_transparent_colour_of_a_png_becomes_white(depth, colour, row, key):
    """The first pixel is transparent, the second white."""
    image = decode(png(2, 1, depth, colour, b"\0" + row, chunk(b"tRNS", key)))
    np.testing.assert_array_equal(image, np.full((1, 2, 3), 255))
    hidden = decode(png(2, 1, depth, colour, b"\0" + row))
    assert hidden[0, 0].min() < 255


def test_palette_with_transparency_is_blended_with_white():
    palette = chunk(b"PLTE", bytes([200, 0, 0, 0, 200, 0, 0, 0, 200]))
    image = decode(png(3, 1, 8, 3, b"\0\0\1\2", palette, chunk(b"tRNS", bytes([0, 128, 255]))))
    half = 255 * (1 - 128 / 255)
    expected = [[255, 255, 255], [half, 128 / 255 * 200 + half, half], [0, 0, 200]]
    np.testing.assert_allclose(image[0], expected, atol=1)  # the compositing rounds


def test_half_transparent_pixels_are_blended_with_white():
    rgba = np.dstack([PHOTO, np.random.default_rng(1).integers(0, 256, PHOTO.shape[:2], np.uint8)])
    alpha = rgba[..., 3:] / 255
    expected = alpha * PHOTO + (1 - alpha) * 255
    for source in (encode(rgba, "PNG"), Image.fromarray(rgba), rgba):
        np.testing.assert_allclose(decode(source), expected, atol=1)  # the compositing rounds


def test_cmyk_jpeg_has_the_right_colours():
    inks = {
        (0, 255, 255, 0): (255, 0, 0),
        (255, 0, 255, 0): (0, 255, 0),
        (0, 0, 0, 255): (0, 0, 0),
        (0, 0, 0, 0): (255,) * 3,
    }
    for ink, colour in inks.items():
        data = encode(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95)
        assert b"Adobe" in data  # Adobe files store inverted inks
        assert np.abs(decode(data).astype(int) - colour).max() <= 2


def test_adobe_marker_distinguishes_ycck_from_cmyk():
    """Luma 200 without chroma, as Photoshop stores a dark grey: 255 - 200."""
    data = encode(Image.new("CMYK", (16, 16), (55, 127, 127, 0)), "JPEG", quality=95)
    start = data.index(b"Adobe")
    ycck = data[: start + 11] + b"\x02" + data[start + 12 :]
    assert np.abs(decode(data).astype(int) - (200, 128, 128)).max() <= 2
    assert np.abs(decode(ycck).astype(int) - 55).max() <= 2


def test_colour_profiles_are_ignored():
    np.testing.assert_array_equal(decode(encode(PHOTO, "PNG", icc_profile=b"broken")), PHOTO)


@pytest.mark.parametrize("image_format", ["GIF", "WEBP", "PNG"])
def test_animations_give_their_first_frame(image_format):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], duration=50, **options)
    assert Image.open(io.BytesIO(data)).n_frames == 3
    np.testing.assert_array_equal(decode(data), np.broadcast_to(np.uint8([255, 0, 0]), (10, 20, 3)))


def test_a_gif_frame_outside_its_screen_is_decoded():
    data = encode(Image.new("RGB", (20, 10), (255, 0, 0)), "GIF")
    np.testing.assert_array_equal(decode(data[:6] + bytes(4) + data[10:]), decode(data))


def test_transparent_gif_is_blended_with_white():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (255, 0, 0, 255)
    image = decode(encode(rgba, "GIF", comment=b"cat" * 200))
    np.testing.assert_array_equal(image[:4], np.broadcast_to(np.uint8([255, 0, 0]), (4, 8, 3)))
    assert (image[4:] == 255).all()


def test_run_length_bmp():
    rows = b"\x05\x64\x00\x00" + b"\x02\x01\x03\x02\x00\x01"
    palette = np.array([(7, 255 - grey, grey) for grey in range(256)], np.uint8)
    np.testing.assert_array_equal(decode(bmp_rle(5, 2, rows)), palette[np.array([[1, 1, 2, 2, 2], [0x64] * 5])])


# Orientation

UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation(orientation, order):
    block = exif(orientation, order)
    expected = UPRIGHT[orientation](PHOTO)
    lossless = [encode(PHOTO, "PNG", exif=block), encode(PHOTO, "WEBP", lossless=True, exif=block)]
    for source in (*lossless, Image.open(io.BytesIO(lossless[0]))):
        np.testing.assert_array_equal(decode(source), expected)
    jpeg = with_jpeg_segment(WHOLE["jpeg"], 0xE1, b"Exif\0\0" + block)
    np.testing.assert_array_equal(decode(jpeg), UPRIGHT[orientation](decode(WHOLE["jpeg"])))


@pytest.mark.parametrize(
    "block",
    [b"", b"II", exif(0), exif(9), exif(6)[:20], b"MM\0*\xff\xff\xff\xff", exif(6).replace(b"\0\x02", b"\xff\xff", 1)],
)
def test_damaged_exif_is_ignored_without_warnings(block, recwarn):
    jpeg = with_jpeg_segment(WHOLE["jpeg"], 0xE1, b"Exif\0\0" + block)
    image = decode(jpeg)
    assert sorted(image.shape) == [3, 60, 80]
    assert not recwarn.list


def test_damaged_multi_picture_and_animation_blocks_cause_no_warnings(recwarn):
    mpf = with_jpeg_segment(WHOLE["jpeg"], 0xE2, b"MPF\0II*\0\xff\xff\0\0")
    np.testing.assert_array_equal(decode(mpf), decode(WHOLE["jpeg"]))
    apng = WHOLE["png"][:33] + chunk(b"acTL", bytes(8)) + WHOLE["png"][33:]
    np.testing.assert_array_equal(decode(apng), PHOTO)
    assert not recwarn.list


def test_data_after_a_jpeg_is_ignored():
    motion = WHOLE["jpeg"] + b"\xff\xda\0\x08" * 1000 + bytes(1000)  # a motion photo contains a video
    np.testing.assert_array_equal(decode(motion), decode(WHOLE["jpeg"]))


# Refusals


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "an empty file"),
        ("Grüße aus dem Süden\n".encode(), "a text file"),
        (b"BMW is a car", "a text file"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing"),
        (b"\xef\xbb\xbf <svg/>", "an SVG drawing"),
        (encode(PHOTO, "TIFF"), "a TIFF image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"\0\1\2\3\xff\xfe", "not an image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not an image"),
        (encode(PHOTO, "PPM"), "not an image"),
    ],
)
def test_messages_name_the_kind_of_other_files(tmp_path, data, words):
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"cat.png is {words}.*; PNG, JPEG, WebP, GIF and BMP images are accepted$"):
        decode(path)


@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files_are_refused_or_complete(name):
    data = WHOLE[name]
    whole = decode(data)
    refused = 0
    for length in sorted({*range(0, min(len(data), 60)), *range(60, len(data), 1 + len(data) // 150), len(data) - 1}):
        image = decode_or_none(data[:length])
        if image is None:
            refused += 1
        else:  # the missing bytes contain no pixels
            np.testing.assert_array_equal(image, whole)
            assert length > 0.9 * len(data)
    assert refused > 100


def bomb(kind):
    """A small file whose header says 13,334 x 13,334 pixels (177 megapixels), or the most that the format allows."""
    side = 13_334
    if kind == "png":
        return png(side, side, 8, 2, bytes(1000))
    if kind == "jpeg":
        return patch_jpeg_size(WHOLE["jpeg"], side, side)
    if kind == "gif":
        return WHOLE["gif"][:6] + struct.pack("<HH", side, side) + WHOLE["gif"][10:]
    if kind == "gif frame":
        return b"GIF89a\x01\0\x01\0\0\0\0,\0\0\0\0" + struct.pack("<HH", side, side) + b"\0\x02\0;"
    if kind == "bmp":
        return WHOLE["bmp"][:18] + struct.pack("<ii", side, -side) + WHOLE["bmp"][26:]
    if kind == "bmp core":
        return b"BM" + struct.pack("<IHHIIHHHH", 100, 0, 0, 26, 12, 65535, 65535, 1, 24)
    if kind == "webp":
        return WHOLE["webp"][:26] + struct.pack("<HH", side, side) + WHOLE["webp"][30:]
    if kind == "webp lossless":
        return WHOLE["webp_lossless"][:21] + struct.pack("<I", side - 1 | side - 1 << 14) + WHOLE["webp_lossless"][25:]
    assert kind == "webp extended"
    canvas = (side - 1).to_bytes(3, "little") * 2
    return b"RIFF\x22\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas + b"VP8L\0\0\0\0"


BOMBS = ["png", "jpeg", "gif", "gif frame", "bmp", "bmp core", "webp", "webp lossless", "webp extended"]


@pytest.mark.parametrize("kind", BOMBS)
def test_decompression_bombs_are_refused_from_their_header(kind, recwarn):
    data = bomb(kind)
    start = time.perf_counter()
    with pytest.raises(ImageError, match=r"(177\.8|4294\.8) megapixels\); up to (64|25) megapixels are accepted"):
        decode(data)
    assert time.perf_counter() - start < 0.05
    assert not recwarn.list


def test_a_decompression_bomb_uses_no_memory(tmp_path):
    side, packer, packed = 13_334, zlib.compressobj(1), []
    for _ in range(side):
        packed.append(packer.compress(bytes(1 + side)))
    packed.append(packer.flush())
    path = tmp_path / "bomb.png"
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"".join(packed)) + chunk(b"IEND"))
    program = f"""
import resource, sys, time
import numpy as np
from cct_viz.images.preprocessing import ImageError, decode
decode(np.zeros((4, 4, 4), np.uint8))
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    decode({str(path)!r})
except ImageError as error:
    seconds = time.perf_counter() - start
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, seconds, error)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    kilobytes, seconds, message = run.stdout.split(maxsplit=2)
    assert int(kilobytes) < 20_000
    assert float(seconds) < 0.05
    assert "177.8 megapixels" in message


def test_pixel_limits_accept_the_largest_phones_and_cameras():
    assert MAX_JPEG_PIXELS >= 9248 * 6944
    assert MAX_PIXELS >= 6240 * 4160


def test_files_with_zero_pixels_are_refused():
    for data in (png(0, 5, 8, 2, b""), patch_jpeg_size(WHOLE["jpeg"], 0, 60)):
        with pytest.raises(ImageError, match=r"0x\d+ pixels"):
            decode(data)


def test_two_headers_in_one_file_are_refused():
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 13_334, 13_334, 8, 2, 0, 0, 0))
    frame = WHOLE["jpeg"].index(b"\xff\xc0")
    for data in (
        WHOLE["png"][:33] + second + WHOLE["png"][33:],
        WHOLE["jpeg"][:frame] + WHOLE["jpeg"][frame : frame + 19] * 2 + WHOLE["jpeg"][frame + 19 :],
    ):
        with pytest.raises(ImageError, match="damaged"):
            decode(data)


def slow_file(kind):
    """A file of some megabytes that would take a decoder many steps in Python."""
    if kind == "gif comment":
        table_end = WHOLE["gif"].index(b"!" if b"!" in WHOLE["gif"][:800] else b",", 13)
        return WHOLE["gif"][:table_end] + b"!\xfe" + b"\x01a" * 3_000_000 + b"\0" + WHOLE["gif"][table_end:]
    if kind == "png chunks":
        return WHOLE["png"][:33] + chunk(b"tEXt") * 500_000 + WHOLE["png"][33:]
    if kind == "jpeg junk":
        return WHOLE["jpeg"][:2] + bytes(18_000_000) + WHOLE["jpeg"][2:]
    if kind == "jpeg comments":
        return WHOLE["jpeg"][:2] + b"\xff\xfe\0\2" * 4_000_000 + WHOLE["jpeg"][2:]
    if kind == "jpeg scans":
        jpeg = encode(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
        last = jpeg.rindex(b"\xff\xda")
        return jpeg[:-2] + jpeg[last : last + 10] * 10_000 + jpeg[-2:]
    if kind == "webp chunks":
        return WHOLE["webp"] + b"abcd\0\0\0\0" * 2_000_000
    if kind == "bmp large":
        return bmp_rle(5000, 5000, b"\0\1")
    assert kind == "bmp lines"
    return bmp_rle(1000, 1000, b"\0\0" * 8_000_000)


@pytest.mark.parametrize(
    "kind",
    ["gif comment", "png chunks", "jpeg junk", "jpeg comments", "jpeg scans", "webp chunks", "bmp large", "bmp lines"],
)
def test_slow_files_take_less_than_a_second(kind):
    data = slow_file(kind)
    start = time.process_time()  # CPU time, so that other processes do not matter
    image = decode_or_none(data)
    assert image is None or image.shape == (60, 80, 3)
    assert time.process_time() - start < 1


def test_damaged_files_raise_only_image_error():
    seeds = make_kinds()
    rng = np.random.default_rng(20)
    accepted = 0
    for number in range(500):
        data = mutate(seeds[number % len(seeds)], rng)
        start = time.process_time()
        image = decode_or_none(data)
        if image is not None:
            accepted += 1
            assert image.dtype == np.uint8
            assert image.shape[2:] == (3,)
        assert time.process_time() - start < 1
    assert 50 < accepted < 450  # both outcomes occur


def test_a_damaged_pil_image_is_refused():
    with pytest.raises(ImageError, match="cannot be read"):
        decode(Image.open(io.BytesIO(WHOLE["png"][:200])))


def test_decoding_in_threads_gives_the_same_images():
    sources = [*WHOLE.values()] * 8
    serial = [decode(source) for source in sources]
    with ThreadPoolExecutor(8) as pool:
        for image, expected in zip(pool.map(decode, sources), serial, strict=True):
            np.testing.assert_array_equal(image, expected)


def test_importing_changes_no_setting_of_pillow():
    code = (
        "import warnings; import numpy; from PIL import Image, ImageFile; filters = list(warnings.filters); "
        "before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES; import cct_viz.images.preprocessing; "
        "assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES); assert filters == warnings.filters"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)


def test_large_jpegs_are_decoded_at_reduced_scale():
    smooth = Image.fromarray(PHOTO).resize((6400, 4800), Image.Resampling.BILINEAR)
    image = decode(encode(smooth, "JPEG", quality=90))
    assert image.shape == (1200, 1600, 3)
    expected = np.array(smooth.resize((1600, 1200), Image.Resampling.BOX)).astype(int)
    assert np.abs(image - expected).max() <= JPEG_TOLERANCE
    panorama = decode(encode(Image.new("RGB", (26_500, 1000), "red"), "JPEG"))
    assert panorama.shape == (1000, 26_500, 3)
