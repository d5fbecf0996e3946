# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A face that MediaPipe does not find: the network's own landmarks stand in for MediaPipe's.

VRN-Multitask gives landmarks beside the volume (Jackson et al., ICCV 2017, section 3.3). Here they
also cut a better crop than a box can, and guide a second pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from .canonical import load_canonical, similarity
from .crop import Crop, crop_box, crop_face
from .guidance import draw_guidance, no_guidance
from .landmarks import Face
from .network import Network, Prediction
from .photo import Photo


def predict_face(network: Network, photo: Photo, face: Face) -> tuple[Crop, Prediction]:
    """Run the network on a face that MediaPipe found, guided by its landmarks if they are clear.

    Parameters
    ----------
    network : Network
    photo : Photo
    face : Face
        Where its landmarks are not clear, its box says where to look, and no more.

    Returns
    -------
    crop : Crop
    prediction : Prediction
        In the frame of ``crop``.
    """
    if not face.is_clear:
        return predict_from_box(network, photo, face.box)
    crop = crop_face(photo, face)
    return crop, network.predict(crop, draw_guidance(face, crop))


def predict_from_box(
    network: Network, photo: Photo, box: tuple[float, float, float, float]
) -> tuple[Crop, Prediction]:
    """Run the network twice: on the box, then guided by the landmarks that it found there.

    Parameters
    ----------
    network : Network
    photo : Photo
    box : (x0, y0, x1, y1)
        Photo frame, pixels, from hairline to chin and from cheek to cheek.

    Returns
    -------
    crop : Crop
        Of the second pass.
    prediction : Prediction
        In the frame of ``crop``.
    """
    rough = crop_box(photo, box)
    first = network.predict(rough, no_guidance())
    return predict_from_landmarks(network, photo, rough.to_photo(first.landmarks))


def predict_from_landmarks(
    network: Network, photo: Photo, landmarks: NDArray[np.float32]
) -> tuple[Crop, Prediction]:
    """Run the network on the crop that 68 landmarks ask for, guided by them.

    Parameters
    ----------
    network : Network
    photo : Photo
    landmarks : (68, 3) float32
        Multi-PIE landmarks, photo frame, pixels.

    Returns
    -------
    crop : Crop
    prediction : Prediction
    """
    points = points_from_landmarks(landmarks)
    face = Face(points, np.zeros(len(points), np.float32), 0)
    crop = crop_face(photo, face)
    return crop, network.predict(crop, draw_guidance(face, crop))


def points_from_landmarks(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """MediaPipe's landmarks as Multi-PIE's tell of them.

    The mean face is placed by a similarity and bent by a spline, biharmonic in space, that takes
    it through the 68.

    Parameters
    ----------
    landmarks : (68, 3) float32
        Any frame that is a similarity away from the photo's.

    Returns
    -------
    (478, 3) float32
        The same frame.
    """
    canonical = load_canonical()
    scale, rotation, translation = similarity(canonical.multipie, landmarks)
    ours = scale * canonical.multipie @ rotation.T + translation
    spline = RBFInterpolator(canonical.multipie, landmarks - ours, kernel="linear", degree=0)
    placed = scale * canonical.mediapipe @ rotation.T + translation
    return (placed + spline(canonical.mediapipe)).astype(np.float32)
