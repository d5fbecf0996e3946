# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The network's own landmarks stand in for MediaPipe's where a box is all that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.reconstruction.mean_face import mean_face
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop, crop_box, crop_face
from vrn_blender.reconstruction.multitask import (
    points_from_landmarks,
    predict_face,
    predict_from_box,
)
from vrn_blender.reconstruction.network import Prediction
from vrn_blender.reconstruction.photo import photo_from_array


def test_landmarks_of_the_mean_face_give_the_mean_face() -> None:
    canonical = load_canonical()
    turn = Rotation.from_euler("xyz", [80.0, 10.0, -20.0], degrees=True).as_matrix()
    placed = 560.0 * canonical.multipie @ turn.T + [90.0, 80.0, 100.0]
    expected = 560.0 * canonical.mediapipe @ turn.T + [90.0, 80.0, 100.0]
    assert np.abs(points_from_landmarks(placed) - expected).max() < 0.01


def test_landmarks_that_move_take_those_near_them_along() -> None:
    canonical = load_canonical()
    placed = 560.0 * canonical.multipie.astype(np.float64)
    smile = placed.copy()
    smile[48, 2] += 5.0
    moved = points_from_landmarks(smile) - points_from_landmarks(placed)
    away = np.linalg.norm(canonical.mediapipe - canonical.multipie[48], axis=1)
    assert moved[away.argmin(), 2] > 2.0
    assert np.abs(moved[away.argmax()]).max() < 1.0


class Seer:
    """A network that knows where the face is, and keeps what it was shown."""

    def __init__(self, landmarks: NDArray[np.float32]) -> None:
        self.landmarks = landmarks
        self.seen: list[tuple[Crop, NDArray[np.float32]]] = []

    def predict(self, crop: Crop, guidance: NDArray[np.float32]) -> Prediction:
        """Give the landmarks as this crop has them."""
        self.seen.append((crop, guidance))
        volume = np.zeros((200, 192, 192), np.uint8)
        return Prediction(volume, crop.to_volume(self.landmarks), np.zeros(68, np.float32))


def test_a_rough_box_ends_in_the_crop_that_landmarks_would_have_cut() -> None:
    face = mean_face()
    canonical = load_canonical()
    photo = photo_from_array(np.full((480, 640, 3), 90, np.uint8), "grey")
    fitted = np.linalg.lstsq(
        np.c_[canonical.mediapipe, np.ones(478)], face.points.astype(np.float64), rcond=None
    )[0]
    landmarks = (np.c_[canonical.multipie, np.ones(68)] @ fitted).astype(np.float32)
    x0, y0, x1, y1 = face.box
    seer = Seer(landmarks)
    crop, prediction = predict_from_box(seer, photo, (x0 - 30, y0 - 10, x1 + 20, y1 + 25))  # type: ignore[arg-type]
    (rough, nothing), (second, guidance) = seer.seen
    assert not nothing.any()
    assert guidance[0].mean() > 0.02
    assert second is crop
    wanted = crop_face(photo, face).photo_to_crop
    assert (
        np.abs(crop.photo_to_crop - wanted).max() < 0.5 < np.abs(rough.photo_to_crop - wanted).max()
    )
    assert prediction.landmarks == pytest.approx(crop.to_volume(landmarks), abs=1e-3)


def test_a_photo_s_frame_and_the_volume_s_are_inverse() -> None:
    c, s = 0.7 * np.cos(0.3), 0.7 * np.sin(0.3)
    crop = Crop(np.zeros((192, 192, 3), np.uint8), np.array([[c, s, -40.0], [-s, c, 30.0]]), 12.0)
    points = np.random.default_rng(1).uniform(20.0, 180.0, (50, 3))
    assert np.allclose(crop.to_volume(crop.to_photo(points)), points, atol=1e-3)
    assert np.allclose(
        crop_box(photo_from_array(crop.rgb, "black"), (50, 50, 90, 110)).to_photo(
            np.array([[96.0, 96.0, 100.0]])
        )[:, 2],
        0.0,
    )


def test_a_clear_face_guides_and_another_only_says_where_to_look() -> None:
    face = mean_face()
    photo = photo_from_array(np.full((480, 640, 3), 90, np.uint8), "grey")
    seer = Seer(np.zeros((68, 3), np.float32))
    predict_face(seer, photo, face)  # type: ignore[arg-type]
    ((crop, guidance),) = seer.seen
    assert guidance.any()
    assert np.array_equal(crop.photo_to_crop, crop_face(photo, face).photo_to_crop)

    marks = load_canonical().multipie * (1000.0, -1000.0, 1000.0) + (320.0, 240.0, 0.0)
    seer = Seer(marks.astype(np.float32))
    misread = replace(face, doubt=np.full(478, np.inf, np.float32))
    predict_face(seer, photo, misread)  # type: ignore[arg-type]
    (rough, nothing), _ = seer.seen
    assert not nothing.any()
    assert np.array_equal(rough.photo_to_crop, crop_box(photo, face.box).photo_to_crop)
