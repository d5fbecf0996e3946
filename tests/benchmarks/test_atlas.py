# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The benchmark of the atlas measures what it says."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")

from tests.benchmarks.atlas import OUTER_CORNERS, places_of, wandering
from vrn_blender.reconstruction.mesh import REGIONS, Mesh


def test_wandering_is_a_share_of_the_distance_of_the_eyes() -> None:
    places = np.zeros((2, 51, 2))
    places[:, OUTER_CORNERS[1], 0] = 0.5
    places[0, 20], places[1, 20] = (0.2, 0.1), (0.2, 0.2)
    off = wandering(places)
    assert off[:, 20].tolist() == pytest.approx([0.1, 0.1])
    assert np.delete(off, 20, axis=1).max() == 0


def test_a_landmark_lies_where_the_nearest_corner_does() -> None:
    vertices = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]], np.float32)
    uv = np.array([[[0.1, 0.2], [0.8, 0.2], [0.1, 0.9]]], np.float32)
    regions = np.zeros((3, len(REGIONS)), np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2]], np.int32), uv, regions)
    found = places_of(mesh, np.array([[8.0, 1.0, 0.5], [1.0, 8.0, -0.5]]))
    assert found.tolist() == [pytest.approx([0.8, 0.2]), pytest.approx([0.1, 0.9])]
