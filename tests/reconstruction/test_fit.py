# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The surface is drawn onto the photo's landmarks, and only as far as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.bundle import BUNDLE_NAME
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop, crop_face
from vrn_blender.reconstruction.errors import ModelError
from vrn_blender.reconstruction.fit import (
    FIRST,
    JAW,
    LIMIT,
    SAME_OUTLINE,
    SAME_PLACE,
    agreement,
    fit_to_landmarks,
    mediapipe_share,
)
from vrn_blender.reconstruction.guidance import draw_guidance
from vrn_blender.reconstruction.landmarks import Detector, Face, open_detector, require_faces
from vrn_blender.reconstruction.network import Network, Prediction
from vrn_blender.reconstruction.photo import photo_from_array, read_photo
from vrn_blender.reconstruction.result import describe_confidence
from vrn_blender.reconstruction.surface import Surface, extract_surface
from vrn_blender.reconstruction.wrap import area_normals

from .mean_head import head, in_volume

SHARED_MODELS = Path(__file__).parents[3] / "shared" / "models"

SURE = np.zeros(478, np.float32)


def unsure(marks: NDArray[np.float32], doubt: float = 20.0) -> Prediction:
    """Make a prediction that MediaPipe overrules."""
    nothing = np.zeros((200, 192, 192), np.uint8)
    return Prediction(nothing, marks, np.full(68, doubt, np.float32))


def case(yaw: float = 0.0) -> tuple[Surface, NDArray[np.float32], Face, Crop]:
    """Make a head that the network got right, and of which MediaPipe is sure."""
    surface, marks = head(yaw=yaw)
    crop = Crop(np.zeros((192, 192, 3), np.uint8), np.eye(2, 3), 100.0)
    return surface, marks, Face(in_volume(load_canonical().mediapipe, yaw), SURE, 0), crop


def shifted(face: Face, which: slice, shift: tuple[float, float, float]) -> Face:
    points = face.points.copy()
    points[SAME_PLACE[which]] += np.array(shift, np.float32)
    return replace(face, points=points)


SHIFT = np.array([2, 1], np.float32)
LIPS = slice(48 - FIRST, 68 - FIRST)


def test_a_head_that_fits_stays_as_it_is() -> None:
    surface, marks, face, crop = case()
    bent, moved = fit_to_landmarks(surface, unsure(marks), face, crop)
    assert np.abs(bent.vertices - surface.vertices).max() < 0.05
    assert np.abs(moved - marks).max() < 0.05


def test_the_lips_follow_the_photos_and_the_brows_stay() -> None:
    surface, marks, face, crop = case()
    _, moved = fit_to_landmarks(surface, unsure(marks), shifted(face, LIPS, (3, 4, 0)), crop)
    left_over = np.linalg.norm(moved[48:, :2] - marks[48:, :2] - (3, 4), axis=1)
    assert left_over.mean() < 0.5 * 5
    assert np.abs(moved[FIRST:27] - marks[FIRST:27]).max() < 0.5


def test_landmarks_that_disagree_all_over_meet_by_half_without_bumps() -> None:
    surface, marks, face, crop = case()
    points = face.points.copy()
    # Brows, nose, eyes and lips are each off in their own way.
    features = np.repeat(np.arange(6), [5, 5, 9, 6, 6, 20])
    noise = np.random.default_rng(0).normal(0, 2, (6, 2)).astype(np.float32)[features]
    points[SAME_PLACE, :2] += noise + SHIFT
    bent, moved = fit_to_landmarks(surface, unsure(marks), replace(face, points=points), crop)
    before = np.linalg.norm(noise + SHIFT, axis=1).mean()
    after = np.linalg.norm(moved[FIRST:, :2] - marks[FIRST:, :2] - noise - SHIFT, axis=1).mean()
    assert after < 0.5 * before
    normals = (area_normals(s.vertices, s.faces) for s in (surface, bent))
    turned = np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", *normals), -1, 1)))
    assert np.percentile(turned, 99) < 20


def test_depth_and_the_back_of_the_head_stay() -> None:
    surface, marks, face, crop = case()
    bent, _ = fit_to_landmarks(surface, unsure(marks), shifted(face, LIPS, (3, 4, 9)), crop)
    assert np.array_equal(bent.vertices[:, 2], surface.vertices[:, 2])
    behind = surface.vertices[:, 2] > 100
    assert np.array_equal(bent.vertices[behind], surface.vertices[behind])
    assert bent.faces is surface.faces


def test_a_wild_landmark_pulls_no_farther_than_the_limit() -> None:
    surface, marks, face, crop = case()
    nose = slice(30 - FIRST, 31 - FIRST)
    bent, _ = fit_to_landmarks(surface, unsure(marks), shifted(face, nose, (60, 0, 0)), crop)
    assert np.linalg.norm(bent.vertices - surface.vertices, axis=1).max() < LIMIT + 1


@pytest.mark.parametrize("yaw", [-35.0, 35.0])
def test_what_is_turned_away_does_not_count(yaw: float) -> None:
    surface, marks, face, crop = case(yaw)
    cheeks = (slice(1, 2), slice(7, 8))
    gaps = []
    for which in cheeks:
        points = face.points.copy()
        points[SAME_OUTLINE[which], 1] += 4
        _, moved = fit_to_landmarks(surface, unsure(marks), replace(face, points=points), crop)
        gaps.append(np.abs(moved[JAW] - marks[JAW]).max())
    near, far = sorted(gaps, reverse=True)
    assert near > 0.5
    assert far < 0.5 * near


@pytest.fixture(scope="module")
def detector() -> Iterator[Detector]:
    """Open the installed MediaPipe."""
    pytest.importorskip("mediapipe")
    try:
        bundle = SHARED_MODELS / BUNDLE_NAME
        opened = open_detector(bundle if bundle.is_file() else None)
    except ModelError as error:
        if BUNDLE_NAME not in str(error):
            raise
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.mark.parametrize("name", ["astronaut", "portrait_1", "portrait_2", "two_faces"])
def test_on_photos_the_landmarks_gap_falls_by_half_or_more_without_bumps(
    name: str, detector: Detector, request: pytest.FixtureRequest
) -> None:
    given = request.getfixturevalue(name)
    photo = read_photo(given) if isinstance(given, Path) else photo_from_array(given, name)
    network = Network(device="cpu")
    for face in require_faces(photo, detector)[:2]:
        crop = crop_face(photo, face)
        prediction = network.predict(crop, draw_guidance(face, crop))
        surface = extract_surface(prediction.volume)
        bent, moved = fit_to_landmarks(surface, prediction, face, crop)
        before = 1 - agreement(prediction.landmarks, face, crop)
        assert 1 - agreement(moved, face, crop) < 0.5 * before
        normals = (area_normals(s.vertices, s.faces) for s in (surface, bent))
        turned = np.degrees(np.arccos(np.clip(np.einsum("ij,ij->i", *normals), -1, 1)))
        assert np.percentile(turned, 99) < 15


def test_the_jaw_follows_its_outline_across_and_not_along() -> None:
    surface, marks, face, crop = case()
    points = face.points.copy()
    chin = slice(3, 6)
    points[SAME_OUTLINE[chin], :2] += (5, 3)
    _, moved = fit_to_landmarks(surface, unsure(marks), replace(face, points=points), crop)
    x, y = (moved[8] - marks[8])[:2]
    assert 1 < y < 4
    assert abs(x) < 1


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


@pytest.mark.parametrize(
    ("network", "mediapipe", "low", "high"),
    [(2.0, 0.5, 0.95, 1.0), (0.4, 2.0, 0.0, 0.05), (2.0, np.inf, 0.0, 0.0), (0.0, 1.0, 0.0, 1e-6)],
)
def test_the_landmarks_go_to_the_one_whose_two_readings_agree(
    network: float, mediapipe: float, low: float, high: float
) -> None:
    _, marks, face, crop = case()
    face = replace(face, doubt=np.full(478, mediapipe, np.float32))
    assert low <= mediapipe_share(unsure(marks, network), face, crop) <= high


def test_a_head_that_mediapipe_is_unsure_of_stays_as_it_is() -> None:
    surface, marks, face, crop = case()
    face = replace(shifted(face, LIPS, (3, 4, 0)), doubt=np.full(478, np.inf, np.float32))
    bent, moved = fit_to_landmarks(surface, unsure(marks), face, crop)
    assert np.array_equal(bent.vertices, surface.vertices)
    assert np.array_equal(moved, marks)


def test_mediapipe_is_trusted_less_on_a_face_that_is_turned() -> None:
    shares = []
    for yaw in (0.0, 30.0, 60.0):
        _, marks, face, crop = case(yaw)
        shares.append(mediapipe_share(unsure(marks, 1.0), face, crop))
    assert shares[0] > 0.99 > shares[1] > shares[2]
    assert shares[2] < 0.01
