# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The neck ends in a plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .crop import CROP_SIZE, VOLUME_DEPTH
from .head import HeadFrame

# The network's own necks end at about z = -0.114 + 0.18 y, head frame, as a bust's do, but neither
# flat nor with a clean edge, and on photos much higher at the nape; here all of them are sound.
HEIGHT, SLOPE = -0.088, 0.35
"""The plane z = HEIGHT + SLOPE y, head frame, metres."""

# As the network's, occupancy falls from one to zero over three voxels.
RAMP = 3.0

# Where side and plane differ by less than so much of 255, the edge is rounded, because marching
# cubes would make a saw of a sharp one. Half of 255 would move the plane too.
ROUNDING = 120.0


def cut_neck(volume: NDArray[np.uint8], frame: HeadFrame) -> NDArray[np.uint8]:
    """Empty what lies below a plane through the neck.

    Parameters
    ----------
    volume : (200, 192, 192) uint8
        255 times the occupancy; volume frame, (z, y, x).
    frame : HeadFrame
        Of a head of mean size, so without the irises.

    Returns
    -------
    (200, 192, 192) uint8
    """
    matrix = frame.volume_to_head
    upwards = np.array([0.0, -SLOPE, 1.0])
    per_voxel = upwards @ matrix[:3, :3]
    offset = float(upwards @ matrix[:3, 3]) - HEIGHT
    scale = frame.metres_per_voxel * float(np.linalg.norm(upwards))
    x, y, z = (
        (np.arange(size) + 0.5) * step / scale
        for size, step in zip((CROP_SIZE, CROP_SIZE, VOLUME_DEPTH), per_voxel, strict=True)
    )
    plane = (z[:, None] + y[None] + offset / scale).astype(np.float32)
    height = plane[:, :, None] + x.astype(np.float32)
    allowed = 127.5 + np.float32(255.0 / RAMP) * height
    cut = np.minimum(volume, np.clip(allowed, 0.0, 255.0).astype(np.uint8))
    edge = np.nonzero(np.abs(allowed - volume) < ROUNDING)
    close = ROUNDING - np.abs(allowed[edge] - volume[edge])
    cut[edge] = np.maximum(cut[edge] - close**2 / (4.0 * ROUNDING), 0.0)
    return cut
