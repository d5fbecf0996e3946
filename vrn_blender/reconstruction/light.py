# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The light that a photo was taken in, estimated from the skin, so that it can be taken out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GAMMA = 2.2
"""About what sRGB has."""

ROUNDS = 8
# Of the spread of residuals: what lies further off is no plain skin (brows, lips, hair, a shadow).
TUKEY = 3.0
# Second-order terms are held back, most of all where few normals tell them.
RIDGE = 0.003
# Shading beyond this is the fit's extrapolation and not light.
LEAST, MOST = 0.45, 1.8


def skin_shading(
    normals: NDArray[np.float32], colours: NDArray[np.float32], skin: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How much the light brightens each vertex, by second-order spherical harmonics.

    Skin is taken to have one colour, so that its differences in low frequency are light; what fits
    badly counts little.

    Parameters
    ----------
    normals : (V, 3) float32
        Unit length, any frame.
    colours : (V, 3) float32
        sRGB, 0..255.
    skin : (V,) float32
        How far, 0..1, each vertex is skin that was seen.

    Returns
    -------
    (V, 3) float32
        Factors of the sRGB colour, one on average over the skin: divide by them to take the light
        out.

    References
    ----------
    .. [1] R. Ramamoorthi and P. Hanrahan, "An efficient representation for irradiance environment
       maps", SIGGRAPH 2001.
    """
    basis = _harmonics(normals.astype(np.float64))
    chosen = np.flatnonzero(skin > 0.0)
    if len(chosen) < basis.shape[1]:
        return np.ones_like(colours)
    bright = (np.clip(colours[chosen], 1.0, 255.0) / 255.0).astype(np.float64) ** GAMMA
    at, weight = basis[chosen], skin[chosen].astype(np.float64)
    mean = np.average(bright, axis=0, weights=weight)
    ridge = RIDGE * weight.sum() * np.diag([0.0, 1, 1, 1, 4, 4, 4, 4, 4])
    robust = weight
    for _ in range(ROUNDS):
        normal = (at * robust[:, None]).T
        light = np.linalg.solve(normal @ at + ridge, normal @ (bright / mean))
        off = np.abs(bright / mean - at @ light).max(axis=1)
        spread = 1.5 * np.median(off) + 1e-6
        robust = weight * np.clip(1.0 - (off / (TUKEY * spread)) ** 2, 0.0, 1.0) ** 2
    shading = np.clip(basis @ light / np.average(at @ light, axis=0, weights=weight), LEAST, MOST)
    return np.asarray(shading ** (1.0 / GAMMA), np.float32)


def _harmonics(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = normals.T
    terms = [np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1]
    return np.stack(terms, axis=1)
