"""The displayed crop, the model's pixels and the geometry between them."""

import io

import numpy as np
import pytest
from PIL import Image

from cct_viz.architecture.config import Preprocessing
from cct_viz.images.preprocessing import MAX_SIDE, Geometry, ImageError, crop_and_resize, decode, normalise

RNG = np.random.default_rng(0)
PHOTO = np.array(Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8)).resize((80, 60), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("interpolation", ["box", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_an_image_of_the_models_size_stays_unchanged(size, interpolation):
    image = RNG.integers(0, 256, (*size, 3), np.uint8)
    prepared = crop_and_resize(image, size, Preprocessing(interpolation=interpolation))
    np.testing.assert_array_equal(prepared.pixels, image)
    np.testing.assert_array_equal(prepared.image, image)
    assert prepared.geometry == Geometry(size, (0, 0, *size), size)
    image[:] = 0
    assert prepared.pixels.any()  # a copy
    assert prepared.image.any()
    assert not prepared.pixels.flags.writeable
    assert not prepared.image.flags.writeable


@pytest.mark.parametrize(
    ("original", "model", "crop", "box"),
    [
        ((3000, 4000), (32, 32), 1.0, (0, 500, 3000, 3500)),
        ((4000, 3000), (32, 32), 1.0, (500, 0, 3500, 3000)),
        ((100, 101), (32, 32), 1.0, (0, 0, 100, 100)),
        ((100, 100), (224, 224), 0.9, (5, 5, 95, 95)),
        ((100, 400), (32, 64), 1.0, (0, 100, 100, 300)),
        ((400, 100), (32, 64), 0.5, (187, 25, 212, 75)),
        ((1, 1), (32, 32), 0.3, (0, 0, 1, 1)),
        ((1, 5000), (32, 32), 1.0, (0, 2499, 1, 2500)),
        ((5000, 1), (32, 64), 1.0, (2499, 0, 2500, 1)),
    ],
)
def test_the_crop_is_centred_and_has_the_models_shape(original, model, crop, box):
    prepared = crop_and_resize(np.zeros((*original, 3), np.uint8), model, Preprocessing(crop=crop))
    assert prepared.geometry == Geometry(original, box, model)
    assert prepared.pixels.shape == (*model, 3)
    assert max(prepared.image.shape) <= MAX_SIDE


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_tiny_and_thin_images_keep_their_colour(shape):
    file = io.BytesIO()
    Image.new("RGB", shape[::-1], (10, 200, 90)).save(file, "PNG")
    prepared = crop_and_resize(decode(file.getvalue()), (32, 32), Preprocessing())
    np.testing.assert_array_equal(prepared.pixels, np.broadcast_to(np.uint8([10, 200, 90]), (32, 32, 3)))


def test_the_displayed_crop_is_reduced_only_above_its_limit():
    image = RNG.integers(0, 256, (300, 200, 3), np.uint8)
    np.testing.assert_array_equal(crop_and_resize(image, (32, 32), Preprocessing()).image, image[50:250])
    large = np.array(Image.fromarray(PHOTO).resize((4000, 3000), Image.Resampling.BILINEAR))
    display = crop_and_resize(large, (24, 32), Preprocessing()).image
    assert display.shape == (768, 1024, 3)
    expected = np.array(Image.fromarray(large).resize((1024, 768), Image.Resampling.BOX)).astype(int)
    assert np.abs(display - expected).max() <= 3  # another filter on a smooth picture


@pytest.mark.parametrize("interpolation", ["box", "bilinear", "bicubic", "lanczos"])
def test_a_marker_on_a_large_photo_is_where_the_geometry_says(interpolation):
    photo = np.zeros((3000, 4000, 3), np.uint8)
    prepared = crop_and_resize(photo, (32, 48), Preprocessing(interpolation=interpolation, crop=0.8))
    pixel = np.array([5, 40])
    (y0, x0), (y1, x1) = prepared.geometry.model_to_original([pixel, pixel + 1]).round().astype(int)
    photo[y0:y1, x0:x1] = 255
    prepared = crop_and_resize(photo, (32, 48), Preprocessing(interpolation=interpolation, crop=0.8))
    brightness = prepared.pixels[..., 0].astype(float)
    assert tuple(pixel) == np.unravel_index(brightness.argmax(), brightness.shape)
    centre = (np.argwhere(np.ones((32, 48))) + 0.5).T @ brightness.ravel() / brightness.sum()
    back = prepared.geometry.model_to_original(centre)
    # Tolerance of 1/1000 of the photo: the resize is symmetric, but its result is rounded to grey levels.
    np.testing.assert_allclose(back, [(y0 + y1) / 2, (x0 + x1) / 2], atol=4)
    display = prepared.image[..., 0].astype(float)
    middle = np.argwhere(display > 127).mean(axis=0) + 0.5
    fraction = middle / display.shape
    np.testing.assert_allclose(fraction, prepared.geometry.model_to_fraction(pixel + 0.5), atol=1 / MAX_SIDE)


def test_coordinate_conversions_are_inverse():
    geometry = Geometry((300, 401), (10, 50, 290, 370), (28, 32))
    points = np.random.default_rng(1).uniform(-5, 40, (7, 3, 2))
    for there, back in (
        (geometry.model_to_fraction, geometry.fraction_to_model),
        (geometry.model_to_original, geometry.original_to_model),
    ):
        np.testing.assert_allclose(back(there(points)), points, atol=1e-9)
    np.testing.assert_allclose(
        geometry.model_to_original([[0, 0], [28, 32], [14, 16]]), [[10, 50], [290, 370], [150, 210]]
    )
    np.testing.assert_allclose(geometry.model_to_fraction([7, 16]), [0.25, 0.5])
    windows = np.array([[0, 0, 7, 16]])  # boxes are pairs of points
    np.testing.assert_allclose(geometry.model_to_original(windows.reshape(-1, 2, 2)), [[[10, 50], [80, 210]]])


@pytest.mark.parametrize(
    ("box", "model_size"),
    [((0, 0, 11, 5), (4, 4)), ((-1, 0, 5, 5), (4, 4)), ((2, 0, 2, 5), (4, 4)), ((0, 0, 5, 5), (0, 4))],
)
def test_impossible_geometry_is_refused(box, model_size):
    with pytest.raises(ValueError, match=r"expected|does not lie"):
        Geometry((10, 10), box, model_size)


# Normalisation


def test_normalise_is_the_formula():
    preprocessing = Preprocessing(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0))
    pixels = RNG.integers(0, 256, (2, 4, 5, 3), np.uint8)
    result = normalise(pixels, preprocessing)
    assert result.dtype == np.float32
    expected = (pixels / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    np.testing.assert_allclose(result, expected, atol=1e-6)  # float32
    np.testing.assert_array_equal(normalise(np.uint8([[[0, 51, 255]]]), Preprocessing()), np.float32([[[0, 0.2, 1]]]))


def test_normalise_refuses_pixels_that_are_already_scaled():
    with pytest.raises(ValueError, match=r"float64 \(60, 80, 3\); expected uint8"):
        normalise(PHOTO / 255, Preprocessing())


def test_crop_and_resize_refuses_what_decode_refuses():
    with pytest.raises(ImageError, match="float64"):
        crop_and_resize(PHOTO / 255, (32, 32), Preprocessing())
