# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the walk refuses before it begins."""

from __future__ import annotations

import numpy as np
import pytest

from vrn_blender.reconstruction.errors import PhotoError, ReconstructionError
from vrn_blender.reconstruction.photo import Photo, photo_from_array
from vrn_blender.reconstruction.reconstruct import require_box
from vrn_blender.reconstruction.result import Options


@pytest.fixture
def photo() -> Photo:
    return photo_from_array(np.zeros((300, 400, 3), np.uint8), "grey")


@pytest.mark.parametrize(
    "box", [(-500, -500, -400, -400), (0, 0, 1e9, 1e9), (900, 10, 960, 80), (10, 900, 80, 960)]
)
def test_a_box_outside_the_photo_is_one_sentence(
    photo: Photo, box: tuple[float, float, float, float]
) -> None:
    with pytest.raises(PhotoError, match="does not lie in grey, which is 400 x 300 pixels: give"):
        require_box(photo, box)


def test_a_box_that_reaches_beyond_the_border_is_taken(photo: Photo) -> None:
    require_box(photo, (-80, -60, 300, 320))


@pytest.mark.parametrize("detail", [-0.1, 1.5, float("nan")])
def test_a_detail_that_is_no_strength_is_one_sentence(detail: float) -> None:
    with pytest.raises(
        ReconstructionError, match="Detail must lie between 0, which is none, and 1"
    ):
        Options(detail=detail)
