# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head's surface gets its place in the atlas and its regions, and becomes quads if so asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .mesh import Mesh
from .raster import split_quads
from .surface import Surface
from .topology import Topology, load_topology
from .wrap import area_normals, wrap

FACING = 4.0
"""Voxels that opposite normals count as, so that the two sides of an ear are not mixed up."""
TORN = 4.0
"""Times its due size that a triangle may have in the atlas before it counts as torn by a seam."""
LEAST_CUT = 0.1
"""Share of an edge that a cut leaves on either side at least, so that no triangle is a needle."""


def paint_ready(
    surface: Surface, landmarks: NDArray[np.float32], kind: str, *, face_only: bool = False
) -> Mesh:
    """Give a head's surface its quads or triangles, its places in the atlas and its regions.

    Parameters
    ----------
    surface : Surface
        The isosurface.
    landmarks : (68, 3) float32
        Multi-PIE landmarks of it, volume frame.
    kind : {"raw", "sculpt", "light"}
        As `Options.surface`.
    face_only : bool
        As in `Options`.

    Returns
    -------
    Mesh
        In the volume frame. ``raw`` has the surface's own vertices and triangles; the quads of
        ``sculpt`` and ``light`` are the same for every head.
    """
    topology = load_topology()
    vertices = wrap(topology, surface, landmarks)
    if kind == "sculpt":
        mesh = Mesh(vertices, topology.quads, topology.uv, topology.regions)
        return _part(mesh, topology.mask) if face_only else mesh
    if kind == "light":
        mesh = Mesh(vertices, topology.light_quads, topology.light_uv, topology.regions)
        everything = np.ones(len(mesh.faces), bool)
        return _part(mesh, topology.light_mask if face_only else everything)
    mesh, inwards = _painted_raw(surface, topology, vertices)
    if not face_only:
        return mesh
    face = _cut(mesh, inwards)
    return _part(face, _largest_patch(face.faces))


def _part(mesh: Mesh, kept: NDArray[np.bool_]) -> Mesh:
    """Take some faces of a mesh, and the vertices that they need."""
    used, faces = np.unique(mesh.faces[kept], return_inverse=True)
    shape = (-1, mesh.faces.shape[1])
    return Mesh(
        mesh.vertices[used],
        np.ascontiguousarray(faces.reshape(shape), np.int32),
        mesh.uv[kept],
        mesh.regions[used],
    )


def _cut(mesh: Mesh, inwards: NDArray[np.float64]) -> Mesh:
    """Cut triangles along the line where a value at the vertices (V,) is zero; keep what is more.

    Parameters
    ----------
    mesh : Mesh
        Of triangles.
    inwards : (V,) float64

    Returns
    -------
    Mesh
        With vertices that no triangle needs.
    """
    inside = inwards > 0.0
    number = inside[mesh.faces].sum(axis=1)
    crossed = np.flatnonzero((number == 1) | (number == 2))
    # Turned so that the corner that is alone on its side of the line comes first.
    alone = (inside[mesh.faces[crossed]] == (number[crossed] == 1)[:, None]).argmax(axis=1)
    turn = (alone[:, None] + np.arange(3)) % 3
    corners = np.take_along_axis(mesh.faces[crossed], turn, axis=1)
    uv = np.take_along_axis(mesh.uv[crossed], turn[..., None], axis=1)

    # Where the line crosses the sides from the first corner to the second and to the third.
    ends = np.stack([corners[:, [0, 0]], corners[:, 1:]], axis=2)
    share = inwards[ends[..., 0]] / (inwards[ends[..., 0]] - inwards[ends[..., 1]])
    share = np.clip(share, LEAST_CUT, 1.0 - LEAST_CUT).astype(np.float32)[..., None]
    uv_cut = uv[:, :1] + share * (uv[:, 1:] - uv[:, :1])
    _, first, which = np.unique(
        np.sort(ends.reshape(-1, 2), axis=1), axis=0, return_index=True, return_inverse=True
    )
    cut = (which.reshape(-1, 2) + len(mesh.vertices)).astype(np.int32)
    start, end = ends.reshape(-1, 2)[first].T
    share = share.reshape(-1, 1)[first]

    def added(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([values, values[start] + share * (values[end] - values[start])])

    tip = number[crossed] == 1
    faces = [mesh.faces[number == 3], np.column_stack([corners[:, 0], cut])[tip]]
    places = [mesh.uv[number == 3], np.concatenate([uv[:, :1], uv_cut], axis=1)[tip]]
    rest = np.column_stack([cut[:, 0], corners[:, 1:], cut[:, 1]])[~tip]
    faces.append(split_quads(rest))
    places.append(split_quads(np.concatenate([uv_cut[:, :1], uv[:, 1:], uv_cut[:, 1:]], 1)[~tip]))
    return Mesh(
        added(mesh.vertices), np.concatenate(faces), np.concatenate(places), added(mesh.regions)
    )


def _largest_patch(faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which triangles hang together by their sides with most others."""
    sides = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=2), axis=2)
    _, side = np.unique(sides.reshape(-1, 2), axis=0, return_inverse=True)
    owner = np.repeat(np.arange(len(faces)), 3)
    table = coo_array((np.ones(len(owner), np.int32), (owner, side.ravel()))).tocsr()
    _, patch = connected_components(table @ table.T, directed=False)
    return np.asarray(patch == np.bincount(patch).argmax())


def _inwards(topology: Topology) -> NDArray[np.float64]:
    """Metres (V,) from the border of the mean head's face, inside; negative outside of it."""
    inner, outer = (np.unique(topology.quads[kept]) for kept in (topology.mask, ~topology.mask))
    border = topology.vertices[np.intersect1d(inner, outer)]
    distance, _ = cKDTree(border).query(topology.vertices)
    distance[np.setdiff1d(outer, inner)] *= -1.0
    return np.asarray(distance, np.float64)


@dataclass(frozen=True)
class _Places:
    """Places on triangles of the quads: which triangle, and barycentric weights (N, 3) in it."""

    triangle: NDArray[np.intp]
    weights: NDArray[np.float64]


class _Quads:
    """Wrapped quads, cut into triangles, that can be asked for the nearest place."""

    def __init__(self, topology: Topology, vertices: NDArray[np.float32]) -> None:
        quads = topology.quads
        self.corners = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        self.uv = np.concatenate([topology.uv[:, [0, 1, 2]], topology.uv[:, [0, 2, 3]]])
        self.points = vertices[self.corners].astype(np.float64)
        normals = area_normals(vertices, quads)
        self._tree = cKDTree(np.hstack([vertices, 0.5 * FACING * normals]))
        # Triangles round each vertex; where there are fewer than the most, the last is repeated.
        order = np.argsort(self.corners.ravel(), kind="stable")
        count = np.bincount(self.corners.ravel())
        place = np.minimum(np.arange(count.max()), count[:, None] - 1)
        self._round = order[(np.cumsum(count) - count)[:, None] + place] // 3
        first, second = (self.points[:, k] - self.points[:, 0] for k in (1, 2))
        self._ways = np.stack([first, second], axis=1)
        gram = self._ways @ self._ways.transpose(0, 2, 1)
        self._inverse = np.linalg.pinv(gram, hermitian=True) @ self._ways

    def nearest(self, points: NDArray[np.float64], normals: NDArray[np.float64]) -> _Places:
        """Nearest place of each point (N, 3) that faces about the same way as its normal."""
        _, vertex = self._tree.query(np.hstack([points, 0.5 * FACING * normals]))
        triangles = self._round[vertex]
        weights = _clipped(self.weights(points[:, None], triangles))
        reached = np.einsum("ntk,ntkc->ntc", weights, self.points[triangles])
        best = np.square(reached - points[:, None]).sum(axis=2).argmin(axis=1)
        rows = np.arange(len(points))
        return _Places(triangles[rows, best], weights[rows, best])

    def weights(
        self, points: NDArray[np.float64], triangles: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Barycentric weights (..., 3) of points in the planes of triangles."""
        away = points - self.points[triangles, 0]
        two = np.einsum("...ij,...j->...i", self._inverse[triangles], away)
        return np.concatenate([1.0 - two.sum(axis=-1, keepdims=True), two], axis=-1)


def _clipped(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.maximum(weights, 0.0)
    return inside / inside.sum(axis=-1, keepdims=True)


def _painted_raw(
    surface: Surface, topology: Topology, vertices: NDArray[np.float32]
) -> tuple[Mesh, NDArray[np.float64]]:
    """Give the surface its places in the atlas, and say how far inside of the face it lies."""
    quads = _Quads(topology, vertices)
    points = surface.vertices.astype(np.float64)
    normals = area_normals(surface.vertices, surface.faces)
    places = quads.nearest(points, normals)
    at_vertices = np.einsum("nk,nkc->nc", places.weights, quads.uv[places.triangle])
    uv = at_vertices[surface.faces]

    torn = _torn(uv, points[surface.faces], quads)
    faces = surface.faces[torn]
    middles = points[faces].mean(axis=1)
    chosen = quads.nearest(middles, normals[faces].mean(axis=1)).triangle
    # All corners in the plane of one triangle of the quads, so all on one side of the seam.
    weights = quads.weights(points[faces], np.repeat(chosen[:, None], 3, axis=1))
    uv[torn] = np.einsum("nqk,nkc->nqc", weights, quads.uv[chosen])

    corners = quads.corners[places.triangle]
    regions = np.einsum("nk,nkr->nr", places.weights, topology.regions[corners])
    inwards = np.einsum("nk,nk->n", places.weights, _inwards(topology)[corners])
    uv = np.clip(uv, 0.0, 1.0).astype(np.float32)
    return Mesh(surface.vertices, surface.faces, uv, regions.astype(np.float32)), inwards


def _torn(uv: NDArray[np.float64], points: NDArray[np.float64], quads: _Quads) -> NDArray[np.intp]:
    """Triangles whose longest side in the atlas is far too long for that on the surface."""

    def longest(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)

    due = np.median(longest(quads.uv) / longest(quads.points))
    return np.flatnonzero(longest(uv) > TORN * due * longest(points))
