# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The rasteriser fills and draws what the geometry says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba", reason="needs the packages of the extra “train”")

from models.training.raster import occupancy, rasterise, vertex_normals, visible
from tests.training.solids import box, sphere
from vrn_blender.reconstruction.surface import extract_surface

FAR = 1e9


class Canvas:
    """An empty z-buffer."""

    def __init__(self, height: int = 40, width: int = 60) -> None:
        self.depth = np.full((height, width), FAR, np.float32)
        self.index = np.full((height, width), -1, np.int32)
        self.bary = np.zeros((height, width, 2), np.float32)

    def draw(self, corners: NDArray[np.float32], first: int = 0) -> None:
        """Draw triangles given by their corners, (T, 3, 3)."""
        triangles = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
        rasterise(corners.reshape(-1, 3), triangles, first, self.depth, self.index, self.bary)


def triangle(*corners: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.array([corners], np.float32)


def test_a_solid_sphere_has_the_volume_of_a_sphere() -> None:
    solid = occupancy(*sphere((30.2, 28.7, 31.4), 20.0), (64, 60, 62))
    assert solid.shape == (64, 60, 62)
    assert solid.dtype == np.float32
    assert solid.min() == 0
    assert solid.max() == 1
    assert solid.sum() == pytest.approx(4 / 3 * np.pi * 20**3, rel=0.005)


def test_the_half_isosurface_of_a_solid_is_its_surface() -> None:
    """Along z to a fraction of a cell; across, where only cells' centres count, to half a cell."""
    centre = np.array([30.2, 28.7, 31.4])
    solid = occupancy(*sphere((30.2, 28.7, 31.4), 20.0), (64, 60, 62))
    vertices = extract_surface((solid * 255 + 0.5).astype(np.uint8), smoothing=0).vertices - centre
    radius = np.linalg.norm(vertices, axis=1)
    facing = np.abs(vertices[:, 2]) > 0.8 * radius
    assert radius.mean() == pytest.approx(20, abs=0.1)
    assert np.abs(radius[facing] - 20).max() < 0.35
    assert np.abs(radius - 20).max() < 0.75


@pytest.mark.parametrize("front", [10.0, 10.3, 10.5, 10.85])
def test_a_box_fills_its_cells_by_the_share_that_lies_inside(front: float) -> None:
    solid = occupancy(*box((5, 6, front), (25, 21, 20.25)), (32, 30, 28))
    column = solid[:, 12, 12]
    assert column[:10].max() == 0
    assert column[10] == pytest.approx(11 - front, abs=1e-5)
    assert column[11:20] == pytest.approx(1)
    assert column[20] == pytest.approx(0.25, abs=1e-5)
    assert column[21:].max() == pytest.approx(0, abs=1e-5)
    assert np.array_equal(np.argwhere(solid[15] > 0.5).min(axis=0), (6, 5))
    assert np.array_equal(np.argwhere(solid[15] > 0.5).max(axis=0), (20, 24))


def test_two_bodies_in_a_column_stay_two() -> None:
    near, far = box((4, 4, 5), (16, 16, 9)), box((4, 4, 14), (16, 16, 18))
    vertices = np.concatenate([near[0], far[0]])
    triangles = np.concatenate([near[1], far[1] + len(near[0])])
    column = occupancy(vertices, triangles, (24, 20, 20))[:, 10, 10]
    assert np.flatnonzero(column > 0.5).tolist() == [5, 6, 7, 8, 14, 15, 16, 17]


def test_overlapping_bodies_are_full_once() -> None:
    one, other = sphere((18, 20, 20), 10), sphere((24, 20, 20), 10)
    vertices = np.concatenate([one[0], other[0]])
    triangles = np.concatenate([one[1], other[1] + len(one[0])])
    both = occupancy(vertices, triangles, (40, 40, 44))
    assert both.max() == 1
    assert both[20, 20, 21] == pytest.approx(1)


def test_a_body_that_reaches_beyond_the_cells_fills_them_to_the_border() -> None:
    solid = occupancy(*box((-5, -5, -5), (50, 50, 12)), (20, 16, 16))
    assert (solid[1:12] == 1).all()
    assert solid[12:].max() == pytest.approx(0, abs=1e-5)


def test_normals_point_outwards() -> None:
    vertices, triangles = sphere((3, -4, 5), 2.0)
    normals = vertex_normals(vertices, triangles)
    outwards = (vertices - (3, -4, 5)) / 2
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1, abs=1e-4)
    assert np.einsum("ij,ij->i", normals, outwards).min() > 0.995


def test_a_drawn_triangle_has_the_depth_of_its_plane() -> None:
    canvas = Canvas()
    corners = triangle((3.2, 4.1, 10.0), (50.7, 8.3, 20.0), (20.4, 35.9, 60.0))
    canvas.draw(corners, first=7)
    ys, xs = np.nonzero(canvas.index == 7)
    (a, b, c) = corners[0].astype(np.float64)
    u, v = b - a, c - a
    area = abs(u[0] * v[1] - u[1] * v[0]) / 2
    assert len(xs) == pytest.approx(area, rel=0.03)
    normal = np.cross(u, v)
    plane = a[2] - ((xs + 0.5 - a[0]) * normal[0] + (ys + 0.5 - a[1]) * normal[1]) / normal[2]
    assert canvas.depth[ys, xs] == pytest.approx(plane, abs=1e-3)
    weights = canvas.bary[ys, xs]
    places = weights @ corners[0, :2] + (1 - weights.sum(axis=1, keepdims=True)) * corners[0, 2]
    assert np.abs(places[:, :2] - np.stack([xs + 0.5, ys + 0.5], axis=1)).max() < 1e-3
    assert (canvas.depth[canvas.index < 0] == FAR).all()


@pytest.mark.parametrize("nearest_first", [True, False])
def test_the_nearest_triangle_is_seen_whatever_the_order(nearest_first: bool) -> None:
    near = triangle((5, 5, 10), (35, 5, 10), (5, 35, 10))
    far = triangle((0, 0, 20), (58, 0, 20), (0, 39, 20))
    canvas = Canvas()
    for first, corners in [(1, near), (2, far)] if nearest_first else [(2, far), (1, near)]:
        canvas.draw(corners, first)
    assert canvas.index[10, 10] == 1
    assert canvas.depth[10, 10] == 10
    assert canvas.index[2, 40] == 2


def test_triangles_beyond_the_picture_are_cut_off() -> None:
    canvas = Canvas()
    canvas.draw(triangle((-500, -500, 3), (900, -500, 3), (-500, 900, 3)), first=0)
    assert (canvas.index == 0).all()
    assert canvas.depth == pytest.approx(3)


def test_neighbouring_triangles_leave_no_gap() -> None:
    canvas = Canvas()
    vertices, triangles = sphere((30, 20, 50), 15.0, count=500)
    rasterise(vertices, triangles, 0, canvas.depth, canvas.index, canvas.bary)
    y, x = np.mgrid[:40, :60] + 0.5
    across = np.hypot(x - 30, y - 20)
    assert (canvas.index[across < 14.6] >= 0).all()
    assert (canvas.index[across > 15] < 0).all()
    inside = across < 14
    front = 50 - np.sqrt(15**2 - across[inside] ** 2)
    assert np.abs(canvas.depth[inside] - front).max() < 0.5


def test_a_vertex_is_visible_where_nothing_lies_before_it() -> None:
    canvas = Canvas()
    vertices, triangles = sphere((30, 20, 50), 15.0, count=500)
    rasterise(vertices, triangles, 0, canvas.depth, canvas.index, canvas.bary)
    shown = visible(vertices, np.arange(len(vertices)), canvas.depth, 1.0)
    assert shown[vertices[:, 2] < 42].all()
    assert not shown[vertices[:, 2] > 58].any()
    aside = vertices + np.array([100, 0, 0], np.float32)
    assert not visible(aside, np.arange(len(aside)), canvas.depth, 1.0).any()
