"""Unusual and damaged images made in code: decoded correctly, or refused with one sentence."""

import io
import os
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from odd_images import (
    PHOTO,
    SLOW,
    WHOLE,
    bmp_rle,
    chunk,
    encode,
    exif,
    make_kinds,
    make_slow_file,
    mutate,
    patch_jpeg_size,
    png,
    with_jpeg_segment,
)
from PIL import Image

from cct_viz.images.decode import MAX_BYTES, ImageError, _open, decode, read_picture
from cct_viz.images.headers import MAX_BLOCKS, MAX_JPEG_PIXELS, MAX_PIXELS, find_format, read_header

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


def test_avif_is_decoded_close_to_its_source():
    np.testing.assert_allclose(decode(WHOLE["avif"]).astype(int), PHOTO, atol=16)  # a lossy format
    assert find_format(WHOLE["avif"].replace(b"ftypavif", b"ftypmif1")) == "AVIF"  # a container that lists it


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_avif_is_turned_upright(orientation):
    """Pillow writes the orientation as the file's own properties, which all viewers follow, beside the EXIF block."""
    data = encode(PHOTO, "AVIF", quality=92, exif=exif(orientation))
    np.testing.assert_allclose(decode(data).astype(int), UPRIGHT[orientation](PHOTO), atol=16)


def test_damaged_exif_of_avif_is_not_read(recwarn):
    data = encode(PHOTO, "AVIF", exif=exif(6))
    start = data.index(b"MM\0*") + 4
    np.testing.assert_array_equal(decode(data[:start] + b"\xff" * 16 + data[start + 16 :]), decode(data))
    assert not recwarn.list


def grey_16_bit(largest):
    values = np.linspace(0, largest, 48).round().astype(np.uint16).reshape(6, 8)
    return values, encode(Image.fromarray(values), "PNG")


@pytest.mark.parametrize(
    ("largest", "bits"), [(4095, 12), (1000, 10), (200, 8), (16383, 14), (16384, 16), (65535, 16), (0, 16)]
)
def test_low_bits_of_16_bit_greys_are_noticed_and_can_be_stretched(tmp_path, largest, bits):
    values, data = grey_16_bit(largest)
    (tmp_path / "scan.png").write_bytes(data)
    plain = read_picture(tmp_path / "scan.png")
    np.testing.assert_array_equal(plain.pixels[..., 0], values >> 8)
    stretched = read_picture(tmp_path / "scan.png", stretch=True)
    np.testing.assert_array_equal(stretched.pixels[..., 1], values >> (bits - 8))
    if bits == 16:
        assert plain.note == stretched.note == ""
    else:
        used = f"scan.png has 16-bit grey values but uses 1/{2 ** (16 - bits)} of their range"
        assert plain.note.startswith(used)
        assert plain.note.endswith(
            "Use stretch=True in Python or --stretch on the command line to use the whole range."
        )
        assert stretched.note == f"{used} (0 to {largest:,}); it was stretched from {bits} bits."


class Response:
    """A URL's response: it gives a few bytes at a time and cannot be read from the start again."""

    def __init__(self, data):
        self._rest = io.BytesIO(data)

    def read(self, count):
        return self._rest.read(min(count, 100))


def test_open_files_and_responses_are_read(tmp_path):
    (tmp_path / "photo.png").write_bytes(WHOLE["png"])
    with open(tmp_path / "photo.png", "rb") as file:
        np.testing.assert_array_equal(decode(file), PHOTO)
    np.testing.assert_array_equal(decode(io.BytesIO(WHOLE["png"])), PHOTO)
    np.testing.assert_array_equal(decode(Response(WHOLE["png"])), PHOTO)


def test_open_files_that_are_not_images_are_named(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with open(path, "rb") as file, pytest.raises(ImageError, match=r"^notes.txt is a text file; "):
        decode(file)
    with open(path) as file, pytest.raises(ImageError, match=r"notes\.txt is open as text; open it with open"):
        decode(file)
    with pytest.raises(ImageError, match=r"notes\.txt cannot be read; open it again"):
        decode(file)  # closed
    with pytest.raises(ImageError, match=r"^The file is an empty file"):
        decode(io.BytesIO())
    read = io.BytesIO(WHOLE["png"])
    decode(read)
    with pytest.raises(ImageError, match=r"^The file was read to its end before; go back to its start with seek\(0\)"):
        decode(read)


def test_an_endless_stream_is_not_read_to_its_end():
    class Endless:
        given = 0

        def read(self, count):
            self.given += min(count, 2**20)
            return bytes(min(count, 2**20))

    stream = Endless()
    with pytest.raises(ImageError, match="The file has more than 106 MB"):
        decode(stream)
    assert stream.given == MAX_BYTES + 1


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
        (encode(PHOTO, "TIFF"), "a TIFF image: save it as PNG or JPEG"),
        (encode(PHOTO, "TIFF", big_tiff=True), "a BigTIFF image: save it as PNG or JPEG"),
        (encode(PHOTO, "JPEG2000"), "a JPEG 2000 image: save it as PNG or JPEG"),
        (encode(PHOTO, "JPEG2000", no_jp2=True), "a JPEG 2000 image: save it as PNG or JPEG"),
        (encode(PHOTO, "TGA"), "a TGA image: save it as PNG or JPEG"),
        (encode(PHOTO, "TGA", compression="tga_rle"), "a TGA image: save it as PNG or JPEG"),
        (encode(PHOTO[..., 0], "TGA")[:-26], "a TGA image: save it as PNG or JPEG"),  # without the footer of version 2
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo: export it as JPEG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "a HEIC photo: export it as JPEG"),
        (bytes(128) + b"DICM\2\0\0\0", "a DICOM file: export the picture as PNG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"\0\1\2\3\xff\xfe", "not an image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not an image"),
        (encode(PHOTO, "PPM"), "a PPM, PGM or PBM image: save it as PNG or JPEG"),
        (encode(PHOTO[..., 0], "PPM"), "a PPM, PGM or PBM image: save it as PNG or JPEG"),
        (bytes(100), "not an image"),
    ],
)
def test_messages_name_the_kind_of_other_files(tmp_path, data, words):
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    with pytest.raises(
        ImageError, match=f"cat.png is {words}.*; PNG, JPEG, WebP, AVIF, GIF and BMP images are accepted$"
    ):
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
    if kind == "avif":
        start = WHOLE["avif"].index(b"ispe") + 8
        return WHOLE["avif"][:start] + struct.pack(">II", side, side) + WHOLE["avif"][start + 8 :]
    if kind == "webp":
        return WHOLE["webp"][:26] + struct.pack("<HH", side, side) + WHOLE["webp"][30:]
    if kind == "webp lossless":
        return WHOLE["webp_lossless"][:21] + struct.pack("<I", side - 1 | side - 1 << 14) + WHOLE["webp_lossless"][25:]
    assert kind == "webp extended"
    canvas = (side - 1).to_bytes(3, "little") * 2
    return b"RIFF\x22\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas + b"VP8L\0\0\0\0"


BOMBS = ["avif", "png", "jpeg", "gif", "gif frame", "bmp", "bmp core", "webp", "webp lossless", "webp extended"]


@pytest.mark.parametrize("kind", BOMBS)
def test_decompression_bombs_are_refused_from_their_header(kind, recwarn, monkeypatch):
    data = bomb(kind)
    monkeypatch.setattr(Image, "open", None)  # Pillow is not asked
    with pytest.raises(ImageError, match=r"(177\.8|4294\.8) megapixels\); up to (64|25|16) megapixels are accepted"):
        decode(data)
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
import resource
import numpy as np
from cct_viz.images.preprocessing import ImageError, decode
decode(np.zeros((4, 4, 4), np.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode({str(path)!r})
except ImageError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    kilobytes, message = run.stdout.split(maxsplit=1)
    assert int(kilobytes) < 20_000
    assert "177.8 megapixels" in message


def test_pixel_limits_accept_the_largest_phones_and_cameras():
    assert MAX_JPEG_PIXELS >= 9248 * 6944
    assert MAX_PIXELS >= 6240 * 4160


def save_jpeg(mode="RGB", **options):
    buffer = io.BytesIO()
    Image.new(mode, (64, 48)).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "options", "megapixels"),
    [
        ("RGB", {"subsampling": 2}, 64),
        ("RGB", {"subsampling": 0}, 64),
        ("L", {}, 64),
        ("CMYK", {}, 64),
        ("RGB", {"progressive": True, "subsampling": 2}, 50),
        ("RGB", {"progressive": True, "subsampling": 0}, 25),
        ("L", {"progressive": True}, 64),
        ("CMYK", {"progressive": True}, 18),
    ],
)
def test_a_jpeg_that_is_decoded_from_all_its_coefficients_may_have_fewer_pixels(mode, options, megapixels):
    """libjpeg keeps 2 bytes a coefficient until the last scan came: 520 MB for 64 megapixels in CMYK."""
    data = save_jpeg(mode, **options)
    assert read_header(data, "JPEG").max_pixels // 2**20 == megapixels
    with pytest.raises(ImageError, match=f"up to {megapixels} megapixels"):
        decode(patch_jpeg_size(data, 60_000, 60_000))


def test_a_jpeg_of_several_scans_is_buffered_too():
    data = save_jpeg("CMYK")
    start = data.index(b"\xff\xda")
    assert read_header(data[:-2] + data[start:], "JPEG").max_pixels < read_header(data, "JPEG").max_pixels


def test_a_decoded_picture_holds_no_second_copy(tmp_path):
    """The decoder of WebP keeps two canvases of the picture."""
    path = tmp_path / "large.webp"
    Image.new("RGBA", (20, 20), (1, 2, 3, 4)).save(path, lossless=True, exact=True)
    tracked = _open(read_header(path.read_bytes(), "WEBP"), "WEBP")
    assert "_decoder" not in vars(tracked)
    assert tracked.getpixel((19, 19)) == (1, 2, 3, 4)


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


@pytest.mark.parametrize("kind", SLOW)
def test_slow_files_take_few_steps(kind):
    """Steps are calls of functions, of Python or C: a decoder makes some for each part of these files."""
    data, calls = make_slow_file(kind), 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        image = decode_or_none(data)
    finally:
        sys.setprofile(None)
    assert image is None or image.shape == (60, 80, 3)
    assert calls < (5 * 2**20 if kind == "bmp lines" else 5 * MAX_BLOCKS)  # at most 2**20 pixels of BMP are walked


def test_damaged_files_raise_only_image_error():
    seeds = make_kinds()
    rng = np.random.default_rng(20)
    accepted = 0
    for number in range(500):
        data = mutate(seeds[number % len(seeds)], rng)
        image = decode_or_none(data)
        if image is not None:
            accepted += 1
            assert image.dtype == np.uint8
            assert image.shape[2:] == (3,)
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
