# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface is drawn onto the photo's landmarks, so that eyes and mouth lie on their texture.

MediaPipe was made for photos and the network has only seen renders: in the image plane, on a real
photo, MediaPipe is the more exact of the two. So the surface is bent in that plane, smoothly and by
a few voxels at most; its depth stays the network's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canonical import load_canonical, similarity
from .crop import Crop
from .landmarks import Face
from .surface import Surface

FIRST = 17
"""The jaw's contour, 0 to 16, is no place on the skin but an outline, and is left out."""

# MediaPipe's point for each Multi-PIE landmark from 17 on: brows, nose, eyes, lips.
SAME_PLACE = np.array(
    [
        70,
        63,
        105,
        66,
        107,
        336,
        296,
        334,
        293,
        300,
        168,
        197,
        5,
        4,
        98,
        97,
        2,
        326,
        327,
        33,
        160,
        158,
        133,
        153,
        144,
        362,
        385,
        387,
        263,
        373,
        380,
        61,
        39,
        37,
        0,
        267,
        269,
        291,
        405,
        314,
        17,
        84,
        181,
        78,
        82,
        13,
        312,
        308,
        317,
        14,
        87,
    ]
)

REACH = 10.0
"""Standard deviation in voxels, 18 mm, of the bump by which a landmark moves its surroundings."""
CAUTION = 0.15
"""Ridge: how much a bump costs against a landmark that stays off by as much."""
LIMIT = 8.0
"""Voxels that a landmark may pull at most; what is farther off is a mistake of one of the two."""


def align(
    surface: Surface, landmarks: NDArray[np.float32], face: Face, crop: Crop
) -> tuple[Surface, NDArray[np.float32]]:
    """Bend a surface in the image plane until its landmarks meet the photo's.

    Parameters
    ----------
    surface : Surface
    landmarks : (68, 3) float32
        The network's Multi-PIE landmarks, volume frame.
    face : Face
        MediaPipe's landmarks, photo frame.
    crop : Crop
        The crop of this face.

    Returns
    -------
    surface : Surface
        The same triangles; only x and y of its vertices differ, and only on the face.
    landmarks : (68, 3) float32
        Moved along.

    References
    ----------
    Ridge regression with Gaussian radial basis functions: Arad, Dyn, Reisfeld and Yeshurun, "Image
    warping by radial basis functions: application to facial expressions", CVGIP 56(2), 1994.
    """
    gap, trust, _ = _compare(landmarks, face, crop)
    gap *= np.minimum(1.0, LIMIT / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-6))

    centres = landmarks[FIRST:, :2].astype(np.float64)
    system = _bumps(centres, centres) + np.diag(CAUTION / trust)
    weights = np.linalg.solve(system, gap)

    ears, eyes = landmarks[[0, 16]].mean(0), landmarks[[36, 45]].mean(0)
    forward = (eyes - ears) / np.sum((eyes - ears) ** 2)

    def moved(places: NDArray[np.float32]) -> NDArray[np.float32]:
        share = np.clip(((places - ears) @ forward - 0.2) / 0.6, 0.0, 1.0)
        share = share * share * (3.0 - 2.0 * share)
        near = np.flatnonzero(share)
        out = places.copy()
        bend = _bumps(places[near, :2].astype(np.float64), centres) @ weights
        out[near, :2] += (share[near, None] * bend).astype(np.float32)
        return out

    return Surface(moved(surface.vertices), surface.faces), moved(landmarks)


def agreement(landmarks: NDArray[np.float32], face: Face, crop: Crop) -> float:
    """Say how well the network's own landmarks agree with MediaPipe's, before they are aligned.

    Parameters
    ----------
    landmarks : (68, 3) float32
        The network's Multi-PIE landmarks, volume frame, as it gave them.
    face : Face
        MediaPipe's landmarks, photo frame.
    crop : Crop
        The crop of this face.

    Returns
    -------
    float
        One less the mean distance in the image plane between the two, as a share of the face's
        width; what is turned away from the camera hardly counts. 1 is perfect.
    """
    gap, trust, width = _compare(landmarks, face, crop)
    return float(1.0 - np.average(np.linalg.norm(gap, axis=1), weights=trust) / width)


def _compare(
    landmarks: NDArray[np.float32], face: Face, crop: Crop
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Hold the network's landmarks from `FIRST` on against MediaPipe's, in the image plane.

    Returns
    -------
    gap : (51, 2) float64
        From the network's to MediaPipe's, voxels.
    trust : (51,) float64
        How far MediaPipe saw each, 0 to 1.
    width : float
        Of the face, voxels, whatever its pose.
    """
    canonical = load_canonical()
    points = crop.to_volume(face.points)
    scale, rotation, _ = similarity(canonical.mediapipe, points)
    # The two sets mark slightly different places; on the mean face it is known how different.
    apart = canonical.multipie[FIRST:] - canonical.mediapipe[SAME_PLACE]
    wanted = points[SAME_PLACE] + scale * apart @ rotation.T
    gap = (wanted - landmarks[FIRST:])[:, :2]

    # MediaPipe guesses what is turned away from the camera; that does not count.
    outward = canonical.multipie[FIRST:] * (1.0, 1.0, 0.0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    facing = -(outward @ rotation.T)[:, 2]
    trust = np.clip(2.0 * facing, 0.02, 1.0)
    return gap, trust, float(scale * np.ptp(canonical.mediapipe[:, 0]))


def _bumps(places: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    square = (places**2).sum(1)[:, None] + (centres**2).sum(1)[None] - 2.0 * places @ centres.T
    return np.exp(-square / (2.0 * REACH**2))
