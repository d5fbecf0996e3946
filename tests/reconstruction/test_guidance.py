# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The guidance channels say of each pixel of the face which place it shows, and how deep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reconstruction.mean_face import mean_face
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH, Crop, crop_face
from vrn_blender.reconstruction.guidance import (
    CHANNELS,
    DEPTH_UNIT,
    FACE_UNIT,
    draw_guidance,
    draw_points,
    no_guidance,
)
from vrn_blender.reconstruction.landmarks import Face
from vrn_blender.reconstruction.photo import photo_from_array

Angles = tuple[float, float, float]
POSES = [(0, 0, 0), (30, 0, 10), (-65, 10, 0), (90, 0, 0), (10, -35, 0)]

# Places that can be seen from the front: eyes, nose, lips, brows, cheeks.
SEEN_FROM_THE_FRONT = [33, 133, 362, 263, 4, 5, 0, 17, 61, 291, 105, 334, 50, 280, 151]


def crop_of(face: Face) -> Crop:
    return crop_face(photo_from_array(np.zeros((512, 512, 3), np.uint8), "blank"), face)


def draw(face: Face) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Guidance of a face, and its points in the volume frame."""
    crop = crop_of(face)
    return draw_guidance(face, crop), crop.to_volume(face.points)


def read(channels: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Read what is drawn at the pixels that points lie in, (N, C)."""
    x, y = np.floor(points[:, :2]).astype(int).T
    return channels[:, y, x].T


def test_no_guidance_is_all_zeros() -> None:
    silent = no_guidance()
    assert silent.shape == (CHANNELS, CROP_SIZE, CROP_SIZE)
    assert silent.dtype == np.float32
    assert not silent.any()


@pytest.mark.parametrize("angles", POSES)
def test_every_channel_is_zero_outside_of_the_face(angles: Angles) -> None:
    guidance, points = draw(mean_face(angles=angles))
    assert guidance.shape == (CHANNELS, CROP_SIZE, CROP_SIZE)
    assert guidance.dtype == np.float32
    assert np.isfinite(guidance).all()
    mask = guidance[0]
    assert set(np.unique(mask)) == {0, 1}
    assert not guidance[:, mask == 0].any()
    ys, xs = np.nonzero(mask)
    low, high = points[:468, :2].min(axis=0), points[:468, :2].max(axis=0)
    assert np.abs((xs.min(), ys.min()) - low).max() < 2
    assert np.abs((xs.max() + 1, ys.max() + 1) - high).max() < 2


def test_the_face_has_no_holes_where_mouth_and_eyes_are() -> None:
    mask = draw(mean_face())[0][0]
    for row in mask[mask.any(axis=1)]:
        filled = np.flatnonzero(row)
        assert len(filled) == filled[-1] - filled[0] + 1


def test_a_pixel_names_the_place_of_the_mean_face_that_it_shows() -> None:
    """To within a pixel, which is 1.8 millimetres, and the slope of the face across it."""
    guidance, points = draw(mean_face())
    drawn = read(guidance[1:4], points[SEEN_FROM_THE_FRONT]) * FACE_UNIT
    expected = load_canonical().mediapipe[SEEN_FROM_THE_FRONT]
    assert np.abs(drawn - expected)[:, [0, 2]].max() < 0.0018
    assert np.abs(drawn - expected)[:, 1].max() < 0.005


@pytest.mark.parametrize("angles", POSES)
def test_depth_counts_from_the_volume_s_middle(angles: Angles) -> None:
    """The depth channel is a fact of the pose; the mean face, turned by it, has that depth."""
    face = mean_face(angles=angles)
    guidance, points = draw(face)
    ys, xs = np.nonzero(guidance[0])
    places = (guidance[1:4, ys, xs].T * FACE_UNIT).astype(np.float64)
    # An affine map leads from the mean face to the volume, so it leads there from any blend too.
    source = np.column_stack([load_canonical().mediapipe, np.ones(len(points))])
    to_volume, *_ = np.linalg.lstsq(source.astype(np.float64), points, rcond=None)
    volume = np.column_stack([places, np.ones(len(places))]) @ to_volume
    depth = guidance[4, ys, xs] * DEPTH_UNIT + VOLUME_DEPTH / 2
    assert np.abs(volume[:, 2] - depth).max() < 0.01
    aside = volume[:, :2] - np.stack([xs + 0.5, ys + 0.5], axis=1)
    # OpenCV's triangles reach half a pixel beyond their edges.
    assert np.median(np.abs(aside)) < 0.01
    assert np.quantile(np.abs(aside), 0.95) < 0.7
    assert np.abs(aside.mean(axis=0)).max() < 0.1


@pytest.mark.parametrize("angles", POSES)
def test_what_is_nearest_hides_what_lies_behind_it(angles: Angles) -> None:
    guidance, points = draw(mean_face(angles=angles))
    shown = read(guidance, points[:468])
    on_the_face = shown[:, 0] == 1
    assert on_the_face.mean() > 0.85
    depth = shown[on_the_face, 4] * DEPTH_UNIT + VOLUME_DEPTH / 2
    behind = depth - points[:468, 2][on_the_face]
    assert np.quantile(behind, 0.98) < 3


def test_turning_scaling_and_moving_the_photo_changes_nothing() -> None:
    straight, _ = draw(mean_face(angles=(25, 5, 0)))
    face = mean_face(angles=(25, 5, 130), pixels_per_metre=370, middle=(90, 400))
    other, _ = draw(face)
    assert (straight[0] != other[0]).mean() < 0.005
    both = (straight[0] == 1) & (other[0] == 1)
    assert np.abs(straight - other)[:, both].max() < 0.25
    assert np.abs(straight - other)[:, both].mean() < 0.002


def test_an_expression_moves_the_face_and_keeps_the_names_of_its_places() -> None:
    """An open mouth: the lower lip is drawn lower, and still is the lower lip."""
    face = mean_face()
    crop = crop_of(face)
    points = face.points.copy()
    lower_lip = 17
    points[load_canonical().mediapipe[:, 2] < load_canonical().mediapipe[14, 2], 1] += 30
    volume = crop.to_volume(points)
    drawn = read(draw_guidance(replace(face, points=points), crop), volume[[lower_lip]])[0]
    assert volume[lower_lip, 1] - crop.to_volume(face.points)[lower_lip, 1] > 15
    assert drawn[1:4] * FACE_UNIT == pytest.approx(load_canonical().mediapipe[lower_lip], abs=0.005)


@pytest.mark.parametrize("shift", [(-96, 0), (120, -60), (5000, 0), (0, -4000)])
def test_a_face_cut_off_by_the_crop_s_border_is_drawn_as_far_as_it_goes(
    shift: tuple[int, int],
) -> None:
    points = crop_of(mean_face()).to_volume(mean_face().points)
    whole = draw_points(points, load_canonical())
    moved = draw_points(points + np.array([*shift, 0], np.float32), load_canonical())
    assert np.isfinite(moved).all()
    x, y = shift
    expected = np.zeros_like(whole)
    if max(abs(x), abs(y)) < CROP_SIZE:
        source = np.pad(whole, ((0, 0), (CROP_SIZE,) * 2, (CROP_SIZE,) * 2))
        top, left = CROP_SIZE - y, CROP_SIZE - x
        expected = source[:, top : top + CROP_SIZE, left : left + CROP_SIZE]
    assert np.abs(moved - expected).mean() < 1e-3
