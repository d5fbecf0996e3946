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

# Triangles are split until they are no longer than this share of the interocular distance. The
# nearest place on the surface is then in one of the few triangles with the nearest centres.
LONGEST = 0.06
CANDIDATES = 8

# How far beyond the true points, and how far along the depth, surface is looked for.
MARGIN = 0.5

# Points that the depth offset and ICP go by; the errors are those of all points.
SEARCH_POINTS = 600
ICP_STEPS = 60
ICP_TOLERANCE = 2e-4
"""ICP ends when its last step moved the points by less than this share of the distance."""


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
        corners = np.asarray(vertices, dtype=np.float64)[triangles]
        near = (corners.max(1) > low).all(1) & (corners.min(1) < high).all(1)
        self._corners = split(corners[near], longest)
        cross = np.cross(
            self._corners[:, 1] - self._corners[:, 0], self._corners[:, 2] - self._corners[:, 0]
        )
        self._normals = cross / (np.linalg.norm(cross, axis=1, keepdims=True) + 1e-12)
        self._tree = cKDTree(self._corners.mean(1), balanced_tree=False)

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest places (N, 3) to points (N, 3), and the unit normals (N, 3) there."""
        _, candidates = self._tree.query(points, k=min(CANDIDATES, len(self._corners)))
        places, chosen = _closest(points, self._corners, candidates.reshape(len(points), -1))
        return places, self._normals[chosen]

    def distance(self, points: np.ndarray) -> float:
        """Mean distance of points (N, 3) to the surface."""
        return float(np.linalg.norm(self.nearest(points)[0] - points, axis=1).mean())


def split(corners: np.ndarray, longest: float) -> np.ndarray:
    """Split triangles (T, 3, 3) into four until none has an edge longer than ``longest``."""
    kept = []
    while len(corners):
        edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
        kept.append(corners[edges <= longest])
        large = corners[edges > longest]
        a, b, c = large[:, 0], large[:, 1], large[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        corners = np.concatenate([np.stack(q, axis=1) for q in quarters])
    return np.concatenate(kept) if kept else corners


@njit(cache=True)
def _closest(
    points: np.ndarray, corners: np.ndarray, candidates: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest place on the candidate triangles of each point, and which triangle it is on.

    Ericson, "Real-Time Collision Detection", 2005, section 5.1.5.
    """
    places = np.empty_like(points)
    chosen = np.empty(len(points), dtype=np.int64)
    for i in range(len(points)):
        p = points[i]
        best = np.inf
        for t in candidates[i]:
            a, b, c = corners[t]
            ab, ac, ap = b - a, c - a, p - a
            d1, d2 = (ab * ap).sum(), (ac * ap).sum()
            bp, cp = p - b, p - c
            d3, d4 = (ab * bp).sum(), (ac * bp).sum()
            d5, d6 = (ab * cp).sum(), (ac * cp).sum()
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
                whole = va + vb + vc
                v, w = vb / whole, vc / whole
            q = a + v * ab + w * ac
            gap = ((p - q) ** 2).sum()
            if gap < best:
                best = gap
                places[i] = q
                chosen[i] = t
    return places, chosen


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
    places, normals = surface.nearest(points + offset)
    image = np.linalg.norm(places - points - offset, axis=1).mean() / unit
    cosine = (normals * truth.normals).sum(1)
    scale, rotation, translation = register(surface, few, offset)
    moved = (points - translation) @ rotation / scale
    return Errors(
        image=float(image),
        icp=scale * surface.distance(moved) / unit,
        normals=float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean()),
    )


def depth_offset(surface: Surface, points: np.ndarray, unit: float) -> float:
    """Find what to add to the depth of points (N, 3) so that they lie nearest to a surface."""

    def cost(offset: float) -> float:
        return surface.distance(points + (0.0, 0.0, offset))

    step = 0.1 * unit
    coarse = np.arange(-5, 6) * step
    middle = float(coarse[np.argmin([cost(offset) for offset in coarse])])
    fine = minimize_scalar(
        cost, bounds=(middle - step, middle + step), options={"xatol": 1e-3 * unit}
    )
    return float(fine.x)


def register(
    surface: Surface, points: np.ndarray, offset: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """ICP: the similarity that takes a surface nearest to the true points.

    Parameters
    ----------
    surface : Surface
    points : (N, 3) float
        True points.
    offset : (3,) float
        Where to begin: what takes the true points near to the surface.

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
        places, _ = surface.nearest(moved)
        scale, rotation, translation = similarity(places, points)
        before, moved = moved, (points - translation) @ rotation / scale
        step = np.linalg.norm(moved - before, axis=1).mean()
        if step < ICP_TOLERANCE * np.ptp(points[:, 1]):
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
