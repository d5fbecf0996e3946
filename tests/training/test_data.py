# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Whatever a batch does to its crops, truth and guidance follow the picture."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

import cv2

from models.training import data
from models.training.data import VALIDATION_SHARDS, Batch, Shards, augment, landmark_vertices
from models.training.head_model import HeadModel, mirror_modes
from models.training.synthesise import (
    MARGIN,
    STORED_SIZE,
    Sample,
    loss_vertices,
    project_stored,
    write_shard,
)
from tests.training import dots
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS, DEPTH_UNIT, FACE_UNIT

SAMPLES = 3
MOVES = 12
"""How many random moves a test looks at."""


def make(number: int, model: HeadModel, *, found: bool = True) -> Sample:
    """Make a sample whose picture has dots where the mean face's landmarks are.

    Its number is its first coefficient.
    """
    angles = (8 * number, -4 * number, 3)
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix().astype(np.float32)
    camera = np.array([5.6, 1 / 300, STORED_SIZE / 2, STORED_SIZE / 2 + 2], np.float32)
    head = dots.to_model(load_canonical().mediapipe)
    points = project_stored(head, rotation, camera) - np.array([0, 0, VOLUME_DEPTH / 2])
    picture = dots.draw(points[dots.MEDIAPIPE_PLACES], STORED_SIZE)
    _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return Sample(
        jpeg=jpeg.ravel(),
        coefficients=number * np.eye(1, len(model.modes), dtype=np.float32)[0],
        rotation=rotation,
        camera=camera,
        points=points.astype(np.float32) if found else np.zeros((478, 3), np.float32),
        found=found,
        shown=model.neutral[loss_vertices(model), 0] > 0,
    )


@pytest.fixture
def shards(model: HeadModel, tmp_path: Path) -> Path:
    """Give a folder of one shard more than validation keeps."""
    for number in range(VALIDATION_SHARDS + 1):
        samples = [make(SAMPLES * number + i, model) for i in range(SAMPLES)]
        write_shard(tmp_path / f"{number:05d}.npz", samples)
    return tmp_path


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave colours and landmarks as they are: only places are looked at."""
    monkeypatch.setattr(data, "augment", lambda rgb, _rng: rgb)
    monkeypatch.setattr(data, "IMPROVED", 0.0)
    monkeypatch.setattr(data, "MIRRORED", 0.0)


def batches(folder: Path, model: HeadModel, *, guided: float, seed: int = 0) -> list[Batch]:
    return list(itertools.islice(Shards(folder, model, seed, guided=guided), MOVES))


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("guided", [0.0, 1.0])
def test_the_truth_moves_with_the_picture(model: HeadModel, shards: Path, guided: float) -> None:
    cameras = []
    for batch in batches(shards, model, guided=guided):
        assert batch["image"].shape == (CROP_SIZE, CROP_SIZE, 3)
        assert batch["guided"] == guided
        truth = project_stored(dots.mediapipe_places(), batch["rotation"], batch["camera"])
        assert dots.farthest_off(batch["image"], truth) < 0.2
        cameras.append(batch["camera"])
    assert np.ptp(cameras, axis=0)[[0, 2, 3]].min() > 0.1


@pytest.mark.usefixtures("plain")
def test_the_guidance_moves_with_the_picture(model: HeadModel, shards: Path) -> None:
    """At each dot it names the landmark that the dot stands for, and the truth's depth."""
    some = dots.MEDIAPIPE_PLACES
    inside = ~np.isin(some, [152, 234, 454, 10])
    names = load_canonical().mediapipe[some][inside]
    for batch in batches(shards, model, guided=1.0):
        truth = project_stored(dots.mediapipe_places(), batch["rotation"], batch["camera"])[inside]
        x, y = np.floor(truth[:, :2]).astype(int).T
        drawn = batch["guidance"][:, y, x].T
        assert drawn.shape == (inside.sum(), CHANNELS)
        assert (drawn[:, 0] == 1).all()
        gap = np.linalg.norm(drawn[:, 1:4] * FACE_UNIT - names, axis=1)
        assert np.median(gap) < 0.003
        depth = drawn[:, 4] * DEPTH_UNIT + VOLUME_DEPTH / 2 - truth[:, 2]
        assert abs(np.median(depth)) < 1.5


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("guided", [0.0, 1.0])
def test_the_landmarks_move_with_the_picture(model: HeadModel, shards: Path, guided: float) -> None:
    head = dots.to_model(load_canonical().mediapipe)
    for batch in batches(shards, model, guided=guided):
        truth = project_stored(head, batch["rotation"], batch["camera"])
        assert batch["points"].shape == (478, 3)
        assert np.abs(batch["points"] - truth).max() < 1e-3


@pytest.mark.parametrize("guided", [0.0, 1.0])
def test_a_mirrored_sample_is_mirrored_in_everything(
    model: HeadModel,
    shards: Path,
    plain: None,
    monkeypatch: pytest.MonkeyPatch,
    guided: float,
) -> None:
    monkeypatch.setattr(data, "MIRRORED", 1.0)
    opposite = data._opposite(load_canonical().mediapipe)
    assert sorted(opposite) == list(range(478))
    head = dots.to_model(load_canonical().mediapipe)
    left = model.neutral[loss_vertices(model), 0]
    for batch in batches(shards, model, guided=guided):
        pose = batch["rotation"], batch["camera"]
        mirrored = project_stored(head[opposite] * data.ACROSS, *pose)
        assert dots.farthest_off(batch["image"], mirrored[dots.MEDIAPIPE_PLACES]) < 0.2
        assert np.abs(batch["points"] - mirrored).max() < 1e-2
        # A face is nearly symmetric, so each landmark lands near where its own name says.
        assert np.abs(batch["points"] - project_stored(head, *pose)).mean() < 1.0
        assert batch["shown"][left > 1.0].mean() < 0.05
        assert batch["shown"][left < -1.0].mean() > 0.95
        assert np.linalg.det(batch["rotation"]) == pytest.approx(1, abs=1e-5)


def test_the_weights_of_a_mirrored_head_make_the_mirror_image(model: HeadModel) -> None:
    weights = np.random.default_rng(2).normal(0, 1, len(model.modes)).astype(np.float32)
    mirrored = model.shape(mirror_modes(model) @ weights)
    first, last = model.parts["face"]
    _, opposite = cKDTree(model.neutral).query(model.neutral[first:last] * data.ACROSS)
    expected = model.shape(weights)[opposite] * data.ACROSS
    size = np.linalg.norm(expected - model.neutral[first:last], axis=1).mean()
    gap = np.linalg.norm(mirrored[first:last] - expected, axis=1).mean()
    assert gap < 0.02 * size
    assert np.abs(mirror_modes(model)).max() < 1.1


@pytest.mark.parametrize("improved", [0.0, 1.0])
def test_landmarks_are_improved_on_straight_ways_to_the_truth(
    model: HeadModel,
    shards: Path,
    plain: None,
    monkeypatch: pytest.MonkeyPatch,
    improved: float,
) -> None:
    """All of a face's by the same share of their way, which differs from sample to sample."""
    monkeypatch.setattr(data, "IMPROVED", improved)
    marks = landmark_vertices(model)
    head = dots.to_model(load_canonical().mediapipe)
    shares = []
    for batch in batches(shards, model, guided=1.0):
        pose = batch["rotation"], batch["camera"]
        stored = project_stored(head, *pose)
        way = project_stored(model.shape(batch["coefficients"])[marks], *pose) - stored
        gone = batch["points"] - stored
        share = (gone * way).sum() / (way * way).sum()
        assert np.abs(gone - share * way).max() < 1e-3
        shares.append(share)
    assert min(shares) > -1e-3
    assert max(shares) < 1
    assert (np.ptp(shares) > 0.3) == bool(improved)


@pytest.mark.usefixtures("plain")
def test_moves_are_rotations_that_stay_proper(model: HeadModel, shards: Path) -> None:
    for batch in batches(shards, model, guided=0.0):
        rotation = batch["rotation"]
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-5)


def test_an_unguided_sample_has_no_guidance_and_a_wider_choice_of_crops(
    model: HeadModel, shards: Path
) -> None:
    guided, unguided = (batches(shards, model, guided=share) for share in (1.0, 0.0))
    assert not any(batch["guidance"].any() for batch in unguided)
    assert all(batch["guidance"].any() for batch in guided)
    spread = [np.std([b["camera"][2:] for b in kind], axis=0).mean() for kind in (guided, unguided)]
    assert spread[1] > 1.5 * spread[0]


def test_a_face_that_mediapipe_missed_is_never_guided(model: HeadModel, tmp_path: Path) -> None:
    for number in range(VALIDATION_SHARDS + 1):
        write_shard(tmp_path / f"{number:05d}.npz", [make(0, model, found=False)])
    for batch in batches(tmp_path, model, guided=1.0):
        assert batch["guided"] == 0
        assert not batch["guidance"].any()


def test_training_never_sees_the_validation_shards(model: HeadModel, shards: Path) -> None:
    seen = {float(batch["coefficients"][0]) for batch in batches(shards, model, guided=0.7)}
    assert min(seen) >= SAMPLES * VALIDATION_SHARDS


def test_validation_walks_its_shards_once_in_order_and_leaves_the_picture(
    model: HeadModel, shards: Path
) -> None:
    rows = list(Shards(shards, model, 0, validation=True, guided=1.0))
    numbers = [int(row["coefficients"][0]) for row in rows]
    assert numbers == list(range(SAMPLES * VALIDATION_SHARDS))
    for number, row in zip(numbers, rows, strict=True):
        sample = make(number, model)
        picture = cv2.imdecode(sample.jpeg, cv2.IMREAD_COLOR)[..., ::-1]
        inner = slice(MARGIN, STORED_SIZE - MARGIN)
        assert np.abs(row["image"].astype(int) - picture[inner, inner]).max() <= 1
        assert np.allclose(row["camera"], sample.camera - np.array([0, 0, MARGIN, MARGIN]))
        assert np.allclose(row["rotation"], sample.rotation, atol=1e-6)
        assert row["shown"][: len(sample.shown)].tolist() == sample.shown.tolist()
        offset = np.array([-MARGIN, -MARGIN, VOLUME_DEPTH / 2], np.float32)
        assert np.allclose(row["points"], sample.points + offset)


def test_the_same_seed_gives_the_same_samples(model: HeadModel, shards: Path) -> None:
    first, again, other = (batches(shards, model, guided=0.7, seed=seed) for seed in (4, 4, 5))
    pairs = zip(first, again, strict=True)
    assert all(np.array_equal(a["image"], b["image"]) for a, b in pairs)
    assert not all(
        np.array_equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True)
    )


def test_changed_colours_leave_a_crop_a_crop() -> None:
    rng = np.random.default_rng(0)
    rgb = np.ascontiguousarray(rng.integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8))
    kept = rgb.copy()
    changed = [augment(rgb, rng) for _ in range(20)]
    assert all(out.shape == rgb.shape and out.dtype == np.uint8 for out in changed)
    assert np.array_equal(rgb, kept)
    assert len({out.tobytes() for out in changed}) == 20
