# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""NumPy's cameras, which make the truth, and PyTorch's, which are trained on it, are the same."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

import torch

from models.training.head_model import HeadModel
from models.training.networks import (
    NOMINAL_NEARNESS,
    NOMINAL_SCALE,
    camera,
    place,
)
from models.training.studio import Pose
from models.training.synthesise import MODEL_MIDDLE, loss_vertices, project_stored
from models.training.train import Truth
from tests.training.poses import raw_pose
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH

POSES = [(0, 0, 0), (40, 10, -20), (-85, 5, 30), (15, -50, 170)]


def rotation_of(angles: tuple[float, float, float]) -> NDArray[np.float32]:
    return Rotation.from_euler("yxz", angles, degrees=True).as_matrix().astype(np.float32)


def head(count: int = 200) -> NDArray[np.float32]:
    """Random places in and about a head, model frame, centimetres."""
    return np.random.default_rng(0).uniform(-12, 12, (count, 3)).astype(np.float32)


def test_any_raw_pose_means_a_proper_rotation_and_a_possible_camera() -> None:
    raw = torch.from_numpy(np.random.default_rng(0).normal(0, 0.4, (500, 10)).astype(np.float32))
    rotation, scale, nearness, origin = camera(raw)
    gap = rotation @ rotation.transpose(1, 2) - torch.eye(3)
    assert gap.abs().max() < 1e-4
    assert torch.linalg.det(rotation).numpy() == pytest.approx(1, abs=1e-4)
    assert scale.min() > 0
    # From 20 metres to 5 centimetres.
    assert 0.0004 < nearness.min() <= nearness.max() < 0.21
    depth = scale[:, 0] * (rotation[:, 2] @ torch.from_numpy(MODEL_MIDDLE))
    assert (origin[:, 2] - depth).numpy() == pytest.approx(VOLUME_DEPTH / 2, abs=1e-3)


def test_the_raw_pose_of_zeros_is_a_head_straight_in_the_crop_s_middle() -> None:
    rotation, scale, nearness, origin = camera(torch.zeros(1, 10))
    assert torch.equal(rotation[0], torch.eye(3))
    assert scale.item() == pytest.approx(NOMINAL_SCALE)
    assert nearness.item() == pytest.approx(NOMINAL_NEARNESS)
    way = NOMINAL_SCALE * MODEL_MIDDLE * (1, -1, -1)
    middle = np.array([CROP_SIZE / 2, CROP_SIZE / 2, VOLUME_DEPTH / 2])
    assert origin[0].numpy() + way == pytest.approx(middle, abs=1e-4)


def test_the_head_model_s_origin_is_placed_where_the_camera_says() -> None:
    raw = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (20, 10)).astype(np.float32))
    origin = camera(raw)[3]
    assert torch.equal(place(torch.zeros(20, 1, 3), raw)[:, 0], origin)


def test_a_head_stands_upright_in_the_volume_with_its_left_on_the_right() -> None:
    """Model y is up and z out of the face; volume y is down and z away from the camera."""
    placed = place(torch.eye(3)[None], torch.zeros(1, 10)) - camera(torch.zeros(1, 10))[3]
    assert np.sign(placed[0].numpy().round(3)).tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, -1]]


@pytest.mark.parametrize("angles", POSES)
@pytest.mark.parametrize("distance", [38.0, 100.0, 400.0])
def test_place_is_project_stored(angles: tuple[float, float, float], distance: float) -> None:
    rotation = rotation_of(angles)
    cam = np.array([5.1, 1 / distance, 101.0, 88.0], np.float32)
    raw = torch.from_numpy(raw_pose(rotation, cam[0], cam[1], cam[2:]))
    (placed,) = place(torch.from_numpy(head())[None], raw[None]).numpy()
    assert np.abs(placed - project_stored(head(), rotation, cam)).max() < 1e-3


@pytest.mark.parametrize("angles", POSES)
def test_a_stored_picture_shows_what_the_pose_projects(angles: tuple[float, float, float]) -> None:
    rotation = rotation_of(angles)
    pose = Pose(rotation, 6.2, 0.01, np.array([130.0, 120.0], np.float32))
    stored = project_stored(head(), rotation, np.array([6.2, 0.01, 130.0, 120.0], np.float32))
    assert np.array_equal(stored[:, :2], pose.project(head())[:, :2])
    camera_of_middle = np.array([6.2, 0.01, 130.0, 120.0], np.float32)
    (middle,) = project_stored(MODEL_MIDDLE[None], rotation, camera_of_middle)
    assert middle[2] == pytest.approx(VOLUME_DEPTH / 2, abs=1e-3)
    turned = head() @ rotation.T
    nearer = np.argsort(turned[:, 2])
    assert (np.diff(stored[nearer, 2]) <= 1e-4).all()


def test_training_s_truth_is_the_stored_picture_s(model: HeadModel) -> None:
    truth = Truth(model)
    rng = np.random.default_rng(0)
    coefficients = np.zeros((len(POSES), len(model.modes)), np.float32)
    coefficients[:, : model.identities] = rng.normal(size=(len(POSES), model.identities))
    rotation = np.stack([rotation_of(angles) for angles in POSES])
    cameras = np.column_stack(
        [rng.uniform(5, 6, 4), rng.uniform(0.002, 0.025, 4), rng.uniform(80, 110, (4, 2))]
    ).astype(np.float32)
    batch = {"rotation": torch.from_numpy(rotation), "camera": torch.from_numpy(cameras)}
    ours = truth.project(truth.vertices(torch.from_numpy(coefficients)), batch).numpy()
    for i in range(len(POSES)):
        vertices = model.shape(coefficients[i])[loss_vertices(model)]
        expected = project_stored(vertices, rotation[i], cameras[i])
        assert np.abs(ours[i] - expected).max() < 0.02
