# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the tests of the stations share."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

_SHARED = Path(__file__).parents[3] / "shared"


def _shared_file(relative: str) -> Path:
    path = _SHARED / relative
    if not path.is_file():
        pytest.skip(f"needs ../shared/{relative}, which is not there")
    return path


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Give the sample portrait, (512, 512, 3); its one face is about 92 pixels wide."""
    return np.asarray(data.astronaut(), np.uint8)


@pytest.fixture(scope="session")
def bundle() -> Path:
    """Give MediaPipe's Face Landmarker bundle."""
    return _shared_file("models/face_landmarker.task")


@pytest.fixture(scope="session")
def portrait_1() -> Path:
    """Give an official portrait, 910 x 1137."""
    return _shared_file("photos/portrait_1.jpg")


@pytest.fixture(scope="session")
def portrait_2() -> Path:
    """Give an official portrait, 970 x 2204."""
    return _shared_file("photos/portrait_2.jpg")


@pytest.fixture(scope="session")
def two_faces() -> Path:
    """Give a photo of two men, 2000 x 1428, whose faces are a tenth of its width."""
    return _shared_file("photos/two_faces.jpg")
