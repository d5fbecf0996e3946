# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean head's photo, with hair of a known colour before a known background, is baked."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reconstruction.mean_head import SCALE, in_volume
from vrn_blender.reconstruction.bake import bake, sample_corners
from vrn_blender.reconstruction.crop import CROP_SIZE, Crop
from vrn_blender.reconstruction.hair import cut_out, draw_strands, find_sides
from vrn_blender.reconstruction.mesh import REGIONS, Mesh
from vrn_blender.reconstruction.normals import vertex_normals
from vrn_blender.reconstruction.photo import Photo
from vrn_blender.reconstruction.raster import draw, split_quads
from vrn_blender.reconstruction.topology import load_topology

SKIN = np.array([190.0, 135.0, 110.0])
HAIRS = {
    "white": (225.0, 222.0, 220.0),
    "grey": (140.0, 140.0, 145.0),
    "blond": (190.0, 165.0, 105.0),
    "black": (28.0, 25.0, 24.0),
}
BACKGROUNDS = {
    "bright": (250.0, 250.0, 250.0),
    "dark": (12.0, 12.0, 14.0),
    "skin": (190.0, 135.0, 110.0),
    "blue": (60.0, 90.0, 200.0),
}
HAIRLINE = 0.075
"""Metres above the middle of the eyes at which hair begins in these photos."""
THICK = 6
"""Pixels of the crop by which it stands off the head."""


@pytest.fixture(scope="module")
def head() -> Mesh:
    topology = load_topology()
    return Mesh(in_volume(topology.vertices), topology.quads, topology.uv, topology.regions)


def shoot(
    head: Mesh,
    background: tuple[float, float, float],
    hair: tuple[float, float, float] | None,
    shrunk: float = 1.0,
) -> tuple[Photo, Crop]:
    """Photo of a head lit from the front and above; ``shrunk`` makes it smaller than its mesh."""
    middle = head.vertices.mean(axis=0)
    vertices = (head.vertices - middle) * np.float32(shrunk) + middle
    faces = split_quads(head.faces)
    side = (CROP_SIZE, CROP_SIZE)
    grid = draw(vertices[faces, :2].astype(float), faces, len(vertices), side, vertices[:, 2])
    normals = grid.spread(vertex_normals(vertices, head.faces))
    light = np.clip(normals @ np.array([0.1, -0.5, -0.85]), 0.0, 1.0)
    rng = np.random.default_rng(0)
    rgb = np.broadcast_to(np.array(background), (*side, 3)).copy()
    rgb[grid.covered] = (SKIN * (0.7 + 0.4 * light[..., None]))[grid.covered]
    if hair is not None:
        shell = cv2.dilate(grid.covered.astype(np.uint8), np.ones((2 * THICK + 1,) * 2)) > 0
        shell[int(96 - HAIRLINE * SCALE) :] = False
        strands = 1.0 + 0.15 * rng.standard_normal((CROP_SIZE, 1)).T
        rgb[shell] = (np.array(hair) * strands[..., None] * np.ones((*side, 1)))[shell]
    rgb = cv2.GaussianBlur(rgb + rng.normal(0.0, 3.0, rgb.shape), (0, 0), 0.7)
    picture = np.clip(rgb.round(), 0, 255).astype(np.uint8)
    return Photo(picture, "test"), Crop(picture, np.eye(3)[:2])


def baked(head: Mesh, photo: Photo, crop: Crop) -> NDArray[np.float64]:
    """Colour of each vertex, (V, 3)."""
    colours = np.zeros((len(head.vertices), 3))
    colours[head.faces] = sample_corners(bake(photo, crop, head, size=512).image, head.uv)
    return colours


def region(head: Mesh, name: str) -> NDArray[np.float32]:
    return head.regions[:, REGIONS.index(name)]


def unseen_scalp(head: Mesh) -> NDArray[np.bool_]:
    """Back of the head, above the nape."""
    behind = vertex_normals(head.vertices, head.faces)[:, 2] > 0.3
    return behind & (region(head, "scalp") > 0.99) & (head.vertices[:, 1] < 96)


def test_the_heads_of_these_tests_have_an_unseen_scalp_and_a_hairline_on_it(head: Mesh) -> None:
    assert unseen_scalp(head).sum() > 300
    line = head.vertices[:, 1] < 96 - HAIRLINE * SCALE
    assert (line & (region(head, "scalp") > 0.9)).sum() > 300


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("hair", HAIRS)
def test_an_unseen_scalp_takes_the_hairs_colour(head: Mesh, hair: str, background: str) -> None:
    photo, crop = shoot(head, BACKGROUNDS[background], HAIRS[hair])
    colour = np.median(baked(head, photo, crop)[unseen_scalp(head)], axis=0)
    assert np.abs(colour - HAIRS[hair]).max() < 20


@pytest.mark.parametrize("shrunk", [1.0, 0.96])
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_bald_head_has_neither_hair_nor_background_on_it(
    head: Mesh, background: str, shrunk: float
) -> None:
    photo, crop = shoot(head, BACKGROUNDS[background], None, shrunk)
    scalp = baked(head, photo, crop)[region(head, "scalp") > 0.5]
    ratio = scalp / SKIN
    assert ratio.min() > 0.6
    assert ratio.max() < 1.2
    assert np.ptp(np.log(ratio), axis=1).max() < 0.15


def test_a_highlight_on_a_bald_head_is_no_hair(head: Mesh) -> None:
    photo, crop = shoot(head, BACKGROUNDS["blue"], None)
    rgb = photo.rgb.copy()
    top = head.vertices[:, 1].min()
    cv2.circle(rgb, (96, int(top) + 18), 9, (250, 245, 240), -1)
    colours = baked(head, Photo(rgb, "test"), Crop(rgb, crop.crop_to_photo))
    assert np.ptp(np.log(colours[unseen_scalp(head)] / SKIN), axis=1).max() < 0.1


def test_no_hair_lies_before_or_below_the_ears(head: Mesh) -> None:
    photo, crop = shoot(head, BACKGROUNDS["blue"], HAIRS["black"])
    colours = baked(head, photo, crop)
    ears = region(head, "ears") > 0.5
    lobe = np.percentile(head.vertices[ears, 1], 95)
    front = head.vertices[ears, 2].mean()
    beside = (np.abs(head.vertices[:, 0] - 96) > 25) & (head.vertices[:, 2] < front)
    skin = beside & (head.vertices[:, 1] > head.vertices[ears, 1].mean())
    assert skin.sum() > 300
    assert (colours[skin] / SKIN).min() > 0.6
    below = (head.vertices[:, 1] > lobe) & (head.vertices[:, 2] < front + 5)
    assert (colours[below] / SKIN).min() > 0.6


def test_strands_lie_calmly_and_meet_behind_without_a_seam(head: Mesh) -> None:
    sides = find_sides(head)
    assert sides.up @ np.array([0.0, -1.0, 0.0]) > 0.9
    assert sides.ahead @ np.array([0.0, 0.0, -1.0]) > 0.9
    turn = np.linspace(-0.02, 2 * np.pi + 0.02, 8192)
    across = np.stack([np.sin(turn), np.full_like(turn, -0.2), np.cos(turn)], axis=-1)
    places = (sides.middle + 60.0 * across[None]).astype(np.float32)
    for noise in (kind[0] for kind in draw_strands(places, sides)):
        assert 0.5 < noise.std() < 1.5
        assert np.abs(np.diff(noise)).max() < 0.5
        once_round = np.interp(turn[-40:] - 2 * np.pi, turn, noise)
        assert np.abs(noise[-40:] - once_round).max() < 0.1


def test_hair_that_nobody_saw_ends_in_stubble(head: Mesh) -> None:
    """Behind the ears and round the nape there is no clean edge."""
    photo, crop = shoot(head, BACKGROUNDS["blue"], HAIRS["black"])
    image = bake(photo, crop, head, size=1024).image
    bright = image.mean(axis=2) / SKIN.mean()
    columns = bright[250:420, 80:140]
    hair, skin = columns[:15].mean(), columns[-15:].mean()
    assert hair < 0.3 < 0.6 < skin
    levels = hair + np.array([0.2, 0.5, 0.8]) * (skin - hair)
    ends = np.array([[np.argmax(column > level) for level in levels] for column in columns.T])
    assert np.mean(ends[:, 2] - ends[:, 0]) > 25
    line = ends[:, 1] - np.polyval(np.polyfit(np.arange(60), ends[:, 1], 2), np.arange(60))
    assert line.std() > 3.5


def with_neck(
    head: Mesh, paint: Callable[[NDArray[np.float64], NDArray[np.bool_]], None]
) -> tuple[Photo, Crop]:
    """Photo of a bald head; ``paint`` gets it and the pixels below the chin."""
    photo, crop = shoot(head, BACKGROUNDS["blue"], None)
    chin = head.vertices[region(head, "chin") > 0.5, 1].max()
    below = np.zeros(photo.rgb.shape[:2], np.bool_)
    below[int(chin) + 2 :] = True
    rgb = photo.rgb.astype(float)
    paint(rgb, below)
    picture = np.clip(rgb.round(), 0, 255).astype(np.uint8)
    return Photo(picture, "test"), Crop(picture, crop.crop_to_photo)


def plain_neck(head: Mesh) -> NDArray[np.bool_]:
    """Front of the neck, away from chin and jaw."""
    ahead = vertex_normals(head.vertices, head.faces)[:, 2] < -0.6
    return ahead & (region(head, "neck") > 0.9)


@pytest.mark.parametrize("cloth", ["white", "navy", "tie"])
@pytest.mark.parametrize("gap", [0, 5])
def test_nothing_worn_round_the_neck_is_painted_on_it(head: Mesh, cloth: str, gap: int) -> None:
    colours = {"white": (240, 242, 250), "navy": (20, 24, 40), "tie": (60, 70, 190)}

    def dress(rgb: NDArray[np.float64], below: NDArray[np.bool_]) -> None:
        rgb[np.roll(below, gap, axis=0) & below] = colours[cloth]

    ratio = baked(head, *with_neck(head, dress))[region(head, "neck") > 0.5] / SKIN
    assert ratio.min() > 0.55
    assert ratio.max() < 1.2
    assert np.ptp(np.log(ratio), axis=1).max() < 0.15


@pytest.mark.parametrize("shade", [1.0, 0.75, 0.6])
def test_a_bare_neck_stays_as_it_is_in_the_photo(head: Mesh, shade: float) -> None:
    def cast(rgb: NDArray[np.float64], below: NDArray[np.bool_]) -> None:
        rgb[below] *= shade

    # Its edges pass softly into what is filled.
    y = head.vertices[:, 1]
    chin = y[region(head, "chin") > 0.5].max()
    neck = plain_neck(head) & (y > chin + 3) & (y < chin + 8)
    neck &= np.abs(head.vertices[:, 0] - CROP_SIZE / 2) < 10
    lit = baked(head, *with_neck(head, lambda rgb, below: None))[neck]
    shaded = baked(head, *with_neck(head, cast))[neck]
    assert neck.sum() > 20
    assert abs(np.median(shaded / lit) - shade) < 0.08


def test_a_beard_stays_on_chin_and_jaw(head: Mesh) -> None:
    beard = np.array([60.0, 45.0, 38.0])
    chin = (region(head, "chin") > 0.9) & (vertex_normals(head.vertices, head.faces)[:, 2] < -0.6)
    lips = head.vertices[region(head, "lips") > 0.5, 1].max()

    def grow(rgb: NDArray[np.float64], below: NDArray[np.bool_]) -> None:
        face = np.abs(rgb - BACKGROUNDS["blue"]).max(axis=2) > 60
        face[: int(lips) + 2] = False
        rgb[face & ~below] = beard

    shown = baked(head, *with_neck(head, grow))[chin & (head.vertices[:, 1] > lips + 4)]
    assert len(shown) > 30
    assert np.abs(np.median(shown, axis=0) - beard).max() < 8


def test_a_picture_without_background_is_not_cut() -> None:
    rgb = np.full((32, 32, 3), 99, np.uint8)
    assert cut_out(rgb, np.full((32, 32), cv2.GC_FGD, np.uint8), 3).all()
    assert cut_out(rgb, np.full((32, 32), cv2.GC_BGD, np.uint8), 3).all()
