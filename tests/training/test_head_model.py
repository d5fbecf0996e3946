# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The statistical head is closed, true to size, and moves as its modes say."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.training.head_model import DEFAULT_MODEL, IDENTITY_MODES, HeadModel, boundary_loops
from tests.training.solids import box

CHIN, NOSE_TIP, RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 8, 30, 36, 45


def directed(triangles: np.ndarray) -> set[tuple[int, int]]:
    edges = np.concatenate([triangles, np.roll(triangles, -1, axis=1)]).reshape(2, -1).T
    return set(map(tuple, edges.tolist()))


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = np.moveaxis(vertices[triangles].astype(np.float64), 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_a_closed_mesh_has_no_open_border() -> None:
    assert boundary_loops(box((0, 0, 0), (1, 2, 3))[1]) == []


def test_each_hole_gives_its_loop() -> None:
    """A tube of square cross-section is open at both ends."""
    vertices, triangles = box((0, 0, 0), (1, 2, 3))
    height = vertices[triangles, 2]
    tube = triangles[~(np.ptp(height, axis=1) == 0)]
    loops = boundary_loops(tube)
    assert sorted(sorted(vertices[loop, 2].tolist()) for loop in loops) == [[0] * 4, [3] * 4]


def test_a_loop_runs_as_the_triangles_that_would_close_it() -> None:
    """So a fan over it has each edge of the border the other way round, and the mesh is closed."""
    _, triangles = box((0, 0, 0), (1, 2, 3))
    (loop,) = boundary_loops(triangles[1:])
    edges = set(zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True))
    assert edges == directed(triangles[:1])


def test_the_default_model_lies_beside_the_checkout() -> None:
    checkout = Path(__file__).parents[2]
    assert checkout.parent / "shared" / "data" / "ict_facekit_light.npz" == DEFAULT_MODEL


def test_the_model_has_its_modes_parts_and_landmarks(model: HeadModel) -> None:
    count = len(model.neutral)
    assert model.neutral.dtype == model.modes.dtype == np.float32
    assert model.modes.shape == (IDENTITY_MODES + len(model.expression_names), count, 3)
    assert model.identities == IDENTITY_MODES
    assert model.landmarks.shape == (68,)
    assert model.closed.max() < count
    assert model.parts["face"][0] == 0
    assert {"jawOpen", "eyeBlink_L", "mouthSmile_R"} < set(model.expression_names)


def test_every_edge_of_the_closed_head_is_used_in_both_directions(model: HeadModel) -> None:
    edges = directed(model.closed)
    assert len(edges) == 3 * len(model.closed)
    assert all((b, a) in edges for a, b in edges)


def test_the_neutral_head_has_a_head_s_size_and_stands_upright(model: HeadModel) -> None:
    """Centimetres; x to the subject's left, y up, z out of the face."""
    skin = model.neutral[np.unique(model.closed)]
    assert 24 < np.ptp(skin[:, 1]) < 36
    above_the_neck = skin[skin[:, 1] > -8]
    width, _, depth = np.ptp(above_the_neck, axis=0)
    assert 14 < width < 22
    assert 18 < depth < 28
    assert 3000 < volume(model.neutral, model.closed) < 8000
    landmarks = model.neutral[model.landmarks]
    assert landmarks[LEFT_EYE_OUTER, 0] > 3
    assert landmarks[RIGHT_EYE_OUTER, 0] < -3
    assert landmarks[NOSE_TIP, 2] == landmarks[:, 2].max()
    assert landmarks[CHIN, 1] == landmarks[:, 1].min()


def test_the_shape_is_the_neutral_head_and_the_weighted_modes(model: HeadModel) -> None:
    weights = np.zeros(len(model.modes), np.float32)
    assert np.array_equal(model.shape(weights), model.neutral)
    weights[3], weights[-2] = -1.5, 0.7
    expected = model.neutral - 1.5 * model.modes[3] + np.float32(0.7) * model.modes[-2]
    assert np.abs(model.shape(weights) - expected).max() < 1e-4


def test_opening_the_jaw_lowers_the_chin_and_keeps_the_caps_in_their_loops(
    model: HeadModel,
) -> None:
    weights = np.zeros(len(model.modes), np.float32)
    weights[model.identities + model.expression_names.index("jawOpen")] = 1
    opened = model.shape(weights)
    chin = model.landmarks[CHIN]
    assert opened[chin, 1] < model.neutral[chin, 1] - 1
    for cap in (len(opened) - 1, len(opened) - 2):
        around = np.unique(model.closed[(model.closed == cap).any(axis=1)])
        around = around[around != cap]
        assert np.abs(opened[around].mean(axis=0) - opened[cap]).max() < 1e-3
