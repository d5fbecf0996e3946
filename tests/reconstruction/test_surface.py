# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface station: whatever the volume, a closed manifold comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.errors import EmptyVolumeError
from vrn_blender.reconstruction.surface import Surface, extract_surface, smooth

Array = NDArray[Any]


def ball(shape: tuple[int, int, int], centre: tuple[float, ...], radius: float) -> Array:
    """Soft ball; ``centre`` is (x, y, z) in the volume frame."""
    z, y, x = np.indices(shape) + 0.5
    distance = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.clip(127.5 + 64 * (radius - distance), 0, 255).round().astype(np.uint8)


def enclosed_volume(surface: Surface) -> float:
    """Positive if the triangles wind counter-clockwise seen from outside, right-handed."""
    a, b, c = surface.vertices[surface.faces].astype(np.float64).transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def areas(surface: Surface) -> Array:
    """Area of each triangle in square voxels."""
    a, b, c = surface.vertices[surface.faces].astype(np.float64).transpose(1, 0, 2)
    return np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2


def tilt(surface: Surface) -> float:
    """Mean angle, in radians, between the triangles of a ball about (32, 32, 32) and the ball."""
    a, b, c = surface.vertices[surface.faces].astype(np.float64).transpose(1, 0, 2)
    normal, radial = np.cross(b - a, c - a), (a + b + c) / 3 - 32
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(radial, axis=1)
    return float(np.arccos(np.einsum("ij,ij->i", normal, radial) / lengths).mean())


def fans_per_vertex(faces: Array) -> int:
    """Largest number of separate triangle fans that meet in one vertex."""
    following: dict[int, dict[int, int]] = {}
    for face in faces.tolist():
        for i in range(3):
            following.setdefault(face[i], {})[face[i - 2]] = face[i - 1]
    most = 0
    for ring in following.values():
        fans, left = 0, dict(ring)
        while left:
            fans += 1
            _, vertex = left.popitem()
            while vertex in left:
                vertex = left.pop(vertex)
        most = max(most, fans)
    return most


def assert_sound(surface: Surface) -> None:
    """Hold to: closed, manifold, one component, outward, no degenerate or duplicate faces."""
    vertices, faces = surface.vertices, surface.faces
    assert vertices.dtype == np.float32
    assert faces.dtype == np.int32
    assert np.isfinite(vertices).all()
    assert np.array_equal(np.unique(faces), np.arange(len(vertices)))

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert (edges[:, 0] != edges[:, 1]).all()
    keys = edges[:, 0].astype(np.int64) * len(vertices) + edges[:, 1]
    back = edges[:, 1].astype(np.int64) * len(vertices) + edges[:, 0]
    assert len(np.unique(keys)) == len(keys), "an edge is used twice in one direction"
    assert np.array_equal(np.sort(keys), np.sort(back)), "an edge has no opposite"
    assert len(np.unique(np.sort(faces, axis=1), axis=0)) == len(faces)
    assert fans_per_vertex(faces) == 1

    reached = np.zeros(len(vertices), bool)
    reached[faces[0]] = True
    while True:
        touched = reached[faces].any(axis=1)
        before = reached.sum()
        reached[faces[touched]] = True
        if reached.sum() == before:
            break
    assert reached.all()
    assert areas(surface).min() > 0
    assert enclosed_volume(surface) > 0


def noise(shape: tuple[int, int, int], seed: int, share: float, *, hard: bool) -> Array:
    """Voxels of which about ``share`` are inside, independent of each other."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, shape)
    values = np.where(rng.random(shape) < share, values | 128, values & 127)
    return (np.where(values > 127, 255, 0) if hard else values).astype(np.uint8)


def checkerboard(shape: tuple[int, int, int]) -> Array:
    """Voxels that touch along edges only."""
    return (255 * (np.indices(shape).sum(axis=0) % 2)).astype(np.uint8)


def corner_pair() -> Array:
    """Two voxels that touch in one corner."""
    volume = np.zeros((6, 6, 6), np.uint8)
    volume[2, 2, 2] = volume[3, 3, 3] = 255
    return volume


def barely(value_inside: int, value_outside: int) -> Array:
    """Random voxels on both sides of the level, as near it as whole numbers can be."""
    inside = noise((10, 11, 12), 7, 0.5, hard=True) > 127
    return np.where(inside, value_inside, value_outside).astype(np.uint8)


VOLUMES = {
    "ball": ball((24, 24, 24), (12, 12, 12), 8.0),
    "all 255": np.full((9, 8, 7), 255, np.uint8),
    "single voxel": np.pad(np.full((1, 1, 1), 255, np.uint8), 3),
    "single voxel in the corner": np.pad(np.full((1, 1, 1), 255, np.uint8), ((0, 4),) * 3),
    "volume of one voxel": np.full((1, 1, 1), 200, np.uint8),
    "one slice": np.full((1, 5, 9), 255, np.uint8),
    "checkerboard": checkerboard((8, 9, 10)),
    "corner pair": corner_pair(),
    "corner pair inverted": 255 - corner_pair(),
    "values about the level": barely(128, 127),
    "steep one way": barely(255, 127),
    "steep the other way": barely(128, 0),
    **{
        f"noise {share} {'hard' if hard else 'soft'} {seed}": noise(
            (12, 13, 11), seed, share, hard=hard
        )
        for share in (0.02, 0.2, 0.5, 0.9)
        for hard in (False, True)
        for seed in range(3)
    },
}


@pytest.mark.parametrize("smoothing", [0, 8])
@pytest.mark.parametrize("volume", VOLUMES.values(), ids=VOLUMES.keys())
def test_any_volume_gives_a_sound_mesh(volume: Array, smoothing: int) -> None:
    """Closed, manifold, wound outwards, no degenerate face."""
    assert_sound(extract_surface(volume, smoothing=smoothing))


@pytest.mark.parametrize("value", [0, 127])
def test_an_empty_volume_is_an_error_with_a_remedy(value: int) -> None:
    """No voxel inside, no mesh."""
    with pytest.raises(EmptyVolumeError, match="choose another face"):
        extract_surface(np.full((6, 6, 6), value, np.uint8))


def test_vertices_lie_on_the_ball_to_a_tenth_of_a_voxel() -> None:
    """Voxel i has its centre at i + 0.5, the order is x, y, z, and steps are not seen."""
    centre = (13.2, 11.7, 15.4)
    surface = extract_surface(ball((32, 26, 28), centre, 9.3), smoothing=0)
    radius = np.linalg.norm(surface.vertices - np.array(centre), axis=1)
    assert np.abs(radius - 9.3).max() < 0.1
    assert np.allclose(surface.vertices.mean(axis=0), centre, atol=0.1)


def test_a_head_that_leaves_the_volume_is_closed_at_its_border() -> None:
    """Beyond the border is empty: the cut is flat and lies on the border."""
    surface = extract_surface(ball((24, 24, 24), (12, 26, 12), 8.0), smoothing=0)
    assert_sound(surface)
    assert surface.vertices[:, 1].max() == pytest.approx(24, abs=0.01)


def test_the_surface_at_the_edge_of_the_occupied_box_keeps_its_sub_voxel_place() -> None:
    """The box is cut out with the values that stand round it."""
    volume = np.zeros((8, 8, 8), np.uint8)
    volume[2:6, 2:6, 2:6] = 255
    volume[6, 2:6, 2:6] = 100
    surface = extract_surface(volume, smoothing=0)
    expected = 5.5 + (255 - 127.5) / (255 - 100)
    assert surface.vertices[:, 2].max() == pytest.approx(expected, abs=1e-5)


def test_the_largest_body_is_kept() -> None:
    """Specks and smaller bodies go."""
    shape = (30, 30, 60)
    volume = np.maximum(ball(shape, (14, 15, 15), 9.0), ball(shape, (45, 15, 15), 6.0))
    volume[1, 1, 58] = 255
    surface = extract_surface(volume)
    assert_sound(surface)
    assert surface.vertices[:, 0].max() < 25


def test_hollows_become_solid() -> None:
    """An enclosed hollow leaves no inner wall, even with a body inside it."""
    shape, centre = (30, 30, 30), (15, 15, 15)
    shell = ball(shape, centre, 11.0)
    hollow = np.maximum(np.minimum(shell, 255 - ball(shape, centre, 8.0)), ball(shape, centre, 4.0))
    filled, solid = extract_surface(hollow), extract_surface(shell)
    assert np.array_equal(filled.faces, solid.faces)
    assert np.allclose(filled.vertices, solid.vertices)


def test_no_triangle_is_a_sliver_when_values_lie_beside_the_level() -> None:
    """Vertices keep clear of voxel centres."""
    volume = np.zeros((12, 12, 12), np.uint8)
    volume[3:9, 3:9, 3:9] = 128
    assert areas(extract_surface(volume, smoothing=0)).min() > 1e-4


def test_smoothing_removes_ripples_and_keeps_volume_and_form() -> None:
    """Taubin's filter is a low pass that does not shrink."""
    clean = ball((64, 64, 64), (32, 32, 32), 22.0)
    rng = np.random.default_rng(0)
    rippled = np.clip(clean + rng.normal(0, 10, clean.shape) * (clean > 0) * (clean < 255), 0, 255)
    rough = extract_surface(rippled.astype(np.uint8), smoothing=0)
    fine = extract_surface(rippled.astype(np.uint8), smoothing=8)

    assert tilt(fine) < 0.6 * tilt(rough)
    assert enclosed_volume(fine) == pytest.approx(enclosed_volume(rough), rel=0.003)


def test_smoothing_keeps_features_of_the_size_of_a_nose() -> None:
    """A bump of 8 voxels on a large ball loses less than a tenth of its height."""
    shape = (70, 64, 64)
    volume = np.maximum(ball(shape, (32, 32, 42), 24.0), ball(shape, (32, 32, 18), 8.0))
    tip = extract_surface(volume, smoothing=8).vertices[:, 2].min()
    assert tip == pytest.approx(10.0, abs=0.3)


def test_smoothing_by_nothing_leaves_the_vertices_alone() -> None:
    """Zero iterations are no smoothing."""
    surface = extract_surface(ball((20, 20, 20), (10, 10, 10), 6.0), smoothing=0)
    assert np.array_equal(smooth(surface.vertices, surface.faces, 0), surface.vertices)


def test_the_volume_is_not_changed() -> None:
    """Ambiguous places are filled in a copy."""
    volume = checkerboard((6, 6, 6))
    extract_surface(volume)
    assert np.array_equal(volume, checkerboard((6, 6, 6)))
