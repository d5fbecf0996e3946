# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean face stands upright in metres, and similarities are found as they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vrn_blender.reconstruction.canonical import load_canonical, similarity
from vrn_blender.reconstruction.landmarks import POINTS

# Multi-PIE's and MediaPipe's numbers of the same places.
SAME_PLACES = {30: 4, 36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291, 57: 17, 8: 152}
RIGHT_EAR, LEFT_EAR, CHIN, NOSE_TIP = 0, 16, 8, 30
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 36, 45
MIRRORED = np.r_[
    16:-1:-1, 26:16:-1, 27:31, 35:30:-1, 45:41:-1, 47:45:-1, 39:35:-1, 41:39:-1, 54:47:-1,
    59:54:-1, 64:59:-1, 67:64:-1,
]  # fmt: skip


def test_the_mean_face_has_every_landmark_in_metres() -> None:
    canonical = load_canonical()
    assert canonical.mediapipe.shape == (POINTS, 3)
    assert canonical.multipie.shape == (68, 3)
    assert canonical.mediapipe.dtype == canonical.multipie.dtype == np.float32
    eyes = canonical.multipie[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER]]
    assert np.linalg.norm(eyes[0] - eyes[1]) == pytest.approx(0.09, abs=0.006)


def test_the_mean_face_looks_along_minus_y_with_its_left_on_plus_x() -> None:
    multipie = load_canonical().multipie
    eyes = multipie[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER]]
    assert eyes[0, 0] < -0.03
    assert eyes[1, 0] > 0.03
    assert multipie[NOSE_TIP, 1] == multipie[:, 1].min()
    assert multipie[CHIN, 2] < multipie[48:].min(axis=0)[2] < eyes[:, 2].min()


def test_the_origin_lies_inside_the_head_between_the_ears() -> None:
    """The jaw contour begins and ends before the ears, at the height of the eyes."""
    right, left = load_canonical().multipie[[RIGHT_EAR, LEFT_EAR]]
    assert left[0] - right[0] == pytest.approx(0.15, abs=0.03)
    x, y, z = (right + left) / 2
    assert abs(x) < 0.002
    assert -0.06 < y < 0
    assert 0 < z < 0.06


def test_the_mean_face_is_symmetric_to_a_few_millimetres() -> None:
    multipie = load_canonical().multipie
    gap = np.linalg.norm(multipie[MIRRORED] * (-1, 1, 1) - multipie, axis=1)
    assert gap.max() < 0.005


def test_both_sets_of_landmarks_lie_on_one_head() -> None:
    canonical = load_canonical()
    ours, theirs = np.array(list(SAME_PLACES.items())).T
    gap = np.linalg.norm(canonical.multipie[ours] - canonical.mediapipe[theirs], axis=1)
    assert np.delete(gap, -1).max() < 0.005
    # The chin is a place along a smooth contour, which either set cuts somewhere else.
    assert gap[-1] < 0.012


def test_the_triangles_cover_the_face_once() -> None:
    """Each edge of a triangulation belongs to one triangle or two, and no triangle is a line."""
    canonical = load_canonical()
    triangles = canonical.triangles.astype(int)
    assert triangles.min() == 0
    assert triangles.max() == 467
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, ::2]]))
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert set(uses) == {1, 2}
    a, b, c = np.moveaxis(canonical.mediapipe[triangles].astype(np.float64), 1, 0)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 0


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, -20, 100), (180, 0, 0), (0, 90, -90)])
def test_a_similarity_is_found_as_it_was(angles: tuple[float, float, float]) -> None:
    source = load_canonical().multipie
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    translation = np.array([3.0, -200.0, 50.0])
    found = similarity(source, 320.0 * source.astype(np.float64) @ rotation.T + translation)
    assert found[0] == pytest.approx(320.0)
    assert np.allclose(found[1], rotation, atol=1e-9)
    assert np.allclose(found[2], translation, atol=1e-6)


def test_a_similarity_is_proper_even_between_mirror_images() -> None:
    source = load_canonical().multipie
    for axis in range(3):
        mirrored = source.copy()
        mirrored[:, axis] *= -1
        _, rotation, _ = similarity(source, mirrored)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)


def test_a_similarity_of_noisy_points_is_the_one_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    source = load_canonical().multipie.astype(np.float64)
    target = 500.0 * source @ Rotation.random(random_state=1).as_matrix().T
    target += rng.normal(0.0, 4.0, target.shape)

    def error(scale: float, rotation: np.ndarray, translation: np.ndarray) -> float:
        return float(np.square(scale * source @ rotation.T + translation - target).sum())

    scale, rotation, translation = similarity(source, target)
    least = error(scale, rotation, translation)
    for _ in range(50):
        nudge = Rotation.from_rotvec(rng.normal(0, 0.01, 3)).as_matrix()
        other = (
            scale * np.exp(rng.normal(0, 0.01)), nudge @ rotation, translation + rng.normal(0, 1, 3)
        )  # fmt: skip
        assert error(*other) > least
