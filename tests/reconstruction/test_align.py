# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface is drawn onto the photo's landmarks, and only as far as it should be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vrn_blender.reconstruction.align import FIRST, LIMIT, SAME_PLACE, agreement, align
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop
from vrn_blender.reconstruction.landmarks import Face
from vrn_blender.reconstruction.result import describe_confidence
from vrn_blender.reconstruction.surface import Surface

SCALE = 560.0
"""Voxels a metre."""


def in_volume(points: NDArray[np.float32], yaw: float = 0.0) -> NDArray[np.float32]:
    """Place head-frame points in the volume frame, seen from the front."""
    turned = Rotation.from_euler("z", yaw, degrees=True).apply(points)
    axes = turned[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
    return (SCALE * axes + (96, 96, 100)).astype(np.float32)


def case(yaw: float = 0.0) -> tuple[Surface, NDArray[np.float32], Face, Crop]:
    """Make a head that the network got right: its surface is a cloud of the landmarks and more."""
    canonical = load_canonical()
    marks = in_volume(canonical.multipie, yaw)
    behind = canonical.multipie.copy()
    behind[:, 1] += 0.2
    back = in_volume(behind, yaw)
    surface = Surface(np.concatenate([marks, back]), np.array([[0, 1, 2]], np.int32))
    crop = Crop(np.zeros((192, 192, 3), np.uint8), np.eye(2, 3), 100.0)
    return surface, marks, Face(in_volume(canonical.mediapipe, yaw), 0), crop


def shifted(face: Face, which: slice, shift: tuple[float, float, float]) -> Face:
    points = face.points.copy()
    points[SAME_PLACE[which]] += np.array(shift, np.float32)
    return Face(points, face.index)


LIPS = slice(48 - FIRST, 68 - FIRST)


def test_a_head_that_fits_stays_as_it_is() -> None:
    surface, marks, face, crop = case()
    bent, moved = align(surface, marks, face, crop)
    assert np.abs(bent.vertices - surface.vertices).max() < 0.05
    assert np.abs(moved - marks).max() < 0.05


def test_the_lips_follow_the_photos_and_the_brows_stay() -> None:
    surface, marks, face, crop = case()
    _, moved = align(surface, marks, shifted(face, LIPS, (3, 4, 0)), crop)
    assert np.abs(moved[48:, :2] - marks[48:, :2] - (3, 4)).max() < 1.2
    assert np.abs(moved[FIRST:27] - marks[FIRST:27]).max() < 0.5


def test_depth_and_the_back_of_the_head_stay() -> None:
    surface, marks, face, crop = case()
    bent, _ = align(surface, marks, shifted(face, LIPS, (3, 4, 9)), crop)
    assert np.array_equal(bent.vertices[:, 2], surface.vertices[:, 2])
    assert np.array_equal(bent.vertices[68:], surface.vertices[68:])
    assert bent.faces is surface.faces


def test_a_wild_landmark_pulls_no_farther_than_the_limit() -> None:
    surface, marks, face, crop = case()
    nose = slice(30 - FIRST, 31 - FIRST)
    bent, _ = align(surface, marks, shifted(face, nose, (60, 0, 0)), crop)
    assert np.linalg.norm(bent.vertices - surface.vertices, axis=1).max() < LIMIT + 1


@pytest.mark.parametrize("yaw", [-60.0, 60.0])
def test_what_is_turned_away_does_not_count(yaw: float) -> None:
    surface, marks, face, crop = case(yaw)
    eyes = (slice(36 - FIRST, 42 - FIRST), slice(42 - FIRST, 48 - FIRST))
    gaps = []
    for which in eyes:
        _, moved = align(surface, marks, shifted(face, which, (0, 4, 0)), crop)
        places = slice(which.start + FIRST, which.stop + FIRST)
        gaps.append(np.abs(moved[places, 1] - marks[places, 1]).mean())
    near, far = sorted(gaps, reverse=True)
    assert near > 2
    assert far < 0.8 * near


def test_landmarks_that_meet_agree_fully() -> None:
    _, marks, face, crop = case()
    assert agreement(marks, face, crop) == pytest.approx(1, abs=1e-3)


def test_confidence_falls_with_the_distance_as_a_share_of_the_faces_width() -> None:
    _, marks, face, crop = case()
    width = np.ptp(crop.to_volume(face.points)[:, 0])
    everything = slice(0, 68 - FIRST)
    values = [
        agreement(marks, shifted(face, everything, (share * width, 0, 0)), crop)
        for share in (0.02, 0.05)
    ]
    assert values == pytest.approx([0.98, 0.95], abs=0.01)


def test_depth_does_not_count_for_confidence() -> None:
    _, marks, face, crop = case()
    deeper = shifted(face, slice(30 - FIRST, 31 - FIRST), (0, 0, 9))
    assert agreement(marks, deeper, crop) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.985, "good (landmarks 1.5 % apart)"),
        (0.965, "fair (landmarks 3.5 % apart)"),
        (0.9, "poor, look closely (landmarks 10.0 % apart)"),
        (None, "not known, as no landmarks were used"),
    ],
)
def test_confidence_is_said_in_words(confidence: float | None, words: str) -> None:
    assert describe_confidence(confidence) == words
