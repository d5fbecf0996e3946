# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The crop station: the whole head, upright, at one size, and every pixel where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reconstruction.mean_face import mean_face, to_photo
from vrn_blender.reconstruction.crop import (
    CROP_SIZE,
    MIDDLE,
    PIXELS_PER_METRE,
    VOLUME_DEPTH,
    Crop,
    crop_box,
    crop_face,
)
from vrn_blender.reconstruction.photo import Photo, photo_from_array

POSES = [(0, 0, 0), (35, 10, 20), (-70, -15, -50), (20, 30, 150), (90, 0, 0), (0, 85, 0)]
RIGHT_EYE_OUTER, LEFT_EYE_OUTER, CHIN = 33, 263, 152


def blank(width: int = 512, height: int = 512) -> Photo:
    return photo_from_array(np.zeros((height, width, 3), np.uint8), "blank")


def waves(x: NDArray[np.float64], y: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Give a picture whose value at any place is known: (..., 3), 8 to 248."""
    turn = 2 * np.pi / length
    values = [np.sin(turn * x), np.sin(turn * y), np.cos(turn * (0.6 * x + 0.8 * y))]
    return 128 + 120 * np.stack(values, axis=-1)


def centres(width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return x, y


def test_a_crop_is_192_rgb_pixels_a_side_and_knows_its_way_back() -> None:
    crop = crop_face(blank(), mean_face(angles=(20, 5, 30)))
    assert crop.rgb.shape == (CROP_SIZE, CROP_SIZE, 3)
    assert crop.rgb.dtype == np.uint8
    there = np.vstack([crop.photo_to_crop, (0, 0, 1)])
    back = np.vstack([crop.crop_to_photo, (0, 0, 1)])
    assert np.allclose(there @ back, np.eye(3), atol=1e-9)
    turn = crop.photo_to_crop[:, :2] / crop.scale
    assert np.allclose(turn @ turn.T, np.eye(2), atol=1e-9)
    assert np.linalg.det(turn) > 0


@pytest.mark.parametrize("angles", POSES)
def test_the_head_has_one_size_and_one_place_whatever_the_pose(
    angles: tuple[float, float, float],
) -> None:
    """Unlike a box round the landmarks, which grows and shrinks with the pose."""
    face = mean_face(angles=angles, pixels_per_metre=800, middle=(150, 300))
    crop = crop_face(blank(), face)
    assert crop.scale == pytest.approx(PIXELS_PER_METRE / 800, rel=1e-4)
    middle = to_photo(MIDDLE[None], angles=angles, pixels_per_metre=800, middle=(150, 300))
    expected = [CROP_SIZE / 2, CROP_SIZE / 2, VOLUME_DEPTH / 2]
    assert crop.to_volume(middle)[0] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("angles", POSES)
def test_the_whole_head_is_in_the_crop_and_in_the_volume(
    angles: tuple[float, float, float],
) -> None:
    """The head as an ellipsoid from crown to neck and from nose to nape, a tenth larger."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    head = MIDDLE + 1.1 * ball * (0.08, 0.11, 0.13)
    crop = crop_face(blank(), mean_face(angles=angles))
    places = crop.to_volume(to_photo(head, angles=angles))
    assert places.min() > 0
    assert (places < (CROP_SIZE, CROP_SIZE, VOLUME_DEPTH)).all()


@pytest.mark.parametrize("roll", [-170, -90, -30, 10, 75, 180])
def test_a_tilted_head_stands_upright_in_the_crop(roll: float) -> None:
    straight = crop_face(blank(), mean_face())
    tilted = mean_face(angles=(0, 0, roll))
    places = crop_face(blank(), tilted).to_volume(tilted.points)
    assert np.abs(places - straight.to_volume(mean_face().points)).max() < 0.02
    assert places[RIGHT_EYE_OUTER, 0] < places[LEFT_EYE_OUTER, 0]
    assert abs(places[RIGHT_EYE_OUTER, 1] - places[LEFT_EYE_OUTER, 1]) < 2
    assert places[CHIN, 1] > places[LEFT_EYE_OUTER, 1] + 30


def test_a_head_seen_from_straight_above_is_left_as_it_is() -> None:
    """It has no roll, and noise must not turn the crop."""
    crop = crop_face(blank(), mean_face(angles=(0, 90, 0)))
    assert crop.photo_to_crop[0, 1] == 0
    assert crop.photo_to_crop[0, 0] > 0


def test_depth_counts_in_voxels_away_from_the_camera() -> None:
    face = mean_face(pixels_per_metre=1400)
    crop = crop_face(blank(), face)
    voxels = crop.to_volume(face.points)
    assert voxels.dtype == np.float32
    metres = np.ptp(face.points[:, 2]) / 1400
    assert np.ptp(voxels[:, 2]) == pytest.approx(metres * PIXELS_PER_METRE, rel=1e-3)
    nose_tip, ear = 4, 234
    assert voxels[nose_tip, 2] < voxels[ear, 2] - 40
    assert voxels[nose_tip, 2] < VOLUME_DEPTH / 2 - 40


@pytest.mark.parametrize("shrink", [0.35, 0.9, 1.4, 1.6, 2.5, 3.7, 9.0])
@pytest.mark.parametrize("roll", [0, 33])
def test_every_pixel_shows_the_place_of_the_photo_that_the_crop_names(
    shrink: float, roll: float
) -> None:
    """A tenth of a pixel off would show as three levels, and shrinking must not shift."""
    middle = (130.3 * shrink, 121.7 * shrink)
    face = mean_face(angles=(0, 0, roll), pixels_per_metre=PIXELS_PER_METRE * shrink, middle=middle)
    size = int(270 * shrink)
    length = 24 * shrink
    rgb = waves(*centres(size, size), length).round().astype(np.uint8)
    crop = crop_face(photo_from_array(rgb, "waves"), face)
    x, y = centres(CROP_SIZE, CROP_SIZE)
    photo = np.stack([x, y, np.ones_like(x)], axis=-1) @ crop.crop_to_photo.T
    inside = ((photo > 2 * shrink) & (photo < size - 2 * shrink)).all(axis=-1)
    assert inside.mean() > 0.7
    expected = waves(photo[..., 0], photo[..., 1], length)
    gap = (crop.rgb - expected)[inside]
    # Averaging flattens waves by a few per cent, evenly; a shift would tilt the slopes.
    assert np.sqrt(np.square(gap).mean()) < 6
    slope = waves(photo[..., 0] + 0.05 * shrink, photo[..., 1], length) - expected
    shift = (gap * slope[inside])[..., 0].sum() / np.square(slope[inside][..., 0]).sum() * 0.05
    assert abs(shift) < 0.05


def test_a_large_photo_is_averaged_so_that_nothing_aliases() -> None:
    x, y = centres(1600, 1600)
    board = ((np.floor(x) + np.floor(y)) % 2 * 255).astype(np.uint8)
    rgb = np.repeat(board[..., None], 3, axis=2)
    face = mean_face(pixels_per_metre=PIXELS_PER_METRE * 6.3, middle=(800, 800))
    crop = crop_face(photo_from_array(rgb, "board"), face)
    assert np.abs(crop.rgb.astype(float) - 127.5).max() < 25
    assert crop.rgb.std() < 8


def test_a_hundred_megapixels_are_no_more_work_than_the_head_in_them() -> None:
    """Only the part that the crop shows is read; the rest of these zeros is never even there."""
    rgb = np.zeros((9000, 12000, 3), np.uint8)
    rgb[4000:4400, 6000:6400] = 200
    face = mean_face(pixels_per_metre=1500, middle=(6200, 4200))
    crop = crop_face(Photo(rgb, "large"), face)
    assert (crop.rgb[90:102, 90:102] == 200).all()
    assert (crop.rgb[:4] == 0).all()


def test_beyond_the_photo_s_border_its_edge_goes_on() -> None:
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[:, :100] = (10, 20, 30)
    rgb[:, 100:] = (200, 100, 50)
    for size in (400, 2500):
        face = mean_face(pixels_per_metre=size, middle=(199, 199))
        crop = crop_face(photo_from_array(rgb, "corner"), face)
        assert crop.rgb[-1, -1].tolist() == [200, 100, 50]
        assert crop.rgb[0, -1].tolist() == [200, 100, 50]


def test_a_box_gives_the_crop_of_a_face_that_fills_it_from_the_front() -> None:
    face = mean_face(pixels_per_metre=700, middle=(300, 200))
    by_landmarks, by_box = crop_face(blank(), face), crop_box(blank(), face.box)
    assert np.allclose(by_box.photo_to_crop, by_landmarks.photo_to_crop, atol=0.5)
    assert np.allclose(by_box.photo_to_crop[:, :2], by_landmarks.photo_to_crop[:, :2], atol=0.01)


def test_a_box_crop_stands_as_the_photo_does_and_keeps_the_box_in_the_middle() -> None:
    crop = crop_box(blank(), (100, 50, 220, 190))
    assert isinstance(crop, Crop)
    assert crop.photo_to_crop[0, 1] == crop.photo_to_crop[1, 0] == 0
    corners = np.array([(100, 50, 1), (220, 190, 1)]) @ crop.photo_to_crop.T
    assert corners[0].min() > 0.15 * CROP_SIZE
    assert corners[1].max() < 0.85 * CROP_SIZE
    assert corners[:, 0].mean() == pytest.approx(CROP_SIZE / 2, abs=2)


@pytest.mark.parametrize("box", [(-50, -50, 30, 60), (500, 500, 520, 530), (600, 10, 800, 200)])
def test_a_box_at_or_beyond_the_photo_s_border_still_gives_a_crop(
    box: tuple[float, float, float, float],
) -> None:
    rgb = np.full((512, 512, 3), 77, np.uint8)
    crop = crop_box(photo_from_array(rgb, "grey"), box)
    assert (crop.rgb == 77).all()
