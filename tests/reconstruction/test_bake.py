# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The baked texture: the photo where the camera saw the head, and nothing foreign anywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.bake import Texture, bake, fitting_size, mirrored, sample_corners
from vrn_blender.reconstruction.crop import CROP_SIZE, Crop
from vrn_blender.reconstruction.mesh import REGIONS, Mesh
from vrn_blender.reconstruction.photo import Photo

Array = NDArray[Any]

CENTRE = np.array([96.0, 90.0, 100.0])
RADIUS = 60.0
SKIN = np.array([200.0, 150.0, 120.0])
RED = np.array([250.0, 10.0, 10.0])
GREEN = np.array([0.0, 255.0, 0.0])

Window = tuple[float, float, float, float]
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


def turned(points: Array, yaw: float) -> Array:
    """Turn about the vertical through the origin; a positive yaw shows the camera more of -x."""
    c, s = np.cos(yaw), np.sin(yaw)
    return points @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]).T


def make_ball(
    yaw: float = 0.0,
    centre: Array = CENTRE,
    radius: float = RADIUS,
    window: Window = WHOLE,
    region: str = "cheeks",
) -> Mesh:
    """Ball of quads; u runs round it from the seam behind, v from bottom to top, in a window."""
    latitudes, longitudes = 48, 64
    lat, lon = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, latitudes + 1),
        np.arange(longitudes) * 2 * np.pi / longitudes - np.pi,
        indexing="ij",
    )
    points = np.stack(
        [np.cos(lat) * np.sin(lon), -np.sin(lat), -np.cos(lat) * np.cos(lon)], axis=-1
    ).reshape(-1, 3)
    row, column = (n.ravel() for n in np.indices((latitudes, longitudes)))
    rows = np.stack([row, row, row + 1, row + 1], axis=1)
    columns = np.stack([column, column + 1, column + 1, column], axis=1)
    faces = (rows * longitudes + columns % longitudes).astype(np.int32)
    low, high = np.array(window[:2]), np.array(window[2:])
    uv = np.stack([columns / longitudes, rows / latitudes], axis=-1) * (high - low) + low
    regions = np.zeros((len(points), len(REGIONS)), np.float32)
    regions[:, REGIONS.index(region)] = 1.0
    vertices = turned(points, yaw) * radius + centre
    return Mesh(vertices.astype(np.float32), faces, uv.astype(np.float32), regions)


def together(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)])
        .astype(np.int32),
        np.concatenate([mesh.uv for mesh in meshes]),
        np.concatenate([mesh.regions for mesh in meshes]),
    )  # fmt: skip


def take_photo(
    colour: Callable[[Array, Array], Array],
    scale: float = 0.5,
    roll: float = 0.0,
    side: int = 400,
    middle: tuple[float, float] | None = None,
) -> tuple[Photo, Crop]:
    """Photo of ``colour`` at crop pixels x and y, and a crop with the ball in the middle."""
    turn = scale * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    middle = (side / 2, side / 2) if middle is None else middle
    matrix = np.column_stack([turn, CENTRE[:2] - turn @ middle])
    row, column = np.indices((side, side)) + 0.5
    points = np.stack([column, row], axis=-1) @ matrix[:, :2].T + matrix[:, 2]
    rgb = np.clip(colour(points[..., 0], points[..., 1]).round(), 0, 255).astype(np.uint8)
    shift = matrix.copy()
    shift[:, 2] += shift[:, :2] @ (0.5, 0.5) - 0.5
    small = cv2.warpAffine(rgb, shift, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE)
    return Photo(rgb, "test"), Crop(small, matrix)


def coded(x: Array, y: Array) -> Array:
    """Colour that tells where it is: red x and green y, one grey level a crop pixel."""
    return np.stack([x, y, np.full_like(x, 128.0)], axis=-1)


def disc(radius: float) -> Callable[[Array, Array], Array]:
    """Skin before a green background."""

    def colour(x: Array, y: Array) -> Array:
        inside = np.hypot(x - CENTRE[0], y - CENTRE[1]) < radius
        return np.where(inside[..., None], SKIN, GREEN)

    return colour


def painted_ball(
    paint: Callable[[Array], Array], yaw: float = 0.0
) -> Callable[[Array, Array], Array]:
    """Ball that is painted according to its own unit vectors, before a green background."""

    def colour(x: Array, y: Array) -> Array:
        flat = np.stack([x - CENTRE[0], y - CENTRE[1]], axis=-1) / RADIUS
        square = (flat**2).sum(axis=-1)
        depth = -np.sqrt(np.clip(1.0 - square, 0.0, 1.0))
        own = turned(np.concatenate([flat, depth[..., None]], axis=-1), -yaw)
        return np.where((square < 1.0)[..., None], paint(own), GREEN)

    return colour


def own_vectors(size: int) -> Array:
    """Give the unit vector of the ball's own that each texel shows."""
    v, u = np.indices((size, size)) + 0.5
    lon, lat = u / size * 2 * np.pi - np.pi, np.pi / 2 - v / size * np.pi
    return np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), -np.cos(lat) * np.cos(lon)], axis=-1)


def at_vertices(texture: Texture, mesh: Mesh) -> Array:
    colours = np.zeros((len(mesh.vertices), 3))
    colours[mesh.faces] = sample_corners(texture.image, mesh.uv)
    return colours


@pytest.mark.parametrize("roll", [0.0, 0.4, -2.5])
@pytest.mark.parametrize("size", [512, 1536])
def test_known_colours_come_back_at_known_places(roll: float, size: int) -> None:
    ball = make_ball()
    photo, crop = take_photo(coded, roll=roll)
    texture = bake(photo, crop, ball, size=size)
    colours = at_vertices(texture, ball)
    seen = at_vertices(Texture(np.dstack([texture.seen] * 3), texture.seen), ball)[:, 0] == 255
    assert np.count_nonzero(seen) > 200
    error = colours[seen, :2] - ball.vertices[seen, :2]
    assert np.abs(error).max() <= 1.0
    assert np.abs(error.mean(axis=0)).max() < 0.1


def test_a_photo_larger_than_the_texture_is_averaged_and_stays_in_its_place() -> None:
    ball = make_ball()
    chequers = np.random.default_rng(0).choice([-40.0, 40.0], (1600, 1600, 1))
    photo, crop = take_photo(lambda x, y: coded(x, y) + chequers, scale=0.1, side=1600)
    texture = bake(photo, crop, ball, size=256)
    expected = own_vectors(256)[..., :2] * RADIUS + CENTRE[:2]
    middle = np.s_[96:160, 112:144]
    error = texture.image[middle][..., :2] - expected[middle]
    assert error.std() < 12.0
    assert np.abs(error.mean(axis=(0, 1))).max() < 1.0


def test_the_size_keeps_the_resolution_of_the_photo_on_the_face() -> None:
    ball = make_ball()
    for scale in (0.8, 0.3, 0.12):
        crop = Crop(np.zeros((192, 192, 3), np.uint8), np.array([[scale, 0, 0], [0, scale, 0.0]]))
        size = fitting_size(crop, ball, 4096)
        assert size & (size - 1) == 0
        pixels_a_texel = np.pi * RADIUS / scale / size
        assert 0.3 < pixels_a_texel <= 1.1 or size == 512
    assert fitting_size(crop, ball, 300) == 300


def test_background_that_shows_within_the_silhouette_never_colours_the_head() -> None:
    """The photo's head may be smaller than the mesh."""
    photo, crop = take_photo(disc(0.93 * RADIUS))
    texture = bake(photo, crop, make_ball(), size=512)
    assert np.abs(texture.image - SKIN).max() <= 3


def test_background_of_a_pocket_that_the_mesh_lacks_never_colours_the_head() -> None:
    """Between jaw and collar the background may reach far into the silhouette."""

    def bitten(x: Array, y: Array) -> Array:
        bite = np.hypot(x - CENTRE[0] - RADIUS, y - CENTRE[1]) < 12.0
        return np.where(bite[..., None], GREEN, disc(RADIUS)(x, y))

    photo, crop = take_photo(bitten)
    texture = bake(photo, crop, make_ball(), size=512)
    assert np.abs(texture.image - SKIN).max() <= 3


def test_what_something_hides_does_not_take_its_colour() -> None:
    """A nose before a cheek."""
    nose_middle = CENTRE + np.array([20.0, 0.0, -75.0])
    head = make_ball(window=(0.0, 0.3, 1.0, 1.0))
    nose = make_ball(centre=nose_middle, radius=10.0, window=(0.3, 0.0, 0.7, 0.25), region="eyes")
    both = together(head, nose)

    def colour(x: Array, y: Array) -> Array:
        on_nose = np.hypot(x - nose_middle[0], y - nose_middle[1]) < 10.5
        return np.where(on_nose[..., None], RED, disc(RADIUS)(x, y))

    photo, crop = take_photo(colour)
    texture = bake(photo, crop, both, size=512)
    assert np.abs(texture.image[: int(0.69 * 512)] - SKIN).max() <= 3
    assert np.abs(texture.image[448, 256] - RED).max() <= 3


def test_what_only_the_other_side_shows_is_mirrored() -> None:
    """The atlas is symmetric about u = 0.5, and this is where that is held."""
    yaw = 0.7

    def paint(own: Array) -> Array:
        waves = 30 * np.sin(6 * np.abs(own[..., :1])) + 30 * np.sin(5 * own[..., 1:2])
        return SKIN + waves * np.array([1.0, 0.7, 0.6])

    photo, crop = take_photo(painted_ball(paint, yaw))
    texture = bake(photo, crop, make_ball(yaw), size=512)
    only_mirrored = np.abs(texture.seen.astype(int) - 128) <= 1
    assert only_mirrored.mean() > 0.05
    sides = only_mirrored[:, :256].sum(), only_mirrored[:, 256:].sum()
    assert min(sides) < 0.01 * max(sides)
    difference = np.abs(texture.image - paint(own_vectors(512)))
    assert difference[only_mirrored].mean() < 3
    assert difference[texture.seen == 255].mean() < 1.5


def test_no_seam_shows_where_the_seen_meets_the_mirrored() -> None:
    """Although the light comes from one side."""
    yaw = 0.7
    light = turned(np.array([-0.8, 0.0, -0.6]), -yaw)
    photo, crop = take_photo(
        painted_ball(lambda own: SKIN * (0.35 + 0.65 * np.clip(own @ light, 0, 1))[..., None], yaw)
    )
    texture = bake(photo, crop, make_ball(yaw), size=512)
    rows = texture.image[128:384].astype(float)
    assert np.abs(np.diff(rows, axis=1)).max() <= 4
    assert np.abs(rows[:, 0] - rows[:, -1]).max() <= 4


def test_a_tint_of_one_side_is_not_carried_on_over_the_other() -> None:
    """As of coloured light or glass, where the turned side begins."""
    yaw = 0.7
    tint = np.array([0.6, 0.8, 1.4])

    def paint(own: Array) -> Array:
        return SKIN * np.where((own[..., 0] < -0.05)[..., None], tint, 1.0)

    photo, crop = take_photo(painted_ball(paint, yaw))
    texture = bake(photo, crop, make_ball(yaw), size=512)
    only_mirrored = texture.image[np.abs(texture.seen.astype(int) - 128) <= 1]
    assert len(only_mirrored) > 0.05 * 512**2
    assert np.ptp(np.log(only_mirrored / SKIN), axis=1).max() < 0.25


@pytest.mark.parametrize(("tint", "kept"), [((1.1, 1.2, 1.1), False), ((1.1, 0.95, 0.95), True)])
def test_a_window_lights_one_side_only_but_both_cheeks_are_red(
    tint: tuple[float, float, float], kept: bool
) -> None:
    """Of what only one side shows."""
    yaw = 0.5

    def paint(own: Array) -> Array:
        patch = np.clip((own[..., :1] - 0.8) / 0.05, 0.0, 1.0)
        return SKIN * (1.0 + patch * (np.array(tint) - 1.0))

    photo, crop = take_photo(painted_ball(paint, yaw))
    texture = bake(photo, crop, make_ball(yaw), size=512)
    own = own_vectors(512)
    patch = (np.abs(own[..., 1]) < 0.3) & (own[..., 0] < -0.87)
    patch &= np.abs(texture.seen.astype(int) - 128) <= 1
    assert patch.sum() > 500
    expected = tint if kept else np.ones(3)
    assert np.abs(np.log(texture.image[patch] / (SKIN * expected))).mean() < 0.03


def test_what_nobody_saw_is_filled_smoothly_and_without_a_seam() -> None:
    photo, crop = take_photo(painted_ball(lambda own: SKIN + 40 * own[..., 1:2]))
    image = bake(photo, crop, make_ball(), size=512).image.astype(float)
    behind = np.concatenate([image[64:-64, 400:], image[64:-64, :112]], axis=1)
    assert np.abs(np.diff(behind, axis=1)).max() <= 3
    assert np.all((behind > SKIN - 45) & (behind < SKIN + 45))


def test_an_unseen_scalp_takes_the_colour_of_the_hair() -> None:
    """Skin in front of it is scalp to the mesh, too."""
    hair = np.array([60.0, 40.0, 20.0])

    def paint(own: Array) -> Array:
        skin = (own[..., 2] < -0.75)[..., None]
        return np.where(skin, SKIN, hair)

    photo, crop = take_photo(painted_ball(paint))
    texture = bake(photo, crop, make_ball(region="scalp"), size=512)
    assert np.abs(texture.image[128:384, :40].mean(axis=(0, 1)) - hair).max() < 8


def test_islands_are_dilated_past_their_borders() -> None:
    photo, crop = take_photo(disc(RADIUS))
    texture = bake(photo, crop, make_ball(window=(0.2, 0.2, 0.8, 0.8)), size=512)
    assert np.abs(texture.image - SKIN).max() <= 3


def test_the_mask_tells_what_was_seen() -> None:
    photo, crop = take_photo(disc(RADIUS))
    texture = bake(photo, crop, make_ball(), size=512)
    assert texture.seen.shape == texture.image.shape[:2] == (512, 512)
    assert texture.seen[256, 256] == 255
    assert texture.seen[256, [0, -1]].max() == 0
    assert 0.15 < (texture.seen == 255).mean() < 0.5


def test_a_symmetric_texture_is_its_own_mirror_image() -> None:
    photo, crop = take_photo(coded)
    texture = bake(photo, crop, make_ball(), size=512, symmetric=True)
    assert np.array_equal(texture.image, mirrored(texture.image))
    assert np.abs(texture.image[256, 256, 1:] - (90.0, 128.0)).max() <= 2


def test_even_light_leaves_the_skins_own_colour() -> None:
    light = np.array([-0.6, -0.3, -0.74])
    photo, crop = take_photo(
        painted_ball(lambda own: SKIN * np.clip(0.5 + 0.5 * own @ light, 0, 1)[..., None] ** 0.45)
    )
    lit, evened = (
        bake(photo, crop, make_ball(), size=512, even_light=even) for even in (False, True)
    )
    seen = lit.seen == 255
    assert lit.image[seen].std(axis=0).max() > 10
    assert np.all(evened.image[seen].std(axis=0) < lit.image[seen].std(axis=0) / 3)


@pytest.mark.parametrize("middle", [(20.0, 150.0), (150.0, 390.0), (5.0, 5.0)])
def test_a_head_that_leaves_the_photo_is_coloured_from_inside(
    middle: tuple[float, float],
) -> None:
    photo, crop = take_photo(disc(RADIUS), middle=middle)
    texture = bake(photo, crop, make_ball(), size=512)
    assert np.abs(texture.image - SKIN).max() <= 3


def test_a_head_beside_the_photo_gets_its_border() -> None:
    """A box given by hand may lie anywhere."""
    photo, crop = take_photo(disc(RADIUS), middle=(-900.0, 200.0))
    texture = bake(photo, crop, make_ball(), size=256)
    assert np.abs(texture.image - GREEN).max() <= 1


def test_corners_are_sampled_as_blender_does() -> None:
    """Texel i has its centre at i + 0.5, and v points up."""
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    uv = np.array([[[0.125, 0.875], [0.625, 0.125], [0.25, 0.875]]], np.float32)
    expected = [image[0, 0], image[3, 2], np.rint((image[0, 0] + image[0, 1]) / 2.0)]
    assert np.array_equal(sample_corners(image, uv)[0], expected)
