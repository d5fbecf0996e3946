# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface is drawn onto the photo's landmarks, so that eyes and mouth lie on their texture.

MediaPipe was made for photos and the network has only seen renders: in the image plane, on a real
photo, MediaPipe is the more exact of the two. So the surface is moved in that plane, each vertex
keeping its place among its neighbours as well as it can; its depth stays the network's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from .canonical import load_canonical, similarity
from .crop import Crop
from .landmarks import Face
from .surface import Surface
from .wrap import umbrella

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

NEAREST = 6
"""Vertices that share a landmark's pull."""
PULL = 1e-2
"""What a landmark that stays off by a voxel costs; a vertex that leaves its place relative to its
neighbours' mean by a voxel costs one."""
REST = 2e-5
"""What a vertex that moves by a voxel costs: without a reason, none does."""
FADE, LEAST_SHARE = 1e-4, 1e-3
"""What is added to `REST` halfway behind the face, and the least share it is divided by."""
LIMIT = 8.0
"""Voxels that a landmark may pull at most; what is farther off is a mistake of one of the two."""


def fit_to_landmarks(
    surface: Surface, landmarks: NDArray[np.float32], face: Face, crop: Crop
) -> tuple[Surface, NDArray[np.float32]]:
    """Move a surface in the image plane until its landmarks meet the photo's.

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
    Sorkine et al., "Laplacian surface editing", SGP 2004: the least-squares problem of sections 2
    and 3, without the rotations, which the image plane's small moves do not need.
    """
    gap, trust, _ = _compare(landmarks, face, crop)
    gap *= np.minimum(1.0, LIMIT / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-6))
    places = landmarks[FIRST:].astype(np.float64)
    vertices = surface.vertices.astype(np.float64)
    share = _share(vertices, landmarks)
    movable = np.flatnonzero(share)
    laplacian = umbrella(surface.faces, len(vertices))[:, movable].tocsr()

    nearest, weights = _round(places, vertices[movable])
    rows = np.repeat(np.arange(len(places)), NEAREST)
    at_landmarks = coo_array(
        (weights.ravel(), (rows, nearest.ravel())), shape=(len(places), len(movable))
    ).tocsr()

    pull = diags_array(PULL * trust)
    rest = REST + FADE * (1.0 / np.maximum(share[movable], LEAST_SHARE) - 1.0)
    system = laplacian.T @ laplacian + at_landmarks.T @ pull @ at_landmarks + diags_array(rest)
    solver = splu(
        system.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    moves = np.zeros((len(vertices), 2))
    moves[movable] = solver.solve(at_landmarks.T @ (pull @ gap))
    moved = surface.vertices.copy()
    moved[:, :2] += moves.astype(np.float32)

    nearest, weights = _round(landmarks, vertices)
    shifted = landmarks.copy()
    shifted[:, :2] += np.einsum("nk,nkc->nc", weights, moves[nearest]).astype(np.float32)
    return Surface(moved, surface.faces), shifted


def _round(
    places: NDArray[np.floating], vertices: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Vertices (N, 6) whose weighted mean each place is, and their weights."""
    distance, nearest = cKDTree(vertices).query(places, k=NEAREST)
    weights = 1.0 / (distance + 0.5)
    return nearest, weights / weights.sum(axis=1, keepdims=True)


def agreement(landmarks: NDArray[np.float32], face: Face, crop: Crop) -> float:
    """Say how well the network's own landmarks agree with MediaPipe's, before the fit.

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


def _share(places: NDArray[np.float64], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far (N,), 0 to 1, places lie before the ears and so may move."""
    ears, eyes = landmarks[[0, 16]].mean(0), landmarks[[36, 45]].mean(0)
    forward = (eyes - ears) / np.sum((eyes - ears) ** 2)
    share = np.clip(((places - ears) @ forward - 0.2) / 0.6, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
