# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What is measured of an atlas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon


def painted(uv: NDArray[np.float32], side: int) -> NDArray[np.int32]:
    """How many faces of corners (F, K, 2) cover each texel of a (side, side) atlas."""
    layers = np.zeros((side, side), np.int32)
    for corners in uv * side - 0.5:
        layers[polygon(corners[:, 1], corners[:, 0], layers.shape)] += 1
    return layers


def stretch(
    points: NDArray[np.float32], uv: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length over width (F,) of a small circle's image in the atlas, and its scale (F,).

    The faces' corners are (F, K, 3) and (F, K, 2); of quads, their first three are measured.
    """
    one, two = (points[:, k].astype(np.float64) - points[:, 0] for k in (1, 2))
    length = np.linalg.norm(one, axis=1)
    along = np.einsum("ij,ij->i", two, one) / length
    across = np.sqrt(np.maximum((two**2).sum(1) - along**2, 1e-18))
    flat = np.zeros((len(points), 2, 2))
    flat[:, 0, 0], flat[:, 0, 1], flat[:, 1, 1] = length, along, across
    images = np.stack([uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]], axis=2)
    singular = np.linalg.svd(images @ np.linalg.inv(flat), compute_uv=False)
    return singular[:, 0] / singular[:, 1], np.sqrt(singular.prod(axis=1))


def border_loop(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> NDArray[np.float32]:
    """Places (N, 3) one after another round the only border of some faces."""
    onwards = np.roll(faces, -1, axis=1)
    sides = set(zip(faces.ravel().tolist(), onwards.ravel().tolist(), strict=True))
    following = {a: b for a, b in sides if (b, a) not in sides}
    loop = [next(iter(following))]
    while (after := following[loop[-1]]) != loop[0]:
        loop.append(after)
    assert len(loop) == len(following)
    return vertices[loop]


def turns(loop: NDArray[np.float32]) -> NDArray[np.float64]:
    """Degrees (N,) by which a closed loop (N, 3) turns at each of its places."""
    way = (np.roll(loop, -1, axis=0) - loop).astype(np.float64)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    cosine = np.einsum("ij,ij->i", way, np.roll(way, 1, axis=0))
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
