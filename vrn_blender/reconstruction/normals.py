# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Smooth normals of a mesh, and the map that gives few quads the shading of the raw surface."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .mesh import Mesh
from .raster import Grid, draw, split_quads

Array = NDArray[np.float32]

GRID_SIDE = 768
"""Texels a side at which the raw surface is looked up; its own detail is a voxel wide."""

# The raw surface lies within a few voxels; two steps along the normal find it.
STEPS = 2
NEIGHBOURS = 6
REACH = 0.8
"""Voxels: how far the normals of the raw surface's vertices are averaged."""


def vertex_normals(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """Smooth normals, weighted by the angles of the faces that meet, as Blender's are.

    Parameters
    ----------
    vertices : (V, 3) float32
    faces : (F, 3) or (F, 4) int32

    Returns
    -------
    (V, 3) float32
        Unit length; pointing outwards if the faces do.
    """
    corners = vertices[faces].astype(np.float64)
    if faces.shape[1] == 3:
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    else:
        across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    across = _unit(across)[:, None] * _angles(corners)[..., None]
    return _unit(_summed(faces, across, len(vertices))).astype(np.float32)


def normal_map(
    light_mesh: Mesh, raw_vertices: Array, raw_faces: NDArray[np.int32], size: int
) -> NDArray[np.uint8]:
    """Bake the raw surface's normals into the atlas of a lighter mesh.

    Parameters
    ----------
    light_mesh : Mesh
        Volume frame; shaded smoothly.
    raw_vertices : (V, 3) float32
        Volume frame, voxels.
    raw_faces : (T, 3) int32
    size : int
        Texels a side.

    Returns
    -------
    (size, size, 3) uint8
        Tangent space, x along u, y along v (OpenGL's and Blender's convention), row 0 on top. Where
        both meshes agree it is (128, 128, 255).

    References
    ----------
    .. [1] M. Mikkelsen, "Simulation of wrinkled surfaces revisited", 2008: the tangent space that
       Blender and glTF compute.
    """
    side = min(size, GRID_SIDE)
    faces, uv = split_quads(light_mesh.faces), split_quads(light_mesh.uv).astype(np.float64)
    normals = vertex_normals(light_mesh.vertices, light_mesh.faces)
    welded, origin, towards_u, signs = tangents(light_mesh.vertices, faces, uv, normals)
    places = np.stack([uv[..., 0], 1.0 - uv[..., 1]], axis=-1) * side
    grid = draw(places, welded, len(origin), (side, side))
    normal, tangent = _spread(grid, normals[origin]), _spread(grid, towards_u)
    bitangent = _spread(grid, signs[:, None]).round() * np.cross(normal, tangent)
    wanted = _raw_normals(
        _spread(grid, light_mesh.vertices[origin]), _unit(normal), raw_vertices, raw_faces
    )
    # The renderer adds up tangent, bitangent and normal as they are, so that their inverse is it.
    local = np.stack(
        [
            (wanted * np.cross(bitangent, normal)).sum(axis=1),
            (wanted * np.cross(normal, tangent)).sum(axis=1),
            (wanted * np.cross(tangent, bitangent)).sum(axis=1),
        ],
        axis=1,
    )
    local *= np.sign((tangent * np.cross(bitangent, normal)).sum(axis=1, keepdims=True))
    local[:, 2] = np.maximum(local[:, 2], 1e-3)
    picture = _unit(local).astype(np.float32).reshape(side, side, 3)
    if size != side:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(np.clip(127.5 * picture + 127.5, 0.0, 255.0)), np.uint8)


def _spread(grid: Grid, values: NDArray[Any]) -> NDArray[np.float64]:
    return grid.spread(values).reshape(-1, values.shape[1]).astype(np.float64)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _angles(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle at each corner of each face, radians."""
    forward = _unit(np.roll(corners, -1, axis=1) - corners)
    backward = _unit(np.roll(corners, 1, axis=1) - corners)
    return np.arccos(np.clip((forward * backward).sum(axis=-1), -1.0, 1.0))


def _summed(
    index: NDArray[np.int32], values: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    flat = values.reshape(-1, 3)
    return np.stack([np.bincount(index.ravel(), flat[:, k], count) for k in range(3)], axis=1)


def tangents(
    vertices: Array, faces: NDArray[np.int32], uv: NDArray[np.float64], normals: Array
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Tangents of what shares vertex, place in the atlas and handedness, as MikkTSpace has them.

    Parameters
    ----------
    vertices : (V, 3) float32
    faces : (T, 3) int32
    uv : (T, 3, 2) float64
    normals : (V, 3) float32

    Returns
    -------
    welded : (T, 3) int32
        Index, into what follows, of each corner of each triangle.
    origin : (W,) int32
        The vertex.
    tangents : (W, 3) float64
    signs : (W,) float64
        Of the bitangent.
    """
    corners = vertices[faces].astype(np.float64)
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    sign = np.where(area < 0.0, -1.0, 1.0)
    along: NDArray[np.float64] = second[:, 1:] * (corners[:, 1] - corners[:, 0]) - first[:, 1:] * (
        corners[:, 2] - corners[:, 0]
    )
    tangent: NDArray[np.float64] = _unit(along) * sign[:, None]
    key = np.concatenate(
        [
            faces.reshape(-1, 1),
            np.rint(uv.reshape(-1, 2) * 2**20).astype(np.int64),
            np.repeat(sign, 3).astype(np.int64)[:, None],
        ],
        axis=1,
    )
    unique, welded = np.unique(key, axis=0, return_inverse=True)
    welded = welded.reshape(faces.shape).astype(np.int32)
    normal = normals[faces].astype(np.float64)

    def flat(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return _unit(vectors - (vectors * normal).sum(axis=-1, keepdims=True) * normal)

    forward = flat(np.roll(corners, -1, axis=1) - corners)
    backward = flat(np.roll(corners, 1, axis=1) - corners)
    angle = np.arccos(np.clip((forward * backward).sum(axis=-1), -1.0, 1.0))
    share = flat(np.broadcast_to(tangent[:, None], corners.shape)) * angle[..., None]
    towards_u = _unit(_summed(welded, share, len(unique)))
    return welded, unique[:, 0].astype(np.int32), towards_u, unique[:, 3].astype(np.float64)


def _raw_normals(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    raw_vertices: Array,
    raw_faces: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Find the normals of the raw surface where lines along the normals meet it."""
    tree = cKDTree(raw_vertices)
    for _ in range(STEPS):
        _, nearest = tree.query(points, workers=-1)
        off = ((raw_vertices[nearest] - points) * normals).sum(axis=1, keepdims=True)
        points = points + off * normals
    distance, nearest = tree.query(points, NEIGHBOURS, workers=-1)
    found = vertex_normals(raw_vertices, raw_faces)[nearest]
    # A thin ear has another side, whose normals point away.
    weight = np.exp(-((distance**2 - distance[:, :1] ** 2) / (2 * REACH**2)))
    weight *= (found * normals[:, None]).sum(axis=-1) > 0.0
    mean = (found * weight[..., None]).sum(axis=1)
    return np.where(weight.sum(axis=1, keepdims=True) > 0.0, mean, normals)
