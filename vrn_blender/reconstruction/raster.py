# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Draws triangles into pixel grids: which triangle covers a pixel, and where within it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# A pixel beyond its triangle is extrapolated from it, but no further than by half of the triangle:
# what a sliver would tell of places far away is nonsense.
BEYOND = 0.5


@dataclass(frozen=True)
class Grid:
    """A mesh drawn into a grid of pixels.

    Attributes
    ----------
    triangles : (H, W) int32
        The triangle at each pixel's centre; where there is none, the nearest drawn one.
    covered : (H, W) bool
        Pixels whose centre lies in a triangle.
    weights : (H * W, V) csr_array of float32
        Barycentric: takes values of vertices to values of pixels, extrapolated beyond the mesh.
    """

    triangles: NDArray[np.int32]
    covered: NDArray[np.bool_]
    weights: csr_array

    def spread(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Interpolate values of vertices at each pixel.

        Parameters
        ----------
        values : (V,) or (V, K) float

        Returns
        -------
        (H, W) or (H, W, K) float32
        """
        spread = self.weights @ np.asarray(values, np.float32)
        return np.asarray(spread, np.float32).reshape(*self.covered.shape, *values.shape[1:])


def split_quads(faces: NDArray[Any]) -> NDArray[Any]:
    """Corners, or anything else that faces have for each corner, as triangles.

    Parameters
    ----------
    faces : (F, 3, ...) or (F, 4, ...)

    Returns
    -------
    (F, 3, ...) or (2 F, 3, ...)
        A quad's two triangles follow each other; they meet from its first to its third corner.
    """
    if faces.shape[1] == 3:
        return faces
    return np.stack([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]], axis=1).reshape(
        -1, 3, *faces.shape[2:]
    )


def covered_pixels(
    corners: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels whose centres triangles cover.

    Triangles that share an edge share no pixel there and leave none out.

    Parameters
    ----------
    corners : (T, 3, 2) float64
        x, y in pixels; the centre of pixel i lies at i + 0.5.
    width, height : int
        Of the grid, pixels.

    Returns
    -------
    pixels : (N,) int64
        Row by row, ``row * width + column``.
    triangles : (N,) int64
        The triangle of each, in rising order.
    """
    order = np.argsort(corners[:, :, 1], axis=1, kind="stable")
    a, b, c = np.take_along_axis(corners, order[..., None], axis=1).transpose(1, 0, 2)
    first = np.clip(np.ceil(a[:, 1] - 0.5), 0, height).astype(np.int64)
    rows = np.clip(np.ceil(c[:, 1] - 0.5), 0, height).astype(np.int64) - first
    triangle, step = _runs(rows)
    row = first[triangle] + step
    y = row + 0.5
    lower = y > b[triangle, 1]
    start = np.where(lower[:, None], b[triangle], a[triangle])
    end = np.where(lower[:, None], c[triangle], b[triangle])
    sides = _cross(a[triangle], c[triangle], y), _cross(start, end, y)
    left = np.clip(np.ceil(np.minimum(*sides) - 0.5), 0, width).astype(np.int64)
    right = np.clip(np.ceil(np.maximum(*sides) - 0.5), 0, width).astype(np.int64)
    span, step = _runs(right - left)
    return row[span] * width + left[span] + step, triangle[span]


def _cross(
    upper: NDArray[np.float64], lower: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where edges cross rows; an edge that lies in its row is crossed at its upper end."""
    height = lower[:, 1] - upper[:, 1]
    along = (y - upper[:, 1]) / np.where(height > 0, height, 1.0)
    return upper[:, 0] + along * (lower[:, 0] - upper[:, 0])


def _runs(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Owner of each element of consecutive runs, and the element's place in its run."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def barycentric(
    corners: NDArray[np.float64], triangles: NDArray[Any], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Barycentric coordinates of points, each in the plane of its triangle.

    Parameters
    ----------
    corners : (T, 3, 2) float64
    triangles : (N,) int
    points : (N, 2) float64

    Returns
    -------
    (N, 3) float64
        Each row sums to one.
    """
    edges = corners[:, 1:] - corners[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    inverse = 1.0 / np.where(np.abs(area) > 1e-12, area, np.inf)
    # Rows of this give the second and third coordinate of a point relative to the first corner.
    rows = (
        np.stack([edges[:, 1, 1], -edges[:, 1, 0], -edges[:, 0, 1], edges[:, 0, 0]], axis=1)
        * inverse[:, None]
    )
    x, y = (points - corners[triangles, 0]).T
    at = rows[triangles]
    second, third = at[:, 0] * x + at[:, 1] * y, at[:, 2] * x + at[:, 3] * y
    return np.stack([1.0 - second - third, second, third], axis=1)


def draw(
    corners: NDArray[np.float64],
    faces: NDArray[np.int32],
    count: int,
    shape: tuple[int, int],
    depth: NDArray[np.floating[Any]] | None = None,
) -> Grid:
    """Draw a mesh into a grid.

    Parameters
    ----------
    corners : (T, 3, 2) float64
        Place of each corner of each triangle in the grid, pixels, y down.
    faces : (T, 3) int32
        Vertices of each triangle; at least one triangle.
    count : int
        How many vertices there are.
    shape : (height, width)
        Of the grid, pixels.
    depth : (V,) float or None
        Where triangles lie upon one another, that of the least depth is drawn; without depths the
        last.

    Returns
    -------
    Grid
    """
    height, width = shape
    pixels, triangles = covered_pixels(corners, width, height)
    if depth is not None:
        places = np.stack([pixels % width, pixels // width], axis=1) + 0.5
        at = (barycentric(corners, triangles, places) * depth[faces[triangles]]).sum(axis=1)
        least = np.full(width * height, np.inf)
        np.minimum.at(least, pixels, at)
        seen = at == least[pixels]
        pixels, triangles = pixels[seen], triangles[seen]
    drawn = np.full(width * height, -1, np.int32)
    drawn[pixels] = triangles
    covered = (drawn >= 0).reshape(shape)
    drawn = drawn[_nearest(covered)] if covered.any() else np.zeros_like(drawn)
    return Grid(drawn.reshape(shape), covered, _weights(corners, faces, count, drawn, width))


def _nearest(covered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each pixel the nearest covered one."""
    _, labels = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(labels.max()) + 1, np.int64)
    of_label[labels[covered]] = np.flatnonzero(covered)
    return of_label[labels.ravel()]


def _weights(
    corners: NDArray[np.float64],
    faces: NDArray[np.int32],
    count: int,
    drawn: NDArray[np.int32],
    width: int,
) -> csr_array:
    pixels = np.arange(len(drawn))
    places = np.stack([pixels % width, pixels // width], axis=1) + 0.5
    shares = np.clip(barycentric(corners, drawn, places), -BEYOND, 1.0 + BEYOND)
    shares /= shares.sum(axis=1, keepdims=True)
    starts = np.arange(0, 3 * len(drawn) + 1, 3, dtype=np.int32)
    return csr_array(
        (shares.astype(np.float32).ravel(), faces[drawn].ravel(), starts), (len(drawn), count)
    )
