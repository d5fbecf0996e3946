# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The volume frame becomes the head frame: upright, facing -y, in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .canonical import load_canonical, similarity
from .crop import Crop
from .errors import ModelError
from .landmarks import Face
from .result import PhotoCamera

# The Multi-PIE landmarks that no expression moves by more than a few millimetres: the ends of the
# jaw contour before the ears, the bridge of the nose and the eyes. The contour's ends lie seven
# centimetres behind the nose, and without them the pitch would be three times as uncertain.
RIGID = np.array([0, 1, 15, 16, *range(27, 31), *range(36, 48)])

# Opposite points of MediaPipe's iris rings, two diameters of each eye.
IRIS_DIAMETERS = np.array([(469, 471), (470, 472), (474, 476), (475, 477)])
IRIS_METRES = 0.0117

# Heads differ from the mean head by a standard deviation of five per cent, and irises from the mean
# iris by four. An iris that asks for a larger difference than this was more likely mismeasured, on
# a half-closed eye, in a profile, or over a few blurred pixels, so it is believed no further.
LARGEST_DIFFERENCE = 1.12


CAMERA_AWAY = 200.0
"""Voxels that the photo's camera stands in front of the volume: a metre or two."""


@dataclass(frozen=True)
class HeadFrame:
    """Where the head frame lies in the volume frame.

    Attributes
    ----------
    volume_to_head : (4, 4) float64
        Similarity that takes homogeneous points of the volume frame (voxels) to the head frame
        (metres). It is proper: the volume frame (x right, y down, z away from the camera) is as
        right-handed as the head frame (x to the subject's left, y backwards, z up), so triangles
        keep their winding.
    """

    volume_to_head: npt.NDArray[np.float64]

    @property
    def metres_per_voxel(self) -> float:
        """The head's scale."""
        return float(np.cbrt(np.linalg.det(self.volume_to_head[:3, :3])))

    def apply(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Take points to the head frame.

        Parameters
        ----------
        points : (N, 3) float32
            x, y, z in the volume frame, voxels.

        Returns
        -------
        (N, 3) float32
            Head frame, metres.
        """
        matrix = self.volume_to_head
        return (points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)


def head_frame(landmarks: npt.NDArray[np.float32], face: Face | None, crop: Crop) -> HeadFrame:
    """Pose and size of a head.

    The pose is that of the similarity that takes the rigid landmarks to the mean head's. The size
    is such that the irises are 11.7 mm across, as far as they can be trusted. The origin is the
    mean head's, between the ears, so that heads of different photos lie upon one another.

    Parameters
    ----------
    landmarks : (68, 3) float32
        Multi-PIE landmarks, volume frame, voxels.
    face : Face or None
        MediaPipe's landmarks, which tell the irises; without them the head gets the mean size.
    crop : Crop
        The crop that the volume belongs to.

    Returns
    -------
    HeadFrame

    Raises
    ------
    ModelError
        If the landmarks are no face: not finite, or all in one place.
    """
    rigid = np.asarray(landmarks[RIGID], np.float64)
    if not np.isfinite(rigid).all() or np.ptp(rigid, axis=0).max() < 1:
        raise ModelError(
            "The network gave no usable landmarks for this face: choose another photo, or "
            "reinstall the network if this happens with every photo."
        )
    scale, rotation, translation = similarity(rigid, load_canonical().multipie[RIGID])
    growth = 1.0 if face is None else _growth_by_iris(scale, face, crop)
    matrix = np.eye(4)
    matrix[:3, :3] = growth * scale * rotation
    matrix[:3, 3] = growth * translation
    return HeadFrame(matrix)


def _growth_by_iris(metres_per_voxel: float, face: Face, crop: Crop) -> float:
    """How much larger a head is by its irises than at the given scale.

    All four diameters count alike, as in MediaPipe's own measure of distance by the iris: its rings
    are flattened, and width or height alone would be biased by a tenth.
    """
    ends = crop.to_volume(face.points)[IRIS_DIAMETERS]
    diameter = metres_per_voxel * np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).mean()
    smallest, largest = IRIS_METRES / LARGEST_DIFFERENCE, IRIS_METRES * LARGEST_DIFFERENCE
    return float(IRIS_METRES / np.clip(diameter, smallest, largest))


def photo_camera(frame: HeadFrame, crop: Crop, photo_size: tuple[int, int]) -> PhotoCamera:
    """Camera that sees the head as the photo does.

    Parameters
    ----------
    frame : HeadFrame
    crop : Crop
    photo_size : (width, height)
        Pixels.

    Returns
    -------
    PhotoCamera
        It stands in front of the volume.
    """
    width, height = photo_size
    # The axes of the camera in the volume frame, a photo pixel long: right, up, towards the eye.
    right, down = crop.photo_to_crop[:, 0], crop.photo_to_crop[:, 1]
    axes = np.zeros((3, 3))
    axes[:2, 0], axes[:2, 1], axes[2, 2] = right, -down, -crop.scale
    middle = crop.photo_to_crop @ (width / 2, height / 2, 1.0)
    turned = frame.volume_to_head[:3, :3] @ axes
    metres_per_pixel = frame.metres_per_voxel * crop.scale
    matrix = np.eye(4)
    matrix[:3, :3] = turned / metres_per_pixel
    matrix[:3, 3] = (frame.volume_to_head @ (*middle, -CAMERA_AWAY, 1.0))[:3]
    return PhotoCamera(matrix, width, height, metres_per_pixel)
