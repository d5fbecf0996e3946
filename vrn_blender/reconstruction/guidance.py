# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Landmarks become guidance channels in the crop.

The original VRN-Guided stacks one Gaussian a landmark on the photo (Jackson et al., ICCV 2017,
section 3.3). MediaPipe gives 478 points with depth, so here their mesh is drawn instead: each pixel
says which place of the mean face it shows and how deep it lies.
"""

from __future__ import annotations

import cv2
import numpy as np

from .canonical import Canonical, load_canonical
from .crop import CROP_SIZE, VOLUME_DEPTH, Crop
from .landmarks import Face

CHANNELS = 5

# Metres of the mean face, and voxels of depth, that a channel counts as one.
FACE_UNIT = 0.1
DEPTH_UNIT = 64.0


def draw_guidance(face: Face, crop: Crop) -> np.ndarray:
    """Guidance channels of a face.

    Parameters
    ----------
    face : Face
    crop : Crop
        The crop of this face.

    Returns
    -------
    (5, 192, 192) float32
        One where the face is; the place in the mean face (x, y, z) in decimetres; depth from the
        volume's middle in units of 64 voxels. Zero outside of the face.
    """
    return draw_points(crop.to_volume(face.points), load_canonical())


def draw_points(points: np.ndarray, canonical: Canonical) -> np.ndarray:
    """As ``draw_guidance``, from landmarks (478, 3) in the volume frame."""
    triangles = canonical.triangles
    corners = points[triangles]
    # Nearest last, so that it stays on top.
    order = np.argsort(-corners[:, :, 2].mean(1))
    corners = corners[order]
    index = np.full((CROP_SIZE, CROP_SIZE), -1, dtype=np.int32)
    # Four bits of sub-pixel position; OpenCV's pixel centres are whole numbers.
    fixed = np.round(np.clip(corners[:, :, :2] - 0.5, -500, 700) * 16).astype(np.int32)
    for number, polygon in enumerate(fixed):
        cv2.fillConvexPoly(index, polygon, number, lineType=cv2.LINE_8, shift=4)
    ys, xs = np.nonzero(index >= 0)
    hit = index[ys, xs]
    a, b, c = np.moveaxis(corners[hit], 1, 0)
    px, py = xs + 0.5, ys + 0.5
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(np.abs(area) < 1e-3, 1e-3, area)
    wa = ((b[:, 0] - px) * (c[:, 1] - py) - (b[:, 1] - py) * (c[:, 0] - px)) / area
    wb = ((c[:, 0] - px) * (a[:, 1] - py) - (c[:, 1] - py) * (a[:, 0] - px)) / area
    weights = np.clip(np.stack([wa, wb, 1.0 - wa - wb], axis=1), 0.0, 1.0)
    weights /= weights.sum(1, keepdims=True)
    values = np.concatenate(
        [
            canonical.mediapipe / FACE_UNIT,
            (points[:, 2:] - VOLUME_DEPTH / 2) / DEPTH_UNIT,
        ],
        axis=1,
    )
    drawn = np.einsum("nk,nkc->cn", weights, values[triangles[order]][hit])
    guidance = np.zeros((CHANNELS, CROP_SIZE, CROP_SIZE), dtype=np.float32)
    guidance[0, ys, xs] = 1.0
    guidance[1:, ys, xs] = drawn
    return guidance


def no_guidance() -> np.ndarray:
    """Guidance channels (5, 192, 192) float32 that say nothing: the network runs unguided."""
    return np.zeros((CHANNELS, CROP_SIZE, CROP_SIZE), dtype=np.float32)
