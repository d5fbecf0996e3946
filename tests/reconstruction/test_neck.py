# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The neck ends in a plane, whatever the pose."""

from __future__ import annotations

import numpy as np
import pytest

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop
from vrn_blender.reconstruction.head import head_frame
from vrn_blender.reconstruction.neck import HEIGHT, SLOPE, cut_neck
from vrn_blender.reconstruction.surface import extract_surface

from .mean_head import in_volume


@pytest.mark.parametrize("yaw", [0.0, 50.0])
def test_a_solid_ends_in_the_plane_of_the_neck(yaw: float) -> None:
    marks = in_volume(load_canonical().multipie, yaw)
    frame = head_frame(marks, None, Crop(np.zeros((192, 192, 3), np.uint8), np.eye(2, 3)))
    volume = np.zeros((200, 192, 192), np.uint8)
    volume[60:140, 40:, 60:130] = 255
    cut = cut_neck(volume, frame)
    points = frame.apply(extract_surface(cut, smoothing=0).vertices)
    height = points[:, 2] - SLOPE * points[:, 1] - HEIGHT
    assert -0.0005 < height.min() < 0.0005
    assert (np.abs(height) < 0.0005).sum() > 1000
    assert np.array_equal(cut[:, :100], volume[:, :100])
