# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Creases from shading: dark lines become grooves, and nothing else happens to the head."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.atlas import paint_ready
from vrn_blender.reconstruction.crop import CROP_SIZE, Crop
from vrn_blender.reconstruction.detail import (
    CELLS,
    LIMIT,
    Relief,
    detailed_mesh,
    detailed_surface,
    draw_relief,
)
from vrn_blender.reconstruction.photo import Photo
from vrn_blender.reconstruction.surface import Surface

from .mean_head import head
from .test_surface import assert_sound

Array = NDArray[Any]

SCALE = 4
"""Photo pixels a voxel."""
SKIN = np.array([200.0, 150.0, 120.0])
FRAME = 96.0, 48.0, 12.0
"""Middle (x, y) and half length in voxels of the line on the forehead."""


@pytest.fixture(scope="module")
def surface() -> Surface:
    return head()[0]


@pytest.fixture(scope="module")
def landmarks() -> Array:
    return head()[1]


def take_photo(brightness: Array | float = 1.0) -> tuple[Photo, Crop]:
    """Photo of skin, as bright as given, upon which the volume lies pixel for pixel."""
    side = CROP_SIZE * SCALE
    shade = np.broadcast_to(brightness, (side, side))[..., None]
    rgb = np.clip((SKIN * shade).round(), 0, 255).astype(np.uint8)
    to_crop = np.array([[1 / SCALE, 0.0, 0.0], [0.0, 1 / SCALE, 0.0]])
    return Photo(rgb, "test"), Crop(rgb[::SCALE, ::SCALE].copy(), to_crop)


def line(depth: float, x: float, y: float, half: float) -> Array:
    """Brightness of skin with a line across it, a voxel wide to each side."""
    row, column = (np.indices((CROP_SIZE * SCALE,) * 2) + 0.5) / SCALE
    beyond = np.maximum(np.abs(column - x) - half, 0.0)
    return 1.0 - depth * np.exp(-0.5 * ((row - y) ** 2 + beyond**2))


def relief_of(surface: Surface, landmarks: Array, brightness: Array | float) -> Relief:
    return draw_relief(*take_photo(brightness), surface, landmarks)


@pytest.fixture(scope="module")
def creased(surface: Surface, landmarks: Array) -> Relief:
    return relief_of(surface, landmarks, line(0.3, *FRAME))


def rise_at(relief: Relief, x: float, y: float) -> float:
    return float(relief.rise[round(y * CELLS), round(x * CELLS)])


def test_a_flat_photo_moves_nothing(surface: Surface, landmarks: Array) -> None:
    relief = relief_of(surface, landmarks, 1.0)
    assert np.abs(relief.rise).max() < 1e-4


def test_smooth_shading_is_no_detail(surface: Surface, landmarks: Array) -> None:
    """Light that falls off from one side of the face to the other."""
    relief = relief_of(surface, landmarks, np.linspace(1.2, 0.5, CROP_SIZE * SCALE))
    assert np.abs(relief.rise).max() < 0.05


def test_a_dark_line_is_a_groove(creased: Relief) -> None:
    x, y, _ = FRAME
    assert rise_at(creased, x, y) < -0.2
    assert abs(rise_at(creased, x, y + 12)) < 0.02
    assert abs(rise_at(creased, x, y - 10)) < 0.02


def test_a_bright_line_is_a_lower_ridge(
    surface: Surface, landmarks: Array, creased: Relief
) -> None:
    x, y, _ = FRAME
    ridge = rise_at(relief_of(surface, landmarks, line(-0.3, *FRAME)), x, y)
    assert 0.05 < ridge < -rise_at(creased, x, y)


def test_what_the_photo_shows_is_carved_and_nothing_else(surface: Surface, creased: Relief) -> None:
    smooth = detailed_surface(surface, creased, 0.0)
    carved = detailed_surface(surface, creased, 1.0)
    moved = carved.vertices[:, 2] - smooth.vertices[:, 2]
    x, y, half = FRAME
    places = smooth.vertices
    in_front = places[:, 2] < places[:, 2].mean()
    across = np.abs(places[:, 0] - x) < half
    on_line = in_front & across & (np.abs(places[:, 1] - y) < 0.5)
    assert np.count_nonzero(on_line) > 5
    # Away from the camera is deeper.
    assert moved[on_line].min() > 0.2
    assert not moved[~in_front].any()
    far = np.hypot(np.maximum(np.abs(places[:, 0] - x) - half, 0), places[:, 1] - y) > 15
    assert np.abs(moved[far]).max() < 0.02
    np.testing.assert_array_equal(carved.vertices[:, :2], smooth.vertices[:, :2])


def test_depth_grows_with_strength(surface: Surface, creased: Relief) -> None:
    flat, half, full = (
        detailed_surface(surface, creased, strength).vertices.astype(np.float64)
        for strength in (0.0, 0.5, 1.0)
    )
    assert np.abs(full - flat).max() > 0.2
    np.testing.assert_allclose(half - flat, (full - flat) / 2, atol=1e-4)


@pytest.mark.parametrize("depth", [0.9, -5.0])
def test_nothing_moves_by_more_than_about_a_millimetre(
    surface: Surface, landmarks: Array, depth: float
) -> None:
    """The limit holds along the normal, which the line of sight exceeds where it is askew."""
    relief = relief_of(surface, landmarks, line(depth, *FRAME))
    assert 0.1 < np.abs(relief.rise).max() <= 2.0 * LIMIT


def test_an_underexposed_photo_shows_the_same_creases(
    surface: Surface, landmarks: Array, creased: Relief
) -> None:
    dark = relief_of(surface, landmarks, 0.5 * line(0.3, *FRAME))
    x, y, _ = FRAME
    assert rise_at(dark, x, y) == pytest.approx(rise_at(creased, x, y), rel=0.25)


def test_noise_does_not_become_gravel(surface: Surface, landmarks: Array, creased: Relief) -> None:
    rng = np.random.default_rng(0)
    grain = rng.normal(0.0, 0.06, (CROP_SIZE * SCALE,) * 2)
    noisy = relief_of(surface, landmarks, line(0.3, *FRAME) + grain)
    x, y, _ = FRAME
    assert rise_at(noisy, x, y) < 0.6 * rise_at(creased, x, y)
    elsewhere = noisy.rise[round((y + 8) * CELLS) :][noisy.rise[round((y + 8) * CELLS) :] != 0]
    assert np.percentile(np.abs(elsewhere), 90) < 0.2 * LIMIT


@pytest.mark.parametrize("part", [slice(36, 42), slice(60, 68)])
def test_eyes_and_open_mouths_are_left_alone(
    surface: Surface, landmarks: Array, part: slice
) -> None:
    """What is dark there is no groove."""
    outline = landmarks[part]
    opened = landmarks.copy()
    x, y = outline[:, :2].mean(axis=0)
    opened[part, 1] = y + 3.0 * (outline[:, 1] - y)
    half = float(np.ptp(outline[:, 0])) / 4
    relief = relief_of(surface, opened, line(0.3, float(x), float(y), half))
    assert abs(rise_at(relief, float(x), float(y))) < 0.05


def test_hair_is_left_alone(surface: Surface, landmarks: Array) -> None:
    """Dark strands with light between them, down to the middle of the forehead."""
    row, column = (np.indices((CROP_SIZE * SCALE,) * 2) + 0.5) / SCALE
    strands = 0.15 + 0.08 * np.sin(column * 2.0)
    hairline = FRAME[1]
    relief = relief_of(surface, landmarks, np.where(row < hairline, strands, 1.0))
    assert np.abs(relief.rise[: round((hairline - 1) * CELLS)]).max() < 0.02


def test_beyond_the_photos_border_nothing_is_carved(surface: Surface, landmarks: Array) -> None:
    photo, crop = take_photo(line(0.3, *FRAME))
    missing = round((FRAME[1] + 2) * SCALE)
    cut = crop.photo_to_crop.copy()
    cut[1, 2] = missing / SCALE
    relief = draw_relief(
        Photo(photo.rgb[missing:].copy(), "cut"), Crop(crop.rgb, cut), surface, landmarks
    )
    assert np.abs(relief.rise[: round(FRAME[1] * CELLS)]).max() < 1e-3


def test_a_face_without_skin_gets_no_detail(surface: Surface, landmarks: Array) -> None:
    """Landmarks that lie beside the head, as a wrong box may give them."""
    relief = relief_of(surface, landmarks + np.float32(500.0), line(0.3, *FRAME))
    assert not relief.rise.any()


def test_the_finer_surface_is_sound(surface: Surface, creased: Relief) -> None:
    carved = detailed_surface(surface, creased, 1.0)
    assert_sound(carved)
    assert 1.5 * len(surface.faces) < len(carved.faces) < 4 * len(surface.faces)
    smooth = detailed_surface(surface, creased, 0.0)
    np.testing.assert_array_equal(smooth.vertices[: len(surface.vertices)], surface.vertices)


def test_the_raw_mesh_keeps_its_place_in_the_atlas(surface: Surface, creased: Relief) -> None:
    landmarks = head()[1]
    mesh = paint_ready(surface, landmarks, "raw")
    carved = detailed_mesh(mesh, creased, 1.0)
    assert carved.uv.shape == (*carved.faces.shape, 2)
    assert carved.uv.dtype == carved.regions.dtype == np.float32
    assert len(carved.regions) == len(carved.vertices)
    np.testing.assert_array_equal(carved.regions[: len(mesh.regions)], mesh.regions)
    assert (carved.regions <= mesh.regions.max(axis=0)).all()

    def area(uv: Array) -> float:
        a, b = (uv[:, k].astype(np.float64) - uv[:, 0] for k in (1, 2))
        return float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())

    assert area(carved.uv) == pytest.approx(area(mesh.uv), rel=1e-4)
    same = {(*vertex, *place) for vertex, place in corners(mesh.faces, mesh.uv)}
    finer = {(*vertex, *place) for vertex, place in corners(carved.faces, carved.uv)}
    assert same <= finer


def corners(faces: Array, uv: Array) -> list[tuple[tuple[int], tuple[float, ...]]]:
    """Each corner's vertex and place in the atlas."""
    places = uv.reshape(-1, 2).tolist()
    return [((vertex,), tuple(place)) for vertex, place in zip(faces.ravel(), places, strict=True)]
