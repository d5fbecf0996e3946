# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface is drawn onto the photo's landmarks, so that eyes and mouth lie on their texture.

MediaPipe was made for photos and the network has only seen renders: on a photo MediaPipe is the
more exact of the two, on a render the network is. Each of them has read the mirror image as well,
and how far its two readings lie apart tells how far off they may be. The landmarks are put between
the two accordingly, and the surface follows them in the image plane, each vertex keeping its place
among its neighbours as well as it can; its depth stays the network's.
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
from .network import Prediction
from .surface import Surface
from .wrap import umbrella

FIRST = 17
"""Of the Multi-PIE landmarks that mark a place on the skin; before it comes the jaw's outline."""

JAW = np.arange(4, 13)
"""From one corner of the jaw to the other; above them the outline is the cheeks' and moves with the
pose."""

SAME_OUTLINE = np.array([172, 150, 149, 148, 152, 377, 378, 379, 397])
"""MediaPipe's point for each of `JAW`."""

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
PULL = 3e-2
"""What a landmark that stays off by a voxel costs; a vertex that leaves its place relative to its
neighbours' mean by a voxel costs one."""
REST = 2e-5
"""What a vertex that moves by a voxel costs: without a reason, none does."""
FADE, LEAST_SHARE = 1e-4, 1e-3
"""What is added to `REST` halfway behind the face, and the least share it is divided by."""
LEAST_ERROR = 1e-6
"""Of the network, voxels."""
LIMIT = 8.0
"""Voxels that a landmark may pull at most; what is farther off is a mistake of one of the two."""


PARITY = 1.8
"""How much farther apart MediaPipe's two readings may lie than the network's until the network is
believed instead. What `models/training/doubts.py` measures says 1.2 on renders; photos are strange
to the network, and familiar to MediaPipe."""
ASTRAY = 0.0125
"""Share of the face's width by which MediaPipe's readings differ when they are no guide."""
TURNED = 0.03
"""Share of the face's width that is added to that difference on a face in profile, which MediaPipe
reads wrongly in the mirror image as well."""
DECISION = 8
"""Power that decides for one or the other: between two such as these the mean is seldom right."""


def fit_to_landmarks(
    surface: Surface, prediction: Prediction, face: Face, crop: Crop
) -> tuple[Surface, NDArray[np.float32]]:
    """Move a surface in the image plane until its landmarks meet the photo's.

    Parameters
    ----------
    surface : Surface
    prediction : Prediction
        What the network said; the surface is its volume's.
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
    landmarks = prediction.landmarks
    gap, trust, _ = compare(landmarks, face, crop)
    jaw_gap, jaw_trust = _compare_jaw(landmarks, face, crop)
    gap, trust = np.concatenate([jaw_gap, gap]), np.concatenate([jaw_trust, trust])
    gap *= mediapipe_share(prediction, face, crop)
    gap *= np.minimum(1.0, LIMIT / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-6))
    places = np.concatenate([landmarks[JAW], landmarks[FIRST:]]).astype(np.float64)
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


def mediapipe_share(prediction: Prediction, face: Face, crop: Crop) -> float:
    """How far the truth is thought to lie from the network's landmarks towards MediaPipe's.

    Parameters
    ----------
    prediction : Prediction
    face : Face
        MediaPipe's landmarks, photo frame.
    crop : Crop
        The crop of this face.

    Returns
    -------
    float
        0, where the network is right, to 1, where MediaPipe is.
    """
    width = compare(prediction.landmarks, face, crop)[2]
    network_apart, mediapipe_apart, turned = doubts(prediction, face, crop)
    off = np.hypot(mediapipe_apart, TURNED * width * turned)
    allowed = max(min(PARITY * network_apart, ASTRAY * width), LEAST_ERROR)
    return float(1.0 / (1.0 + (off / allowed) ** DECISION))


def doubts(prediction: Prediction, face: Face, crop: Crop) -> tuple[float, float, float]:
    """Say what network and MediaPipe may be known to be wrong by.

    Parameters
    ----------
    prediction : Prediction
    face : Face
        MediaPipe's landmarks, photo frame.
    crop : Crop
        The crop of this face.

    Returns
    -------
    network, mediapipe : float
        How far apart, as a root mean square, each one's two readings of the landmarks lie; voxels.
    turned : float
        Squared sine of the angle between the face and the camera.
    """
    _, rotation = _placed(crop.to_volume(face.points))
    trust = _trust(rotation, np.arange(FIRST, len(prediction.landmarks)))
    mediapipe = crop.scale * _spread(face.doubt[SAME_PLACE], trust)
    return _spread(prediction.doubt[FIRST:], trust), mediapipe, float(1.0 - rotation[2, 1] ** 2)


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
    gap, trust, width = compare(landmarks, face, crop)
    return float(1.0 - np.average(np.linalg.norm(gap, axis=1), weights=trust) / width)


def compare(
    landmarks: NDArray[np.float32], face: Face, crop: Crop
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Hold the network's landmarks from `FIRST` on against MediaPipe's, in the image plane.

    Parameters
    ----------
    landmarks : (68, 3) float32
        The network's Multi-PIE landmarks, volume frame.
    face : Face
        MediaPipe's landmarks, photo frame.
    crop : Crop
        The crop of this face.

    Returns
    -------
    gap : (51, 2) float64
        From the network's to MediaPipe's, voxels.
    trust : (51,) float64
        How far MediaPipe saw each, 0 to 1.
    width : float
        Of the face, voxels, whatever its pose.
    """
    points = crop.to_volume(face.points)
    scale, rotation = _placed(points)
    which = np.arange(FIRST, len(landmarks))
    gap = _wanted(points, which, SAME_PLACE) - landmarks[which, :2]
    return gap, _trust(rotation, which), _width(scale)


def _compare_jaw(
    landmarks: NDArray[np.float32], face: Face, crop: Crop
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `compare`, gap (9, 2) and trust (9,) of the jaw: an outline is known only across."""
    points = crop.to_volume(face.points)
    wanted = _wanted(points, JAW, SAME_OUTLINE)
    along = np.gradient(wanted, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], 1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), LEAST_ERROR)
    off = np.einsum("ij,ij->i", wanted - landmarks[JAW, :2], across)
    return off[:, None] * across, _trust(_placed(points)[1], JAW)


def _wanted(
    points: NDArray[np.float32], multipie: NDArray[np.intp], mediapipe: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Where MediaPipe's points (478, 3) put Multi-PIE landmarks, (N, 2)."""
    canonical = load_canonical()
    scale, rotation = _placed(points)
    # The two sets mark slightly different places; on the mean face it is known how different.
    apart = canonical.multipie[multipie] - canonical.mediapipe[mediapipe]
    return np.asarray((points[mediapipe] + scale * apart @ rotation.T)[:, :2])


def _placed(points: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """Size and rotation of the mean face where it lies as MediaPipe's points (478, 3) do."""
    scale, rotation, _ = similarity(load_canonical().mediapipe, points)
    return scale, rotation


def _trust(rotation: NDArray[np.float64], which: NDArray[np.intp]) -> NDArray[np.float64]:
    """How far MediaPipe sees each landmark; it guesses what is turned from the camera."""
    outward = load_canonical().multipie[which] * (1.0, 1.0, 0.0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    facing = -(outward @ rotation.T)[:, 2]
    return np.asarray(np.clip(2.0 * facing, 0.02, 1.0) ** 2)


def _width(scale: float) -> float:
    """Width in voxels of the mean face at a scale, whatever its pose."""
    return float(scale * np.ptp(load_canonical().mediapipe[:, 0]))


def _spread(doubt: NDArray[np.float32], trust: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.average(doubt.astype(np.float64) ** 2, weights=trust)))


def _share(places: NDArray[np.float64], landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far (N,), 0 to 1, places lie before the ears and so may move."""
    ears, eyes = landmarks[[0, 16]].mean(0), landmarks[[36, 45]].mean(0)
    forward = (eyes - ears) / np.sum((eyes - ears) ** 2)
    share = np.clip(((places - ears) @ forward - 0.2) / 0.6, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
