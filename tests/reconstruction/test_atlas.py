# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Every head's surface gets the same quads and the same places in the atlas."""

from __future__ import annotations

import numpy as np
import pytest

from vrn_blender.reconstruction.atlas import paint_ready
from vrn_blender.reconstruction.mesh import REGIONS
from vrn_blender.reconstruction.raster import split_quads
from vrn_blender.reconstruction.surface import Surface
from vrn_blender.reconstruction.topology import load_topology
from vrn_blender.reconstruction.wrap import area_normals, wrap

from .atlas_measures import border_loop, painted, turns
from .mean_head import SCALE, head

MILLIMETRE = SCALE / 1000.0


def rough(surface: Surface) -> Surface:
    """Give the same surface with other vertices: each triangle cut in four."""
    faces = surface.faces
    pairs = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1), axis=2).reshape(-1, 2)
    ends, which = np.unique(pairs, axis=0, return_inverse=True)
    a, b, c = faces.T
    ab, bc, ca = (which.reshape(-1, 3) + len(surface.vertices)).T
    cut = np.concatenate(
        [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    vertices = np.concatenate([surface.vertices, surface.vertices[ends].mean(axis=1)])
    return Surface(vertices, cut.astype(np.int32))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("yaw", [0.0, 60.0])
def test_the_quads_lie_on_the_surface(seed: int, yaw: float) -> None:
    surface, marks = head(seed, yaw)
    vertices = wrap(load_topology(), rough(surface), marks)
    slip = np.linalg.norm(vertices - surface.vertices, axis=1)
    assert np.median(slip) < 2 * MILLIMETRE
    normals = area_normals(surface.vertices, surface.faces)
    off = np.abs(np.einsum("ij,ij->i", vertices - surface.vertices, normals))
    assert np.median(off) < 0.5 * MILLIMETRE


@pytest.mark.parametrize("seed", [1, 2])
def test_no_quad_of_the_face_is_folded(seed: int) -> None:
    surface, marks = head(seed)
    topology = load_topology()
    vertices = wrap(topology, rough(surface), marks)
    face = (topology.vertices[:, 1] < -0.05) & (topology.vertices[:, 2] > -0.07)
    quads = topology.quads[face[topology.quads].all(axis=1)]
    corners = vertices[quads].astype(np.float64)
    after, before = np.roll(corners, -1, axis=1) - corners, np.roll(corners, 1, axis=1) - corners
    each = np.cross(after, before)
    normal = each.sum(axis=1, keepdims=True)
    assert ((each * normal).sum(axis=2) > 0).mean() > 0.999


@pytest.mark.parametrize("kind", ["sculpt", "light"])
def test_quads_have_the_atlas_of_every_head(kind: str) -> None:
    meshes = [paint_ready(*head(seed), kind) for seed in (1, 2)]
    assert np.array_equal(meshes[0].faces, meshes[1].faces)
    assert np.array_equal(meshes[0].uv, meshes[1].uv)
    assert np.array_equal(meshes[0].regions, meshes[1].regions)
    assert len(meshes[0].vertices) == len(meshes[0].regions) == meshes[0].faces.max() + 1


@pytest.mark.parametrize("seed", [1, 2])
def test_a_raw_surface_s_features_lie_where_they_belong(seed: int) -> None:
    surface, marks = head(seed)
    mesh = paint_ready(surface, marks, "raw")
    topology = load_topology()
    right = split_quads(topology.uv)
    off = np.linalg.norm(mesh.uv - right, axis=2).max(axis=1)
    middle = topology.vertices[topology.quads].mean(axis=1)
    face = np.repeat((middle[:, 1] < -0.05) & (middle[:, 2] > -0.07), 2)
    assert np.percentile(off[face], 95) < 0.02
    assert np.percentile(off, 95) < 0.05


def test_a_raw_surface_s_triangles_hardly_overlap_in_the_atlas() -> None:
    surface, marks = head(3)
    mesh = paint_ready(rough(surface), marks, "raw")
    assert mesh.uv.shape == (len(mesh.faces), 3, 2)
    assert mesh.uv.min() >= 0 and mesh.uv.max() <= 1
    layers = painted(mesh.uv, 512)
    assert (layers > 1).sum() < 0.01 * (layers > 0).sum()
    longest = np.linalg.norm(mesh.uv - np.roll(mesh.uv, 1, axis=1), axis=2).max()
    assert longest < 0.1


@pytest.mark.parametrize("seed", [1, 2])
def test_the_neck_s_rim_lies_in_one_plane(seed: int) -> None:
    surface, marks = head(seed)
    topology = load_topology()
    vertices = wrap(topology, rough(surface), marks)
    under = vertices[np.unique(topology.quads[topology.underside])].astype(np.float64)
    across = np.linalg.svd(under - under.mean(axis=0), full_matrices=False)[2][2]
    assert np.abs((under - under.mean(axis=0)) @ across).max() < 0.01


@pytest.mark.parametrize("kind", ["raw", "sculpt", "light"])
def test_the_face_alone_ends_in_a_smooth_line(kind: str) -> None:
    surface, marks = head(1)
    mask = paint_ready(rough(surface), marks, kind, face_only=True)
    loop = border_loop(mask.vertices, mask.faces)
    length = np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1).sum()
    even = loop[np.linspace(0, len(loop), 61).astype(int)[:-1]]
    assert turns(even).max() < 45.0
    assert length < 1.03 * np.linalg.norm(even - np.roll(even, 1, axis=0), axis=1).sum()


@pytest.mark.parametrize("kind", ["raw", "sculpt", "light"])
def test_the_face_alone_is_is_one_patch_with_one_open_border(kind: str) -> None:
    surface, marks = head(1)
    whole = paint_ready(surface, marks, kind)
    mask = paint_ready(surface, marks, kind, face_only=True)
    assert 0.1 < len(mask.faces) / len(whole.faces) < 0.5
    assert len(mask.vertices) == len(mask.regions) == mask.faces.max() + 1
    assert mask.regions[:, REGIONS.index("lips")].max() > 0.8
    assert mask.regions[:, REGIONS.index("ears")].max() < 0.8
    pairs = np.sort(np.stack([mask.faces, np.roll(mask.faces, -1, axis=1)], axis=2), axis=2)
    sides, count = np.unique(pairs.reshape(-1, 2), axis=0, return_counts=True)
    assert len(mask.vertices) - len(sides) + len(mask.faces) == 1
    border = sides[count == 1]
    assert (np.bincount(border.ravel())[np.unique(border)] == 2).all()
