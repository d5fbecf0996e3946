# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean head's quads are laid onto a head's isosurface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from .canonical import load_canonical, similarity
from .neck import HEIGHT, SLOPE
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
NECK_REACH = (10.0, 4.0, 1.5)
"""Voxels from the neck's plane within which the surface tells where it is, from round to round."""
NECK_FACING = 0.9
"""Least cosine between the plane's normal and that of a place that tells where it is."""
ENOUGH = 100
"""Such places without which the plane stays where the landmarks put it."""
RIM_LIFT = 2.0
"""Voxels above the plane at which the rim looks for the neck's side: below, the edge is round."""
BORDER_ROUNDS = 6
"""How often each vertex of a border goes halfway to the middle of its neighbours on it."""
FOLDED = -0.2
"""Cosine between the normals of a quad's corner and of its vertex below which there is a fold."""
IRONINGS = 20
"""How often at most quads round a fold are smoothed."""


def wrap(
    topology: Topology, surface: Surface, landmarks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Vertices of the mean head's quads on the surface of a head.

    The landmarks carry the mean head into place; then each vertex is drawn to the nearest place of
    the surface that faces the same way, while the quads keep from bending, less and less. The
    neck's rim is drawn into the plane that cuts the neck, and what closes it is filled in. Where
    quads are folded in the end, in a corner of the mouth or a crumpled ear, they are ironed out.

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
    normals = area_normals(surface.vertices, surface.faces)
    plane = _neck_plane(surface.vertices, normals, landmarks)
    place = _Places(topology, surface.vertices, normals, plane)
    for stiffness, farthest in zip(STIFFNESS, FARTHEST, strict=True):
        gap, fits = place.gaps(vertices, farthest)
        trust = np.where(fits, 1.0, UNSURE)
        solver = splu(
            (diags_array(trust) + stiffness * bending).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        vertices = vertices + solver.solve(trust[:, None] * gap)
        gap, _ = place.gaps(vertices, farthest)
        vertices = vertices + solver.solve(trust[:, None] * gap)
    underside = topology.quads[topology.underside]
    vertices[place.rim] -= plane.height(vertices[place.rim])[:, None] * plane.normal
    return _ironed(fill(vertices, underside), topology, laplacian).astype(np.float32)


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


@dataclass(frozen=True)
class _Plane:
    """Where the neck ends; the normal (3,) points to the head."""

    normal: NDArray[np.float64]
    offset: float

    def height(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Voxels (N,) above the plane."""
        heights: NDArray[np.float64] = points @ self.normal - self.offset
        return heights


def _neck_plane(
    points: NDArray[np.float32], normals: NDArray[np.float64], landmarks: NDArray[np.float32]
) -> _Plane:
    """Plane of the surface's end at the neck, near where the landmarks have it."""
    scale, rotation, translation = similarity(load_canonical().multipie, landmarks)
    normal = rotation @ np.array([0.0, -SLOPE, 1.0]) / np.hypot(1.0, SLOPE)
    plane = _Plane(normal, normal @ (scale * rotation @ (0.0, 0.0, HEIGHT) + translation))
    for reach in NECK_REACH:
        near = np.abs(plane.height(points)) < reach
        flat = points[near & (normals @ plane.normal < -NECK_FACING)].astype(np.float64)
        if len(flat) < ENOUGH:
            break
        middle = np.median(flat, axis=0)
        normal = np.linalg.svd(flat - middle, full_matrices=False)[2][2]
        normal *= np.sign(normal @ plane.normal)
        plane = _Plane(normal, float(normal @ middle))
    return plane


class _Places:
    """A surface that can be asked how far vertices of the quads are from their places on it."""

    def __init__(
        self,
        topology: Topology,
        points: NDArray[np.float32],
        normals: NDArray[np.float64],
        plane: _Plane,
    ) -> None:
        self._sides = topology.quads[~topology.underside]
        self.rim = np.intersect1d(topology.quads[topology.underside], self._sides)
        self._points, self._normals, self._plane = points, normals, plane
        self._tree = cKDTree(points)

    def gaps(
        self, vertices: NDArray[np.float64], farthest: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Way (V, 3) to the tangent planes of the nearest points where they fit (V,), else none.

        The rim's leads into the plane of the neck besides; what closes the neck has none.
        """
        rim, up = self.rim, self._plane.normal
        places = vertices.copy()
        heights = self._plane.height(vertices[rim])
        places[rim] += (RIM_LIFT - heights)[:, None] * up
        distance, nearest = self._tree.query(places)
        away = self._points[nearest] - places
        there = self._normals[nearest]
        ours = area_normals(vertices, self._sides)
        fits = (np.einsum("ij,ij->i", ours, there) > SAME_SIDE) & (distance < farthest)
        gap = np.einsum("ij,ij->i", away, there)[:, None] * there
        gap[~fits] = 0.0
        gap[rim] -= ((gap[rim] @ up) + heights)[:, None] * up
        fits[rim] = True
        return gap, fits


def fill(vertices: NDArray[np.float64], quads: NDArray[np.int32]) -> NDArray[np.float64]:
    """Smooth a patch's border along itself, and put all else into the middle of its neighbours.

    Parameters
    ----------
    vertices : (V, 3) float64
        In any frame.
    quads : (Q, 4) int32
        The patch.

    Returns
    -------
    (V, 3) float64
        Without a fold where the border is flat and convex.

    References
    ----------
    Tutte, "How to draw a graph", Proceedings of the London Mathematical Society 13, 1963.
    """
    used, local = np.unique(quads, return_inverse=True)
    local = local.reshape(quads.shape)
    border = np.unique(_border(local))
    inner = np.setdiff1d(np.arange(len(used)), border)
    laplacian = umbrella(local, len(used))[inner]
    filled = with_even_border(vertices, quads)
    right = -(laplacian[:, border] @ filled[used[border]])
    filled[used[inner]] = splu(laplacian[:, inner].tocsc()).solve(right)
    return filled


def with_even_border(
    vertices: NDArray[np.float64], quads: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Vertices (V, 3), those on the border of a patch of quads (Q, 4) smoothed along it."""
    border, along = np.unique(_border(quads), return_inverse=True)
    onwards = umbrella(along.reshape(-1, 2), len(border))
    evened = vertices.copy()
    for _ in range(BORDER_ROUNDS):
        evened[border] += 0.5 * (onwards @ evened[border])
    return evened


def _border(quads: NDArray[np.int32]) -> NDArray[np.int32]:
    """Edges (E, 2) that only one quad has."""
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
    pairs, count = np.unique(np.sort(sides, axis=1), axis=0, return_counts=True)
    return pairs[count == 1]


def _ironed(
    vertices: NDArray[np.float64], topology: Topology, laplacian: csr_array
) -> NDArray[np.float64]:
    """Vertices, those round folded quads smoothed until no quad is; the neck's end stays."""
    quads = topology.quads
    links = adjacency(quads, len(vertices))
    free = np.ones(len(vertices), bool)
    free[quads[topology.underside]] = False
    for _ in range(IRONINGS):
        corners = vertices[quads]
        after, before = np.roll(corners, -1, axis=1), np.roll(corners, 1, axis=1)
        across = np.cross(after - corners, before - corners)
        across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-12)
        facing = np.einsum("qkc,qkc->qk", across, area_normals(vertices, quads)[quads])
        folded = (facing < FOLDED).any(axis=1)
        if not folded.any():
            break
        near = np.bincount(quads[folded].ravel(), minlength=len(vertices)).astype(np.float32)
        near += links @ near
        near += links @ near
        moved = (near > 0) & free
        vertices = vertices + 0.5 * moved[:, None] * (laplacian @ vertices)
    return vertices


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


def area_normals(vertices: NDArray[np.floating], faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Outward normals (V, 3), weighted by area, of triangles or quads.

    Those of `normals.vertex_normals` are what a renderer shades with, and take ten times as long.
    """
    first, third = vertices[faces[:, 2]] - vertices[faces[:, 0]], faces[:, -1]
    cross = np.cross(first, vertices[third] - vertices[faces[:, 1]])
    normals = np.zeros((len(vertices), 3))
    for axis in range(3):
        for corner in faces.T:
            normals[:, axis] += np.bincount(corner, cross[:, axis], len(vertices))
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
