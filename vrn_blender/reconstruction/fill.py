# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Smooth colours for what nobody saw: over the surface of a head, and over a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import spsolve

from .wrap import adjacency

# Voxels: vertices of one cell are solved for together, and then smoothed apart.
CELL = 5.0
SWEEPS = 30

ANCHOR = 10.0
"""How strongly a vertex that was seen keeps its colour, against its likeness to a neighbour."""


class SurfaceFill:
    """Spreads colours over a mesh from the vertices where they are known.

    The result minimises the differences along edges (it is harmonic), so that it has no seam
    wherever an atlas has one, and far from what is known it comes to what is guessed.

    Parameters
    ----------
    vertices : (V, 3) float32
        Volume frame, voxels.
    faces : (T, 3) int32
    """

    def __init__(self, vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> None:
        count = len(vertices)
        cells = np.floor((vertices - vertices.min(axis=0)) / CELL).astype(np.int64)
        _, cell = np.unique(
            np.ravel_multi_index(cells.T, cells.max(axis=0) + 1), return_inverse=True
        )
        self._links = adjacency(faces, count)
        self._gather = csr_array((np.ones(count), (cell.ravel(), np.arange(count))))
        coarse = self._gather @ self._links @ self._gather.T
        self._coarse = diags_array(coarse.sum(axis=1)) - coarse
        self._degree = self._links.sum(axis=1)

    def spread(
        self,
        colours: NDArray[np.float32],
        known: NDArray[np.float32],
        guess: NDArray[np.float32],
        pull: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Fill in what is not known.

        Parameters
        ----------
        colours : (V, K) float32
        known : (V,) float32
            How far, 0..1, each colour is known.
        guess : (V, K) float32
            What each vertex's colour may be expected to be.
        pull : (V,) float32
            How strongly it is, against likeness to a neighbour; above 0.

        Returns
        -------
        (V, K) float32
        """
        hold = ANCHOR * known + pull
        target = ANCHOR * known[:, None] * colours + pull[:, None] * guess
        system = self._coarse + diags_array(self._gather @ hold)
        solved = np.asarray(spsolve(system.tocsc(), self._gather @ target))
        filled = (self._gather.T @ solved.reshape(-1, colours.shape[1])).astype(np.float32)
        degree = (self._degree + hold)[:, None]
        for _ in range(SWEEPS):
            filled = (self._links @ filled + target) / degree
        return np.asarray(filled, np.float32)


def push_pull(values: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill what has no weight in a picture with values from around it.

    Averages over ever larger cells, each weighted, fill the finer cells that lack weight.

    Parameters
    ----------
    values : (H, W, 3) float32
    weight : (H, W) float32
        0..1.

    Returns
    -------
    (H, W, 3) float32

    References
    ----------
    .. [1] S. J. Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4.
    """
    height, width = weight.shape
    if height == width == 1:
        return values
    half = (width + 1) // 2, (height + 1) // 2
    weighted = np.dstack([values * weight[..., None], weight])
    mean = np.asarray(cv2.resize(weighted, half, interpolation=cv2.INTER_AREA), np.float32)
    mean_weight = mean[..., 3]
    mean_values = mean[..., :3] / np.maximum(mean_weight, np.float32(1e-6))[..., None]
    coarse = push_pull(mean_values, np.minimum(4 * mean_weight, np.float32(1)))
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(around + weight[..., None] * (values - around), np.float32)
