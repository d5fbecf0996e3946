# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean head's quads are laid onto a head's isosurface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from .canonical import load_canonical, similarity
from .surface import Surface
from .topology import Topology

STIFFNESS = (300.0, 60.0, 10.0, 2.0, 0.4, 0.1)
"""What a bend costs against a distance to the surface, from round to round: stiff, then loose."""
UNSURE = 1e-3
"""How much a vertex without a place on the surface is held where it is."""
FARTHEST = (24.0, 16.0, 10.0, 6.0, 4.0, 3.0)
"""Voxels beyond which a place of the surface is none of a vertex's, from round to round."""
SAME_SIDE = 0.5
"""Least cosine between the normals of a vertex and of its place on the surface."""


def wrap(
    topology: Topology, surface: Surface, landmarks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vertices of the mean head's quads on the surface of a head.

    The landmarks carry the mean head into place; then each vertex is drawn to the nearest place of
    the surface that faces the same way, while the quads keep from bending, less and less.

    Parameters
    ----------
    topology : Topology
    surface : Surface
    landmarks : (68, 3) float32
        Multi-PIE landmarks of the surface, volume frame.

    Returns
    -------
    (V, 3) float32
        Volume frame, voxels.

    References
    ----------
    Amberg, Romdhani and Vetter, "Optimal step nonrigid ICP algorithms for surface registration",
    CVPR 2007; here the displacements' Laplacian is what stiffness charges.
    """
    vertices = _by_landmarks(topology.vertices, landmarks)
    laplacian = umbrella(topology.quads, len(vertices))
    bending = (laplacian.T @ laplacian).tocsc()
    normals = vertex_normals(surface.vertices, surface.faces)
    tree = cKDTree(surface.vertices)
    for stiffness, farthest in zip(STIFFNESS, FARTHEST, strict=True):
        gap, fits = _gaps(vertices, topology.quads, surface.vertices, normals, tree, farthest)
        trust = np.where(fits, 1.0, UNSURE)
        solver = splu(
            (diags_array(trust) + stiffness * bending).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        vertices = vertices + solver.solve(trust[:, None] * gap)
        gap, _ = _gaps(vertices, topology.quads, surface.vertices, normals, tree, farthest)
        vertices = vertices + solver.solve(trust[:, None] * gap)
    return vertices.astype(np.float32)


def _by_landmarks(
    vertices: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> NDArray[np.float64]:
    mean = load_canonical().multipie
    scale, rotation, translation = similarity(mean, landmarks)
    placed = scale * vertices @ rotation.T + translation
    centres = scale * mean @ rotation.T + translation
    spline = RBFInterpolator(centres, landmarks - centres, kernel="linear", degree=0, smoothing=2.0)
    moved: NDArray[np.float64] = placed + spline(placed)
    return moved


def _gaps(
    vertices: NDArray[np.float64],
    quads: NDArray[np.int32],
    points: NDArray[np.float32],
    normals: NDArray[np.float64],
    tree: cKDTree,
    farthest: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Way (V, 3) to the tangent planes of the nearest points where they fit (V,), else none."""
    distance, nearest = tree.query(vertices)
    away = points[nearest] - vertices
    there = normals[nearest]
    ours = vertex_normals(vertices, quads)
    fits = (np.einsum("ij,ij->i", ours, there) > SAME_SIDE) & (distance < farthest)
    gap = np.einsum("ij,ij->i", away, there)[:, None] * there
    gap[~fits] = 0.0
    return gap, fits


def adjacency(faces: NDArray[np.int32], count: int) -> csr_array:
    """Matrix (V, V) float32 of ones where an edge of a face joins two vertices, both ways."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    ones = np.ones(len(start), np.float32)
    links = coo_array((ones, (start, end)), shape=(count, count)).tocsr()
    return ((links + links.T) > 0).astype(np.float32)


def umbrella(faces: NDArray[np.int32], count: int) -> csr_array:
    """Matrix (V, V) that takes vertices to the mean of their neighbours, less themselves."""
    links = adjacency(faces, count).astype(np.float64)
    return (diags_array(1.0 / links.sum(axis=1)) @ links - diags_array(np.ones(count))).tocsr()


def vertex_normals(vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Outward normals (V, 3), weighted by area, of triangles or quads."""
    first, third = vertices[faces[:, 2]] - vertices[faces[:, 0]], faces[:, -1]
    cross = np.cross(first, vertices[third] - vertices[faces[:, 1]])
    normals = np.zeros((len(vertices), 3))
    for axis in range(3):
        for corner in faces.T:
            normals[:, axis] += np.bincount(corner, cross[:, axis], len(vertices))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
