# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The texture station: exact where the photo shows the head, and never any background."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.crop import Crop
from vrn_blender.reconstruction.photo import Photo
from vrn_blender.reconstruction.surface import Surface, extract_surface
from vrn_blender.reconstruction.texture import Texture, project_texture

Array = NDArray[Any]

CENTRE = np.array([96.0, 90.0, 100.0])
RADIUS = 60.0
SKIN = (200, 150, 120)
GREEN = (0, 255, 0)


@pytest.fixture(scope="module")
def ball() -> Surface:
    """Ball of 60 voxels about (96, 90, 100), as coarse as the test can bear."""
    z, y, x = np.indices((50, 48, 48)) * 4 + 2.0
    distance = np.sqrt((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2 + (z - CENTRE[2]) ** 2)
    volume = np.clip(127.5 + 20 * (RADIUS - distance), 0, 255).astype(np.uint8)
    coarse = extract_surface(volume)
    return Surface(coarse.vertices * np.float32(4), coarse.faces)


def make_crop(scale: float, roll: float = 0.0, middle: tuple[float, float] = (0, 0)) -> Crop:
    """Crop of ``scale`` crop pixels a photo pixel, the photo's ``middle`` at the ball's centre."""
    turn = scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    matrix = np.column_stack([turn, CENTRE[:2] - turn @ middle])
    return Crop(np.zeros((192, 192, 3), np.uint8), matrix)


def in_photo(crop: Crop, surface: Surface) -> Array:
    """Photo pixels of the vertices."""
    matrix = crop.crop_to_photo
    return surface.vertices[:, :2] @ matrix[:, :2].T + matrix[:, 2]


def sample(texture: Texture) -> Array:
    """Colours at the vertices, interpolated as Blender does: texel i has its centre at i + 0.5."""
    height, width = texture.image.shape[:2]
    x = texture.uv[:, 0].astype(np.float64) * width - 0.5
    y = (1 - texture.uv[:, 1].astype(np.float64)) * height - 0.5
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = (x - column)[:, None], (y - row)[:, None]
    image = texture.image.astype(np.float64)
    return (
        image[row, column] * (1 - right) * (1 - down)
        + image[row, column + 1] * right * (1 - down)
        + image[row + 1, column] * (1 - right) * down
        + image[row + 1, column + 1] * right * down
    )


def coded_photo(side: int) -> Photo:
    """Photo whose red tells x and whose green tells y, from 0 to 255 over the whole side."""
    code = np.floor((np.arange(side) + 0.5) * 256 / side).astype(np.uint8)
    rgb = np.zeros((side, side, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = code, code[:, None]
    return Photo(rgb, "coded")


def disc_photo(side: int, middle: tuple[float, float], radius: float) -> Photo:
    """Skin-coloured disc before a green background."""
    y, x = np.indices((side, side)) + 0.5
    inside = np.hypot(x - middle[0], y - middle[1]) < radius
    return Photo(np.where(inside[..., None], SKIN, GREEN).astype(np.uint8), "disc")


def well_inside(surface: Surface) -> Array:
    """Vertices that are not near the silhouette."""
    return np.linalg.norm(surface.vertices[:, :2] - CENTRE[:2], axis=1) < 0.75 * RADIUS


@pytest.mark.parametrize("roll", [0.0, 0.4, -2.5])
def test_each_vertex_gets_the_photo_where_it_projects_to(ball: Surface, roll: float) -> None:
    """To a tenth of a pixel, whatever the crop's turn."""
    crop = make_crop(0.7, roll, (130.3, 120.9))
    texture = project_texture(coded_photo(256), crop, ball)
    inside = well_inside(ball)
    read = sample(texture)[inside, :2] + 0.5
    assert np.abs(read - in_photo(crop, ball)[inside]).max() < 0.1


def test_a_photo_that_is_averaged_down_stays_in_its_place(ball: Surface) -> None:
    """To a tenth of a photo pixel on average, although the sizes do not divide."""
    crop = make_crop(0.17, 0.3, (505.2, 498.7))
    texture = project_texture(coded_photo(1024), crop, ball, max_size=301)
    assert max(texture.image.shape) == 301
    inside = well_inside(ball)
    error = (sample(texture)[inside, :2] + 0.5) * 4 - in_photo(crop, ball)[inside]
    assert np.abs(error.mean(axis=0)).max() < 0.1
    assert np.abs(error).max() < 4


def test_the_photo_keeps_its_resolution_and_its_pixels(ball: Surface) -> None:
    """Inside the silhouette the texture is the photo, pixel for pixel."""
    rgb = np.random.default_rng(0).integers(0, 256, (300, 320, 3), dtype=np.uint8)
    texture = project_texture(Photo(rgb, "noise"), make_crop(0.7, 0.0, (160, 150)), ball)
    height, width = texture.image.shape[:2]
    u, v = texture.uv[0]
    x, y = in_photo(make_crop(0.7, 0.0, (160, 150)), ball)[0]
    left, top = round(x - u * width), round(y - (1 - v) * height)
    rows, columns = slice(110, 190), slice(120, 200)
    shown = texture.image[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    assert np.array_equal(shown, rgb[rows, columns])


def test_the_top_of_the_head_has_the_largest_v(ball: Surface) -> None:
    """Blender's v points up, the photo's y down."""
    texture = project_texture(coded_photo(256), make_crop(0.7, 0.0, (128, 128)), ball)
    assert texture.uv[ball.vertices[:, 1].argmin(), 1] > 0.9
    assert texture.uv[ball.vertices[:, 1].argmax(), 1] < 0.1
    assert texture.uv[ball.vertices[:, 0].argmax(), 0] > 0.9
    assert texture.uv.dtype == np.float32


def test_background_that_shows_within_the_silhouette_never_colours_the_head(ball: Surface) -> None:
    """The photo's head may be smaller than the mesh by some percent."""
    middle = (200.0, 210.0)
    photo = disc_photo(420, middle, 0.95 * RADIUS / 0.4)
    colours = sample(project_texture(photo, make_crop(0.4, 0.0, middle), ball))
    assert np.abs(colours - SKIN).max() <= 2


@pytest.mark.parametrize("middle", [(20.0, 150.0), (150.0, 290.0), (5.0, 5.0), (150.0, 150.0)])
def test_a_head_that_leaves_the_photo_is_coloured_from_inside(
    ball: Surface, middle: tuple[float, float]
) -> None:
    """Texture coordinates stay within the texture, and it holds no other colour there."""
    photo = disc_photo(300, middle, 0.99 * RADIUS / 0.4)
    texture = project_texture(photo, make_crop(0.4, 0.2, middle), ball)
    assert texture.uv.min() > 0
    assert texture.uv.max() < 1
    assert np.abs(sample(texture) - SKIN).max() <= 2


def test_a_head_beside_the_photo_gets_the_border(ball: Surface) -> None:
    """A box given by hand may lie anywhere."""
    photo = disc_photo(100, (50, 50), 20)
    texture = project_texture(photo, make_crop(0.4, 0.0, (-400, 50)), ball)
    assert np.array_equal(np.unique(texture.image.reshape(-1, 3), axis=0), [GREEN])


def test_layers_of_the_mesh_do_not_cut_holes_into_the_silhouette(ball: Surface) -> None:
    """A nose before a cheek is two layers: both are head."""
    count = len(ball.vertices)
    nose = ball.vertices * np.float32(0.4) + np.array([60, 55, 0], np.float32)
    both = Surface(
        np.concatenate([ball.vertices, nose]), np.concatenate([ball.faces, ball.faces + count])
    )
    rgb = np.random.default_rng(1).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    crop = make_crop(0.5, 0.0, (200, 200))
    single = project_texture(Photo(rgb, "noise"), crop, ball)
    double = project_texture(Photo(rgb, "noise"), crop, both)
    assert np.array_equal(single.image, double.image)


def test_a_small_face_gives_a_small_texture(ball: Surface) -> None:
    """Twenty pixels of head are enough to run on."""
    texture = project_texture(disc_photo(40, (20, 20), 9.8), make_crop(6.0, 0.0, (20, 20)), ball)
    assert 20 <= texture.image.shape[1] <= 28
    assert np.abs(sample(texture) - SKIN).max() <= 2
