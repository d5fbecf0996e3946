# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How far a surface is from the true face: the measures of ``evaluate``.

All lengths are in one frame of the caller's choice (x right, y down, z away from the camera), and
errors are shares of the outer interocular distance.

References
----------
Jackson, Bulat, Argyriou, Tzimiropoulos, "Large Pose 3D Face Reconstruction from a Single Image via
Direct Volumetric CNN Regression", ICCV 2017, section 4: the normalised mean error after ICP.
Besl, McKay, "A method for registration of 3-D shapes", PAMI 14(2), 1992: ICP.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.optimize import minimize_scalar
from scipy.spatial import cKDTree

from vrn_blender.reconstruction.canonical import similarity

from .raster import vertex_normals

# Triangles are split until they are no longer than this share of the interocular distance. The
# nearest place on the surface is then in one of the few triangles with the nearest centres.
LONGEST = 0.06
CANDIDATES = 6

# How far beyond the true points, and how far along the depth, surface is looked for.
MARGIN = 0.5

# Points that the depth offset and ICP go by; the errors are those of all points.
SEARCH_POINTS = 300
ICP_STEPS = 60
ICP_TOLERANCE = 2e-4
"""ICP ends when a step moves the points by less than this share of the distance."""


@dataclass(frozen=True)
class Truth:
    """The true face of a photo.

    Attributes
    ----------
    points : (N, 3) float
        Visible places of the face.
    normals : (N, 3) float
        Outward unit normals there.
    landmarks : (68, 3) float
        Multi-PIE landmarks.
    """

    points: np.ndarray
    normals: np.ndarray
    landmarks: np.ndarray

    @property
    def unit(self) -> float:
        """Outer interocular distance."""
        return float(np.linalg.norm(self.landmarks[36] - self.landmarks[45]))


@dataclass(frozen=True)
class Errors:
    """What was measured of a surface.

    Attributes
    ----------
    image : float
        Mean distance from the true points to the surface, only a depth offset freed.
    icp : float
        The same after a similarity was freed by ICP.
    normals : float
        Mean angle between the true normals and the surface's where ``image`` is measured, degrees.
    """

    image: float
    icp: float
    normals: float


class Surface:
    """Triangles that can be asked for their nearest places.

    Parameters
    ----------
    vertices : (V, 3) float
    triangles : (T, 3) int
        Counter-clockwise seen from outside.
    low, high : (3,) float
        Triangles beyond this box are left out.
    longest : float
        Edges longer than this are split.
    """

    def __init__(
        self,
        vertices: np.ndarray,
        triangles: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        longest: float,
    ) -> None:
        normals = vertex_normals(
            np.ascontiguousarray(vertices, dtype=np.float32),
            np.ascontiguousarray(triangles, dtype=np.int32),
        )
        corners = np.concatenate([vertices, normals], axis=1, dtype=np.float64)[triangles]
        near = (corners.max(1)[:, :3] > low).all(1) & (corners.min(1)[:, :3] < high).all(1)
        self._corners = split(corners[near], longest)
        self._tree = cKDTree(self._corners[..., :3].mean(1), balanced_tree=False)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the nearest places to points.

        Parameters
        ----------
        points : (N, 3) float64

        Returns
        -------
        places : (N, 3) float64
        normals : (N, 3) float64
            Outward there, blended from those of the corners; of any length.
        triangles : (N,) int64
            Number of the triangle of each, after the box and the splits.
        """
        _, candidates = self._tree.query(points, k=min(CANDIDATES, len(self._corners)))
        found, triangles = _closest(points, self._corners, candidates.reshape(len(points), -1))
        return found[:, :3], found[:, 3:], triangles

    def distance(self, points: np.ndarray) -> float:
        """Mean distance of points (N, 3) to the surface."""
        return float(np.linalg.norm(self.nearest(points)[0] - points, axis=1).mean())


def split(corners: np.ndarray, longest: float) -> np.ndarray:
    """Split triangles until none has an edge longer than ``longest``.

    Parameters
    ----------
    corners : (T, 3, C) float
        Place (x, y, z) of each corner, and what else is blended linearly.
    longest : float

    Returns
    -------
    (S, 3, C) float
    """
    kept = []
    while len(corners):
        sides = (corners - np.roll(corners, 1, axis=1))[..., :3]
        edges = np.linalg.norm(sides, axis=2).max(1)
        kept.append(corners[edges <= longest])
        large = corners[edges > longest]
        a, b, c = large[:, 0], large[:, 1], large[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        corners = np.concatenate([np.stack(q, axis=1) for q in quarters])
    return np.concatenate(kept) if kept else corners


@njit(cache=True)
def _dot(a: np.ndarray, b: np.ndarray, p: np.ndarray, q: np.ndarray) -> float:
    """Scalar product of the ways from a to b and from p to q."""
    return (
        (b[0] - a[0]) * (q[0] - p[0])
        + (b[1] - a[1]) * (q[1] - p[1])
        + (b[2] - a[2]) * (q[2] - p[2])
    )


# NumPy's error model: a degenerate triangle gives a gap that is no number, and is never nearest.
@njit(cache=True, error_model="numpy")
def _closest(
    points: np.ndarray, corners: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest place on the candidate triangles (x, y, z and what is blended), and which it is on.

    Ericson, "Real-Time Collision Detection", 2005, section 5.1.5.
    """
    found = np.zeros((len(points), corners.shape[2]))
    chosen = np.zeros(len(points), dtype=np.int64)
    q = np.empty(corners.shape[2])
    for i in range(len(points)):
        p = points[i]
        best = np.inf
        for t in candidates[i]:
            a, b, c = corners[t, 0], corners[t, 1], corners[t, 2]
            d1, d2 = _dot(a, b, a, p), _dot(a, c, a, p)
            d3, d4 = _dot(a, b, b, p), _dot(a, c, b, p)
            d5, d6 = _dot(a, b, c, p), _dot(a, c, c, p)
            va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
            if d1 <= 0.0 and d2 <= 0.0:
                v, w = 0.0, 0.0
            elif d3 >= 0.0 and d4 <= d3:
                v, w = 1.0, 0.0
            elif d6 >= 0.0 and d5 <= d6:
                v, w = 0.0, 1.0
            elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
                v, w = d1 / (d1 - d3), 0.0
            elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
                v, w = 0.0, d2 / (d2 - d6)
            elif va <= 0.0 and d4 >= d3 and d5 >= d6:
                w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
                v = 1.0 - w
            else:
                v, w = vb / (va + vb + vc), vc / (va + vb + vc)
            for k in range(len(q)):
                q[k] = a[k] + v * (b[k] - a[k]) + w * (c[k] - a[k])
            gap = _dot(q, p, q, p)
            if gap < best:
                best = gap
                found[i] = q
                chosen[i] = t
    return found, chosen


def measure(vertices: np.ndarray, triangles: np.ndarray, truth: Truth) -> Errors:
    """Measure a surface against the true face.

    Parameters
    ----------
    vertices : (V, 3) float
    triangles : (T, 3) int
        Counter-clockwise seen from outside.
    truth : Truth
        In the same frame, but for an offset along z.

    Returns
    -------
    Errors
    """
    unit, points = truth.unit, truth.points
    low, high = points.min(0) - MARGIN * unit, points.max(0) + MARGIN * unit
    surface = Surface(vertices, triangles, low, high, LONGEST * unit)
    few = points[:: max(1, len(points) // SEARCH_POINTS)]
    offset = np.array([0.0, 0.0, depth_offset(surface, few, unit)])
    places, normals, _ = surface.nearest(points + offset)
    image = np.linalg.norm(places - points - offset, axis=1).mean() / unit
    cosine = (normals * truth.normals).sum(1) / np.linalg.norm(normals, axis=1)
    scale, rotation, translation = register(surface, few, offset, ICP_TOLERANCE * unit)
    moved = (points - translation) @ rotation / scale
    return Errors(
        image=float(image),
        icp=scale * surface.distance(moved) / unit,
        normals=float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean()),
    )


def depth_offset(surface: Surface, points: np.ndarray, unit: float) -> float:
    """Find what to add to the depth of points (N, 3) so that they lie nearest to a surface."""

    def cost(offset: float) -> float:
        return surface.distance(points + np.array([0.0, 0.0, offset]))

    step = 0.15 * unit
    coarse = np.arange(-3, 4) * step
    middle = float(coarse[np.argmin([cost(offset) for offset in coarse])])
    fine = minimize_scalar(
        cost, bounds=(middle - step, middle + step), options={"xatol": 1e-3 * unit}
    )
    return float(fine.x)


def register(
    surface: Surface, points: np.ndarray, offset: np.ndarray, tolerance: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """ICP: the similarity that takes a surface nearest to the true points.

    Parameters
    ----------
    surface : Surface
    points : (N, 3) float
        True points.
    offset : (3,) float
        Where to begin: what takes the true points near to the surface.
    tolerance : float
        It ends when a step moves the points by less than this.

    Returns
    -------
    scale : float
    rotation : (3, 3) float64
    translation : (3,) float64
        As in ``similarity``, from the surface to the points: the surface is what is scaled, since
        points that were would shrink to a place where the surface is near.
    """
    moved = points + offset
    scale, rotation, translation = 1.0, np.eye(3), -offset
    for _ in range(ICP_STEPS):
        places = surface.nearest(moved)[0]
        scale, rotation, translation = similarity(places, points)
        before, moved = moved, (points - translation) @ rotation / scale
        step = np.linalg.norm(moved - before, axis=1).mean()
        if step < tolerance:
            break
    return scale, rotation, translation


def landmark_errors(ours: np.ndarray, truth: Truth) -> tuple[float, float]:
    """Mean errors of landmarks (68, 3): in the image, and in space with a depth offset freed."""
    gap = ours - truth.landmarks
    gap[:, 2] -= gap[:, 2].mean()
    flat = np.linalg.norm(gap[:, :2], axis=1).mean()
    return float(flat / truth.unit), float(np.linalg.norm(gap, axis=1).mean() / truth.unit)


def overlap(ours: np.ndarray, true: np.ndarray, where: np.ndarray) -> float:
    """Intersection over union of two solids, (D, H, W) bool, within a third."""
    ours, true = ours & where, true & where
    return float((ours & true).sum() / max(1, (ours | true).sum()))
