# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Closed meshes whose measures are known, counter-clockwise seen from outside."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

Mesh = tuple[NDArray[np.float32], NDArray[np.int32]]


def hull(points: NDArray[np.floating]) -> Mesh:
    """Give the convex hull of points (N, 3), all of which lie on it."""
    triangles = ConvexHull(points).simplices.astype(np.int32)
    a, b, c = np.moveaxis(points[triangles], 1, 0)
    inwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), a - points.mean(axis=0)) < 0
    triangles[inwards] = triangles[inwards, ::-1]
    return points.astype(np.float32), triangles


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    """Give an upright box."""
    return hull(np.array(list(itertools.product(*zip(low, high, strict=True)))))


def sphere(centre: tuple[float, float, float], radius: float, count: int = 4000) -> Mesh:
    """Give a sphere of evenly spread vertices (Fibonacci's lattice)."""
    i = np.arange(count) + 0.5
    polar, around = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    directions = np.stack(
        [np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=1
    )
    return hull(np.array(centre) + radius * directions)
