# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Normals and the normal map: Blender's tangent space, and the raw surface's detail in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.mesh import REGIONS, Mesh
from vrn_blender.reconstruction.normals import normal_map, tangents, vertex_normals
from vrn_blender.reconstruction.raster import split_quads

Array = NDArray[Any]


def sheet(count: int, depth: Any = None, flipped: bool = False) -> Mesh:
    """Quads of 60 x 60 voxels that face the camera, u to the right, v upwards."""
    y, x = np.meshgrid(np.linspace(0, 60, count), np.linspace(0, 60, count), indexing="ij")
    z = np.zeros_like(x) if depth is None else depth(x, y)
    corner = np.arange(count * count).reshape(count, count)
    faces = np.stack(
        [corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]], axis=-1
    ).reshape(-1, 4)[:, ::-1]
    vertices = np.stack([x, y, z], axis=-1).reshape(-1, 3).astype(np.float32)
    uv = vertices[:, :2] / np.float32(60.0)
    uv[:, 1] = 1 - uv[:, 1]
    if flipped:
        uv[:, 0] = 1 - uv[:, 0]
    regions = np.zeros((len(vertices), len(REGIONS)), np.float32)
    return Mesh(vertices, faces.astype(np.int32), uv[faces], regions)


def decoded(picture: Array) -> Array:
    return picture / 127.5 - 1.0


def test_the_sheet_faces_the_camera() -> None:
    mesh = sheet(3)
    assert np.allclose(vertex_normals(mesh.vertices, mesh.faces), (0, 0, -1))


def test_where_both_meshes_agree_the_map_is_flat() -> None:
    mesh, raw = sheet(5), sheet(61)
    picture = normal_map(mesh, raw.vertices, split_quads(raw.faces), 128)
    assert picture.shape == (128, 128, 3)
    assert np.all(picture == (128, 128, 255))


@pytest.mark.parametrize("flipped", [False, True])
def test_a_slope_turns_the_normal_to_where_it_faces(flipped: bool) -> None:
    """Depth that grows to the right and upwards makes a surface that faces right and up."""
    raw = sheet(121, lambda x, y: 0.3 * x - 0.2 * y)
    light = sheet(5, lambda x, y: 4.5 + 0 * x - 1.5, flipped)
    picture = normal_map(light, raw.vertices, split_quads(raw.faces), 128)
    expected = np.array([-0.3 if flipped else 0.3, 0.2, 1.0]) / np.linalg.norm([0.3, 0.2, 1.0])
    assert np.abs(decoded(picture[48:80, 48:80]) - expected).max() < 0.02


def test_a_larger_map_shows_the_same() -> None:
    raw = sheet(121, lambda x, y: np.sin(x / 6))
    small, large = (
        normal_map(sheet(5), raw.vertices, split_quads(raw.faces), size) for size in (512, 1024)
    )
    assert np.abs(large[::2, ::2].astype(int) - small)[8:-8, 8:-8].max() <= 6


def test_normals_and_tangents_are_blenders() -> None:
    bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")
    rng = np.random.default_rng(0)
    mesh = sheet(7, lambda x, y: 6 * np.sin(x / 9) * np.cos(y / 11))
    uv = mesh.uv + rng.uniform(-0.02, 0.02, (len(mesh.vertices), 2))[mesh.faces]
    faces, uv = split_quads(mesh.faces), split_quads(uv.astype(np.float32))
    made = bpy.data.meshes.new("sheet")
    made.from_pydata(mesh.vertices.tolist(), [], faces.tolist())
    made.uv_layers.new(name="UVMap").data.foreach_set("uv", uv.ravel())
    made.shade_smooth()
    made.calc_tangents(uvmap="UVMap")
    theirs = np.array([(*loop.normal, *loop.tangent) for loop in made.loops]).reshape(-1, 3, 6)
    normals = vertex_normals(mesh.vertices, faces)
    welded, _, ours, _ = tangents(mesh.vertices, faces, uv.astype(np.float64), normals)
    assert np.abs(normals[faces] - theirs[..., :3]).max() < 1e-3
    assert np.abs(ours[welded] - theirs[..., 3:]).max() < 1e-3
