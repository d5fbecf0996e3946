# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""One face becomes the 192 x 192 crop that the network sees, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canonical import load_canonical, similarity
from .landmarks import Face
from .photo import Photo

CROP_SIZE = 192
VOLUME_DEPTH = 200

# A head from crown to collarbone is 30 cm; at this scale the crop spans 34 cm of the mean head,
# which leaves room for a tilted one.
PIXELS_PER_METRE = 560.0

# The crop's middle, in the head frame, metres: halfway from crown to neck and from nose to nape.
MIDDLE = np.array([0.0, -0.02, -0.0025])


@dataclass(frozen=True)
class Crop:
    """What the network sees of a photo.

    Attributes
    ----------
    rgb : (192, 192, 3) uint8
    photo_to_crop : (2, 3) float64
        Similarity: crop pixels are ``photo_to_crop @ (x, y, 1)`` of photo pixels.
    middle_depth : float
        Photo-frame depth, in photo pixels, of the volume's middle slice; 0 where no landmarks
        tell it.
    """

    rgb: np.ndarray
    photo_to_crop: np.ndarray
    middle_depth: float = 0.0

    @property
    def scale(self) -> float:
        """Crop pixels a photo pixel."""
        return float(np.sqrt(np.linalg.det(self.photo_to_crop[:, :2])))

    @property
    def crop_to_photo(self) -> np.ndarray:
        """The inverse similarity, (2, 3) float64."""
        return cv2.invertAffineTransform(self.photo_to_crop)

    def to_volume(self, points: np.ndarray) -> np.ndarray:
        """Photo-frame points in the volume frame.

        Parameters
        ----------
        points : (N, 3) float
            Photo frame, pixels.

        Returns
        -------
        (N, 3) float32
            Volume frame, voxels (x, y, z).
        """
        flat = points[:, :2] @ self.photo_to_crop[:, :2].T + self.photo_to_crop[:, 2]
        depth = (points[:, 2:] - self.middle_depth) * self.scale + VOLUME_DEPTH / 2
        return np.concatenate([flat, depth], axis=1).astype(np.float32)

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Volume-frame points in the photo frame: the inverse of ``to_volume``.

        Parameters
        ----------
        points : (N, 3) float
            Volume frame, voxels.

        Returns
        -------
        (N, 3) float32
            Photo frame, pixels (x, y, depth).
        """
        back = self.crop_to_photo
        flat = points[:, :2] @ back[:, :2].T + back[:, 2]
        depth = (points[:, 2:] - VOLUME_DEPTH / 2) / self.scale + self.middle_depth
        return np.concatenate([flat, depth], axis=1).astype(np.float32)


def face_placement(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Where the crop of a face lies.

    The similarity that takes the mean face to the landmarks gives the head's size, its roll and
    its middle; unlike a box round the landmarks, these do not change with the pose.

    Parameters
    ----------
    points : (478, 3) float
        MediaPipe's landmarks, photo frame.

    Returns
    -------
    photo_to_crop : (2, 3) float64
    middle_depth : float
        As in ``Crop``.
    """
    scale, rotation, translation = similarity(load_canonical().mediapipe, points)
    middle = scale * rotation @ MIDDLE + translation
    up = rotation[:2, 2]
    # Seen from straight above or below, a head has no roll to speak of.
    roll = np.arctan2(up[0], -up[1]) if np.hypot(*up) > 0.2 else 0.0
    return _placement(middle[:2], PIXELS_PER_METRE / scale, roll), float(middle[2])


def _placement(middle: np.ndarray, scale: float, roll: float) -> np.ndarray:
    c, s = scale * np.cos(roll), scale * np.sin(roll)
    turn = np.array([[c, s], [-s, c]])
    return np.column_stack([turn, CROP_SIZE / 2 - turn @ middle])


def box_placement(box: tuple[float, float, float, float]) -> np.ndarray:
    """Where the crop of a face lies that is only known by a box.

    Parameters
    ----------
    box : (x0, y0, x1, y1)
        Photo pixels, from hairline to chin and from cheek to cheek.

    Returns
    -------
    (2, 3) float64
        ``photo_to_crop``, as if the mean face filled the box from the front.
    """
    x0, y0, x1, y1 = box
    mean = load_canonical().mediapipe[:, [0, 2]] * (1.0, -1.0)
    low, high = mean.min(0), mean.max(0)
    scale = (high[1] - low[1]) / max(x1 - x0, y1 - y0)
    offset = MIDDLE[[0, 2]] * (1.0, -1.0) - (low + high) / 2
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + offset / scale
    return _placement(middle, PIXELS_PER_METRE * scale, 0.0)


def cut_out(
    rgb: np.ndarray, photo_to_crop: np.ndarray, size: int, interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Resample part of a photo; large photos are averaged first, so that nothing aliases.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The photo.
    photo_to_crop : (2, 3) float64
        Similarity from photo pixels to pixels of the part.
    size : int
        Pixels a side of the part.
    interpolation : int
        One of OpenCV's, used where the part is the finer of the two.

    Returns
    -------
    (size, size, 3) uint8
        Beyond the photo its border is repeated.
    """
    shrink = 1.0 / np.sqrt(np.linalg.det(photo_to_crop[:, :2]))
    matrix = photo_to_crop.astype(np.float64)
    if shrink > 1.5:
        # Only the part that the crop shows is averaged: photos may have a hundred megapixels.
        back = cv2.invertAffineTransform(matrix)
        corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * size @ back[:, :2].T + back[:, 2]
        whole = np.array([rgb.shape[1], rgb.shape[0]])
        low = np.clip(np.floor(corners.min(0)) - 2, 0, whole - 1).astype(int)
        high = np.clip(np.ceil(corners.max(0)) + 2, low + 1, whole).astype(int)
        rgb = rgb[low[1] : high[1], low[0] : high[0]]
        reduced = np.maximum(np.round((high - low) / shrink), 1).astype(int)
        rgb = cv2.resize(rgb, tuple(int(n) for n in reduced), interpolation=cv2.INTER_AREA)
        per_pixel = (high - low) / reduced
        matrix = np.column_stack([matrix[:, :2] * per_pixel, matrix[:, 2] + matrix[:, :2] @ low])
    # OpenCV counts pixel centres in whole numbers, the photo and the crop frame in halves.
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(
        np.ascontiguousarray(rgb),
        matrix,
        (size, size),
        flags=interpolation,
        borderMode=cv2.BORDER_REPLICATE,
    )


def crop_face(photo: Photo, face: Face) -> Crop:
    """Crop of a face whose landmarks are known.

    Parameters
    ----------
    photo : Photo
    face : Face

    Returns
    -------
    Crop
        Upright, scaled by the landmarks' similarity to the mean face, the whole head in it.
    """
    matrix, depth = face_placement(face.points)
    return Crop(cut_out(photo.rgb, matrix, CROP_SIZE), matrix, depth)


def crop_box(photo: Photo, box: tuple[float, float, float, float]) -> Crop:
    """Crop of a face that only a box tells of.

    Parameters
    ----------
    photo : Photo
    box : (x0, y0, x1, y1)
        Photo pixels, from hairline to chin and from cheek to cheek.

    Returns
    -------
    Crop
    """
    matrix = box_placement(box)
    return Crop(cut_out(photo.rgb, matrix, CROP_SIZE), matrix)
