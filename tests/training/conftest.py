# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the tests of the training share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from models.training.head_model import HeadModel
    from models.training.studio import Studio


@pytest.fixture(scope="session")
def model() -> HeadModel:
    """Give the statistical head."""
    from models.training.head_model import DEFAULT_MODEL, load_head_model

    if not DEFAULT_MODEL.is_file():
        pytest.skip(f"needs ../shared/data/{DEFAULT_MODEL.name}, which is not there")
    return load_head_model()


@pytest.fixture(scope="session")
def studio(model: HeadModel) -> Studio:
    """Give a studio that reports which of the landmarks are shown."""
    from models.training.studio import Studio

    return Studio(model, model.landmarks)
