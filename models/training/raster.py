# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Software rasteriser for training data, compiled by Numba."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, fastmath=True)
def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals, outward where the triangles wind counter-clockwise.

    Parameters
    ----------
    vertices : (V, 3) float32
    triangles : (T, 3) int32

    Returns
    -------
    (V, 3) float32
    """
    normals = np.zeros_like(vertices)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ux = vertices[b, 0] - vertices[a, 0]
        uy = vertices[b, 1] - vertices[a, 1]
        uz = vertices[b, 2] - vertices[a, 2]
        wx = vertices[c, 0] - vertices[a, 0]
        wy = vertices[c, 1] - vertices[a, 1]
        wz = vertices[c, 2] - vertices[a, 2]
        nx = uy * wz - uz * wy
        ny = uz * wx - ux * wz
        nz = ux * wy - uy * wx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(len(normals)):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        normals[v, 0] /= length
        normals[v, 1] /= length
        normals[v, 2] /= length
    return normals


@njit(cache=True, fastmath=True)
def rasterise(
    screen: np.ndarray,
    triangles: np.ndarray,
    first: int,
    depth: np.ndarray,
    index: np.ndarray,
    bary: np.ndarray,
) -> None:
    """Draw triangles into a z-buffer, in place.

    Parameters
    ----------
    screen : (V, 3) float32
        Pixels right, pixels down, depth away from the camera; pixel centres at a half.
    triangles : (T, 3) int32
    first : int
        Number that the first triangle gets in ``index``.
    depth : (H, W) float32
        Nearest depth so far.
    index : (H, W) int32
        Nearest triangle so far.
    bary : (H, W, 2) float32
        Barycentric weights of its first two vertices.
    """
    height, width = depth.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay, az = screen[a]
        bx, by, bz = screen[b]
        cx, cy, cz = screen[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                wc = 1.0 - wa - wb
                if wa >= 0.0 and wb >= 0.0 and wc >= 0.0:
                    z = wa * az + wb * bz + wc * cz
                    if z < depth[y, x]:
                        depth[y, x] = z
                        index[y, x] = first + t
                        bary[y, x, 0] = wa
                        bary[y, x, 1] = wb


@njit(cache=True, fastmath=True)
def visible(
    screen: np.ndarray, vertices: np.ndarray, depth: np.ndarray, slack: float
) -> np.ndarray:
    """Which vertices the z-buffer shows.

    Parameters
    ----------
    screen : (V, 3) float32
    vertices : (N,) int
        The vertices that are asked about.
    depth : (H, W) float32
        Z-buffer of the surface that may hide them.
    slack : float
        How far behind the buffer a vertex may lie, in the units of its depth.

    Returns
    -------
    (N,) bool
    """
    height, width = depth.shape
    shown = np.zeros(len(vertices), dtype=np.bool_)
    for i in range(len(vertices)):
        x, y, z = screen[vertices[i]]
        if 0.0 <= x < width and 0.0 <= y < height:
            shown[i] = z <= depth[int(y), int(x)] + slack
    return shown


@njit(cache=True, fastmath=True)
def occupancy(
    vertices: np.ndarray, triangles: np.ndarray, size: tuple[int, int, int]
) -> np.ndarray:
    """Soft occupancy of a closed mesh: its winding number, antialiased along z.

    Every pixel column adds or takes away one where it enters or leaves the mesh, split linearly
    between the two nearest cells, and sums along z. Exact for closed surfaces, however many
    intervals a column has.

    Parameters
    ----------
    vertices : (V, 3) float32
        Cells (x, y, z), cell centres at a half.
    triangles : (T, 3) int32
    size : (depth, height, width)

    Returns
    -------
    (depth, height, width) float32
        0 to 1; the 0.5 isosurface is the mesh, to a tenth of a cell along z and half a cell across.
    """
    deep, height, width = size
    steps = np.zeros((deep + 1, height, width), dtype=np.float32)
    for t in range(len(triangles)):
        a, b, c = triangles[t]
        ax, ay, az = vertices[a]
        bx, by, bz = vertices[b]
        cx, cy, cz = vertices[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        x0 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        x1 = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0 = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        y1 = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1.0 / area
        sign = 1.0 if area < 0.0 else -1.0
        for y in range(y0, y1 + 1):
            py = y + 0.5 + 1.3e-4
            for x in range(x0, x1 + 1):
                px = x + 0.5 + 1.7e-4
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * inverse
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * inverse
                wc = 1.0 - wa - wb
                if wa >= 0.0 and wb >= 0.0 and wc > 0.0:
                    z = min(max(wa * az + wb * bz + wc * cz, 0.0), deep - 1e-3)
                    cell = int(z)
                    part = z - cell
                    steps[cell, y, x] += sign * (1.0 - part)
                    steps[cell + 1, y, x] += sign * part
    out = np.empty((deep, height, width), dtype=np.float32)
    for y in range(height):
        for x in range(width):
            total = np.float32(0.0)
            for z in range(deep):
                total += steps[z, y, x]
                out[z, y, x] = min(max(total, 0.0), 1.0)
    return out
