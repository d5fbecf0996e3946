# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Raw poses, as the regressor gives them, of cameras that a test asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.networks import NOMINAL_NEARNESS, NOMINAL_SCALE
from models.training.synthesise import MODEL_MIDDLE
from vrn_blender.reconstruction.crop import CROP_SIZE


def raw_pose(
    rotation: NDArray[np.floating], scale: float, nearness: float, origin: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Undo ``networks.camera``.

    Parameters
    ----------
    rotation : (3, 3) float
    scale : float
        Crop pixels a centimetre.
    nearness : float
        One over the camera's distance, 1 / cm.
    origin : (2,) float
        Crop pixels of the head model's origin.

    Returns
    -------
    (10,) float32
    """
    columns = (rotation - np.eye(3))[:, :2].T.ravel() / 10
    depth = np.arctanh(np.log(nearness / NOMINAL_NEARNESS) / 3)
    lever = scale * (rotation @ MODEL_MIDDLE)[:2] * (1, -1)
    shift = (np.asarray(origin) + lever - CROP_SIZE / 2) / 100
    return np.array([*columns, np.log(scale / NOMINAL_SCALE), depth, *shift], np.float32)
