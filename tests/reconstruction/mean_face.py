# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean face in a photo, in any pose and size, without a photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.landmarks import Face

# Head frame (left, back, up) to photo frame (right, down, away), seen from the front.
FROM_THE_FRONT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def to_photo(
    points: NDArray[np.floating],
    *,
    angles: tuple[float, float, float] = (0, 0, 0),
    pixels_per_metre: float = 1000.0,
    middle: tuple[float, float] = (256.0, 256.0),
) -> NDArray[np.float32]:
    """Head-frame points (N, 3), metres, in the photo frame.

    Parameters
    ----------
    angles : yaw, pitch, roll
        Degrees about the photo's y, x and z; roll is applied last.
    middle : (x, y)
        Where in the photo the head frame's origin is; its depth is zero.
    """
    turn = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    turned = points.astype(np.float64) @ (turn @ FROM_THE_FRONT).T * pixels_per_metre
    return (turned + np.array([*middle, 0])).astype(np.float32)


def mean_face(
    *,
    angles: tuple[float, float, float] = (0, 0, 0),
    pixels_per_metre: float = 1000.0,
    middle: tuple[float, float] = (256.0, 256.0),
) -> Face:
    """Give the mean face as MediaPipe would see it; the parameters are those of ``to_photo``."""
    points = load_canonical().mediapipe
    placed = to_photo(points, angles=angles, pixels_per_metre=pixels_per_metre, middle=middle)
    return Face(placed, np.zeros(len(points), np.float32), 0)
