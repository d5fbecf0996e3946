# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A sample's truth lies where its picture shows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

from models.training.studio import PHOTO_SIZE, Pose, Shot, Studio
from models.training.synthesise import (
    MARGIN,
    STORED_SIZE,
    Sample,
    make_sample,
    mean_points,
    project_stored,
    write_shard,
)
from tests.training import dots
from vrn_blender.reconstruction.bundle import BUNDLE_NAME
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import VOLUME_DEPTH
from vrn_blender.reconstruction.errors import ModelError
from vrn_blender.reconstruction.landmarks import Face, open_detector

SHARED_BUNDLE = Path(__file__).parents[3] / "shared" / "models" / BUNDLE_NAME

POSES = [(0, 0, 0), (30, 10, 25), (-45, -20, -60), (20, 30, 160)]

# Multi-PIE's landmarks of either side: jaw, brow and eye.
RIGHT_SIDE = [*range(8), *range(17, 22), *range(36, 42)]
LEFT_SIDE = [*range(9, 17), *range(22, 27), *range(42, 48)]
CHIN, RIGHT_EYE, LEFT_EYE = 8, 36, 45


class Finds:
    """A detector that finds given points, or nothing."""

    name = "stand-in"

    def __init__(self, points: NDArray[np.float32] | None = None) -> None:
        self._points = points

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        del rgb
        if self._points is None:
            return []
        return [Face(self._points, np.zeros(len(self._points), np.float32), 0)]

    def close(self) -> None:
        pass


def pose_of(angles: tuple[float, float, float], scale: float = 7.6, distance: float = 60.0) -> Pose:
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix().astype(np.float32)
    return Pose(rotation, scale, 1 / distance, np.array([170.0, 181.0], np.float32))


def shot_of(pose: Pose, places: NDArray[np.floating]) -> Shot:
    """Give a photo of dots at places of the photo."""
    size = (PHOTO_SIZE, PHOTO_SIZE)
    return Shot(
        image=dots.draw(places, PHOTO_SIZE),
        coefficients=np.zeros(5, np.float32),
        pose=pose,
        shown=np.ones(6, bool),
        index=np.full(size, -1, np.int32),
        bary=np.zeros((*size, 2), np.float32),
    )


def picture_of(sample: Sample) -> NDArray[np.uint8]:
    picture = cv2.imdecode(sample.jpeg, cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1], np.uint8)


@pytest.mark.parametrize("angles", POSES)
@pytest.mark.parametrize("scale", [5.5, 9.0])
def test_the_truth_lies_where_the_picture_shows_it(
    angles: tuple[float, float, float], scale: float
) -> None:
    pose = pose_of(angles, scale)
    shot = shot_of(pose, pose.project(dots.head_places()))
    sample = make_sample(np.random.default_rng(0), shot, Finds())
    picture = picture_of(sample)
    assert picture.shape == (STORED_SIZE, STORED_SIZE, 3)
    places = project_stored(dots.head_places(), sample.rotation, sample.camera)
    assert dots.farthest_off(picture, places) < 0.2


@pytest.mark.parametrize("angles", POSES)
def test_mediapipe_s_points_lie_where_the_picture_shows_them(
    angles: tuple[float, float, float],
) -> None:
    pose = pose_of(angles, distance=400.0)
    points = mean_points(pose).astype(np.float32)
    shot = shot_of(pose, points[dots.MEDIAPIPE_PLACES])
    sample = make_sample(np.random.default_rng(0), shot, Finds(points))
    assert sample.found
    stored = sample.points[dots.MEDIAPIPE_PLACES]
    assert dots.farthest_off(picture_of(sample), stored) < 0.2
    # Their depth counts from the volume's middle, as the truth's does.
    true = project_stored(dots.mediapipe_places(), sample.rotation, sample.camera)
    assert np.abs(stored[:, 2] + VOLUME_DEPTH / 2 - true[:, 2]).max() < 1


def test_a_head_stands_upright_in_the_middle_of_its_stored_picture() -> None:
    pose = pose_of((30, 0, 140))
    sample = make_sample(np.random.default_rng(0), shot_of(pose, np.zeros((0, 3))), Finds())
    landmarks = dots.to_model(load_canonical().multipie)
    places = project_stored(landmarks, sample.rotation, sample.camera)[:, :2]
    assert MARGIN < places.min() <= places.max() < STORED_SIZE - MARGIN
    assert abs(places[RIGHT_EYE, 1] - places[LEFT_EYE, 1]) < 4
    assert places[RIGHT_EYE, 0] < places[LEFT_EYE, 0]
    assert places[CHIN, 1] > places[RIGHT_EYE, 1] + 30


def test_a_face_found_somewhere_else_is_not_this_head_s() -> None:
    pose = pose_of((0, 0, 0))
    elsewhere = mean_points(pose).astype(np.float32) + np.array([40, 0, 0], np.float32)
    sample = make_sample(
        np.random.default_rng(0), shot_of(pose, np.zeros((0, 3))), Finds(elsewhere)
    )
    assert not sample.found
    assert not sample.points.any()


def test_a_shard_appears_whole_and_gives_every_sample_back(tmp_path: Path) -> None:
    samples = []
    for number in range(3):
        pose = pose_of((10 * number, 0, 0))
        shot = shot_of(pose, pose.project(dots.head_places()))
        samples.append(make_sample(np.random.default_rng(number), shot, Finds()))
    write_shard(tmp_path / "00007.npz", samples)
    assert [path.name for path in tmp_path.iterdir()] == ["00007.npz"]
    with np.load(tmp_path / "00007.npz") as shard:
        starts = [0, *shard["ends"][:-1]]
        for i, sample in enumerate(samples):
            assert np.array_equal(shard["jpeg"][starts[i] : shard["ends"][i]], sample.jpeg)
            assert np.array_equal(shard["rotation"][i], sample.rotation)
            assert np.array_equal(shard["camera"][i], sample.camera)
            assert np.unpackbits(shard["shown"][i])[:6].all()
        assert not shard["found"].any()


def test_a_photo_shows_the_landmarks_on_the_head(studio: Studio) -> None:
    """Under each landmark that is shown lies a triangle of the head that is near it."""
    rng = np.random.default_rng(5)
    pose = pose_of((20, 5, 10))
    shot = studio.shoot(rng, pose=pose)
    assert shot.image.shape == (PHOTO_SIZE, PHOTO_SIZE, 3)
    assert shot.image.dtype == np.uint8
    assert shot.image.std() > 10
    vertices = studio.model.shape(shot.coefficients)
    screen = pose.project(vertices)
    inner = np.arange(27, 68)
    inner = inner[shot.shown[inner]]
    assert len(inner) > 25
    places = screen[studio.model.landmarks[inner]]
    x, y = places[:, :2].astype(int).T
    triangle = shot.index[y, x]
    assert (triangle >= 0).mean() > 0.9
    under = screen[studio.head_triangles[triangle[triangle >= 0]]].mean(axis=1)
    assert np.median(np.linalg.norm(under - places[triangle >= 0], axis=1)) < 5


@pytest.mark.parametrize(
    ("yaw", "near", "far"), [(50, RIGHT_SIDE, LEFT_SIDE), (-50, LEFT_SIDE, RIGHT_SIDE)]
)
def test_a_turned_head_hides_its_far_side(
    studio: Studio, yaw: float, near: list[int], far: list[int]
) -> None:
    shot = studio.shoot(np.random.default_rng(1), pose=pose_of((yaw, 0, 0)))
    assert shot.shown[near].mean() > 0.8
    assert shot.shown[far].mean() < 0.4


def test_mediapipe_sees_the_face_that_the_truth_tells_of(studio: Studio) -> None:
    """Nose tip and corners of eyes and mouth, to a tenth of the face's width."""
    pytest.importorskip("mediapipe")
    try:
        detector = open_detector(SHARED_BUNDLE if SHARED_BUNDLE.is_file() else None)
    except ModelError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(11)
    shot = studio.shoot(rng, pose=pose_of((10, 5, 15)))
    sample = make_sample(rng, shot, detector)
    detector.close()
    assert sample.found
    vertices = studio.model.shape(sample.coefficients)
    truth = project_stored(vertices, sample.rotation, sample.camera)[studio.model.landmarks]
    ours, theirs = np.array([(30, 4), (36, 33), (45, 263), (48, 61), (54, 291)]).T
    width = np.ptp(sample.points[:, 0])
    gap = np.linalg.norm(truth[ours, :2] - sample.points[theirs, :2], axis=1)
    assert gap.max() < 0.1 * width
    assert np.abs(sample.points[theirs, 2] + VOLUME_DEPTH / 2 - truth[ours, 2]).max() < 0.25 * width


def test_the_same_seed_gives_the_same_photo(studio: Studio) -> None:
    one, other = (studio.shoot(np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert np.array_equal(one.coefficients, other.coefficients)
