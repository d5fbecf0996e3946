# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The measures of the evaluation, on surfaces whose error is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

from scipy.spatial.transform import Rotation

from models.training.baselines import Baselines, Fit
from models.training.correspond import to_head_frame
from models.training.evaluate import (
    Evaluation,
    Result,
    above_chin,
    halved,
    lines,
    summarise,
)
from models.training.head_model import HeadModel
from models.training.measures import Truth, landmark_errors, measure, overlap, split
from models.training.pictures import Row, draw_curves, draw_log, draw_sheet
from models.training.studio import Pose
from tests.worker.stand_in_network import write_network
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop
from vrn_blender.reconstruction.landmarks import Face
from vrn_blender.reconstruction.network import Network

Array = NDArray[np.float64]

RADII = np.array([40.0, 52.0, 46.0])
UNIT = 50.0


def ellipsoid(radii: Array = RADII, rows: int = 60) -> tuple[Array, NDArray[np.int32]]:
    """Vertices and outward triangles of an ellipsoid about the origin, its poles left and right."""
    polar, azimuth = np.meshgrid(
        np.linspace(0.0, np.pi, rows), np.linspace(0.0, 2 * np.pi, 2 * rows), indexing="ij"
    )
    unit = np.stack(
        [np.cos(polar), np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth)], axis=2
    )
    number = np.arange(unit[..., 0].size).reshape(polar.shape)
    a, b = number[:-1, :-1].ravel(), number[1:, :-1].ravel()
    c, d = number[1:, 1:].ravel(), number[:-1, 1:].ravel()
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return unit.reshape(-1, 3) * radii, triangles.astype(np.int32)


def truth(points: Array, normals: Array) -> Truth:
    """Truth whose outer interocular distance is ``UNIT``."""
    landmarks = np.zeros((68, 3))
    landmarks[45, 0] = UNIT
    return Truth(points, normals, landmarks)


def front_of_ellipsoid(radii: Array = RADII) -> Truth:
    """Front half of the ellipsoid, as a face that a camera sees."""
    vertices, _ = ellipsoid(radii)
    front = vertices[vertices[:, 2] < -5.0]
    normals = front / radii**2
    return truth(front, normals / np.linalg.norm(normals, axis=1, keepdims=True))


def test_a_surface_has_no_error_against_itself() -> None:
    errors = measure(*ellipsoid(), front_of_ellipsoid())
    assert errors.image < 1e-3
    assert errors.icp < 1e-3
    assert errors.normals < 1.0


def test_a_depth_offset_is_freed() -> None:
    vertices, triangles = ellipsoid()
    errors = measure(vertices + np.array([0.0, 0.0, 11.0]), triangles, front_of_ellipsoid())
    assert errors.image < 1e-3


def test_a_shift_across_the_image_counts_in_full_in_the_image_frame() -> None:
    radius, shift = 40.0, 3.0
    radii = np.full(3, radius)
    vertices, triangles = ellipsoid(radii)
    true = front_of_ellipsoid(radii)
    errors = measure(vertices + np.array([shift, 0.0, 0.0]), triangles, true)
    # The distance to a sphere is known; by symmetry no depth offset makes it smaller.
    away = np.linalg.norm(true.points - [shift, 0.0, 0.0], axis=1)
    expected = np.abs(away - radius).mean() / UNIT
    assert errors.image == pytest.approx(expected, rel=0.02)
    assert errors.icp < 0.02 * errors.image


def test_icp_frees_a_similarity() -> None:
    vertices, triangles = ellipsoid()
    turn = Rotation.from_euler("xyz", [6.0, -5.0, 7.0], degrees=True).as_matrix()
    moved = 1.08 * vertices @ turn.T + [4.0, -3.0, 6.0]
    errors = measure(moved, triangles, front_of_ellipsoid())
    assert errors.image > 0.04
    assert errors.icp < 0.1 * errors.image


def test_icp_does_not_free_a_change_of_shape() -> None:
    vertices, triangles = ellipsoid(RADII * [1.0, 1.15, 1.0])
    errors = measure(vertices, triangles, front_of_ellipsoid())
    assert 0.01 < errors.icp < errors.image


def test_a_tilted_plane_has_tilted_normals() -> None:
    corners = np.array([[-60.0, -60, 0], [60, -60, 0], [60, 60, 0], [-60, 60, 0]])
    triangles = np.array([[0, 2, 1], [0, 3, 2]])
    turn = Rotation.from_euler("x", 20.0, degrees=True).as_matrix()
    grid = np.stack(np.meshgrid(np.linspace(-20, 20, 9), np.linspace(-20, 20, 9)), -1)
    points = np.column_stack([grid.reshape(-1, 2), np.zeros(81)])
    errors = measure(corners @ turn.T, triangles, truth(points, np.tile([0.0, 0, -1], (81, 1))))
    assert errors.normals == pytest.approx(20.0, abs=1e-3)


def test_split_triangles_cover_what_the_whole_one_did() -> None:
    triangle = np.array([[[0.0, 0, 0], [10, 0, 0], [0, 7, 3]]])
    parts = split(triangle, 1.5)
    edges = np.linalg.norm(parts - np.roll(parts, 1, axis=1), axis=2)
    areas = np.linalg.norm(np.cross(parts[:, 1] - parts[:, 0], parts[:, 2] - parts[:, 0]), axis=1)
    assert edges.max() <= 1.5
    assert areas.sum() == pytest.approx(np.linalg.norm(np.cross([10, 0, 0], [0, 7, 3])))


def test_landmarks_err_in_the_image_and_in_space() -> None:
    true = front_of_ellipsoid()
    moved = true.landmarks + np.array([3.0, 4.0, 100.0])
    assert landmark_errors(moved, true) == pytest.approx((5.0 / UNIT, 5.0 / UNIT))
    moved[::2, 2] += 10.0
    flat, deep = landmark_errors(moved, true)
    assert flat == pytest.approx(5.0 / UNIT)
    assert deep == pytest.approx(np.hypot(5.0, 5.0) / UNIT)


def test_overlap_counts_only_where_it_is_asked_for() -> None:
    ours, true = np.zeros((2, 4, 8, 8), dtype=bool)
    ours[:, :, :6], true[:, :, 2:] = True, True
    everywhere = np.ones_like(ours)
    assert overlap(ours, true, everywhere) == pytest.approx(4 / 8)
    everywhere[:, :, :2] = False
    assert overlap(ours, true, everywhere) == pytest.approx(4 / 6)


def test_a_halved_volume_is_solid_where_most_of_its_voxels_are() -> None:
    volume = np.zeros((4, 6, 6), dtype=np.uint8)
    volume[:3] = 255
    volume[2, ::2] = 200
    assert halved(volume)[:, 0, 0].tolist() == [True, False]
    assert halved(volume).shape == (2, 3, 3)


def placed_crop() -> Crop:
    """Crop of a head that leans by 0.3 radians, at 0.7 of the photo's size."""
    c, s = 0.7 * np.cos(0.3), 0.7 * np.sin(0.3)
    return Crop(np.zeros((192, 192, 3), np.uint8), np.array([[c, s, -40.0], [-s, c, 30.0]]), 12.0)


def test_the_throat_is_cut_off_below_the_chin() -> None:
    crop = placed_crop()
    pose = Pose(np.eye(3, dtype=np.float32), 8.0, 0.005, np.array([170.0, 120.0], np.float32))
    chin = np.array([170.0, 180.0, -80.0])
    column, row, depth = (replace(crop, middle_depth=0.0).to_volume(chin[None])[0] / 2).astype(int)
    above = above_chin(crop, pose, chin)
    assert above.shape == (100, 96, 96)
    assert above[depth, row, column]
    assert above[depth, row - 20, column]
    assert not above[depth, row + 12, column]
    # The plane rises towards the nape.
    assert not above[depth + 40, row, column]


@pytest.fixture(scope="module")
def baselines(model: HeadModel) -> Baselines:
    return Baselines(model, np.ones(len(model.neutral), dtype=bool))


# From the head frame, metres, to photo pixels: 800 to the metre, seen from the front.
SEEN = 800.0 * np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def test_the_mean_head_is_placed_where_its_landmarks_are(baselines: Baselines) -> None:
    points = load_canonical().mediapipe @ SEEN.T
    placed = baselines.mean_head(points)
    expected = to_head_frame(baselines.model.neutral) @ SEEN.T
    assert np.abs(placed - expected).max() < 0.01


def test_the_landmark_fit_finds_the_head_that_its_landmarks_came_from(baselines: Baselines) -> None:
    model = baselines.model
    weights = np.zeros(len(model.modes), dtype=np.float32)
    weights[:5] = [1.5, -1.0, 2.0, 1.0, -1.5]
    head = model.shape(weights)
    points = np.zeros((478, 3))
    points[:468] = to_head_frame(baselines.under_landmarks(head)) @ SEEN.T

    def error(ridge: float) -> float:
        fitted = baselines.landmark_fit(points, Fit(ridge, depth=1.0))
        gap = baselines.under_landmarks(fitted) - points[:468]
        return float(np.linalg.norm(gap, axis=1).mean())

    assert error(ridge=0.1) < 0.3 * error(ridge=1e6)


def test_mediapipes_mesh_reaches_the_nose_and_not_the_ears(baselines: Baselines) -> None:
    model = baselines.model
    nose = model.neutral[model.landmarks[[30]]]
    ear = model.neutral[[np.abs(model.neutral[:, 0]).argmax()]]
    assert baselines.covers(np.concatenate([nose, ear])).tolist() == [True, False]


class FindsNothing:
    """MediaPipe in front of a photo in which it sees no face."""

    name = "blind"

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        return []

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.slow
def test_a_face_that_mediapipe_misses_counts_for_the_unguided_network_only(
    model: HeadModel, tmp_path: Path
) -> None:
    evaluation = Evaluation(model, Network(write_network(tmp_path), "cpu"), FindsNothing())
    outcome, row = evaluation.evaluate(2)
    assert outcome.band == "60-90"
    assert not outcome.found
    assert set(outcome.measures) == {"from_box", "unguided", "multitask"}
    measures = outcome.measures["unguided"]
    assert 0.0 < measures["icp"] <= measures["image"] < 1.0
    assert 0.0 < measures["iou"] < 1.0
    assert row.photo.shape == (352, 352, 3)
    again, _ = evaluation.evaluate(2)
    assert again == outcome


def result(number: int, found: bool) -> Result:
    """Photo of which the guided network made a third less error than the mean head."""
    band = ("0-30", "30-60", "60-90")[number % 3]
    error = {"image": 0.03 + 0.001 * number, "icp": 0.02, "normals": 10.0}
    from_box = {"image": 0.06, "icp": 0.03, "normals": 20.0}
    measures = {"unguided": from_box, "from_box": from_box}
    if found:
        measures |= {"guided": {k: v * 2 / 3 for k, v in error.items()}, "mean_head": error}
    return Result(band, found, measures)


def test_the_table_compares_where_mediapipe_found_the_face() -> None:
    table = summarise([result(number, found=number != 3) for number in range(9)])
    guided, unguided = table["0-30"]["guided"], table["0-30"]["unguided"]
    assert guided["heads"] == 2
    assert guided["share"] == pytest.approx(2 / 3)
    assert guided["image_ratio"] == pytest.approx(2 / 3)
    assert guided["image"] == pytest.approx(0.022)
    assert guided["image_se"] == pytest.approx(0.002)
    assert unguided["share"] == 1
    assert unguided["heads"] == 2
    assert unguided["image_box"] == pytest.approx(0.06)
    assert set(table) == {"0-30", "30-60", "60-90"}


def test_the_printed_table_names_every_system_and_what_is_missing() -> None:
    text = "\n".join(lines(summarise([result(number, found=True) for number in range(6)])))
    assert text.count("guided ") >= 6
    for system in ("multitask", "mean_head", "mediapipe", "landmark_fit"):
        assert text.count(system) == 3
    assert "0.0210 ± 0.0010   0.67" in text


def test_pictures_are_pngs() -> None:
    vertices, triangles = ellipsoid(rows=12)
    photo = np.full((352, 352, 3), 90, np.uint8)
    sheet = draw_sheet([Row(photo, vertices + 176.0, triangles, 0.1, "0-30 degrees", 0.03)])
    curves = draw_curves({"0-30": {"guided": {"image": [0.02, 0.03], "icp": [0.01, 0.02]}}})
    log = draw_log([{"samples": 1000.0, "guided": 0.1, "unguided": 0.2, "mean_head": 0.09}] * 2)
    assert sheet[:4] == curves[:4] == log[:4] == b"\x89PNG"
