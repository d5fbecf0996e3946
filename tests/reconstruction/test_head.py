# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The head station: upright, facing -y, in metres, whatever the pose in the photo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import Crop
from vrn_blender.reconstruction.errors import ModelError
from vrn_blender.reconstruction.head import HeadFrame, head_frame, photo_camera
from vrn_blender.reconstruction.landmarks import Face
from vrn_blender.reconstruction.surface import extract_surface

Array = NDArray[Any]

PHOTO_PIXELS_A_VOXEL = 2.5
METRES_A_VOXEL = 1 / 560

NOSE_TIP, CHIN, OUTER_RIGHT_EYE, OUTER_LEFT_EYE = 30, 8, 36, 45
FACING_THE_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def turn(yaw: float, pitch: float, roll: float) -> Array:
    """Rotation of the volume frame, angles in degrees about y, x and z."""
    a, b, c = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def to_volume(points: Array, rotation: Array) -> Array:
    """Head-frame points as a camera would see them after a rotation, volume frame."""
    voxels = points @ (rotation @ FACING_THE_CAMERA).T / METRES_A_VOXEL
    return (voxels + np.array([96, 96, 100])).astype(np.float32)


def make_crop() -> Crop:
    """Crop of a photo whose frame is 2.5 times as fine and shifted."""
    matrix = np.array([[1, 0, -30.0], [0, 1, -20.0]]) / PHOTO_PIXELS_A_VOXEL
    return Crop(np.zeros((192, 192, 3), np.uint8), matrix)


def make_face(rotation: Array, iris_metres: float, metres_a_voxel: float) -> Face:
    """Face whose iris rings, parallel to the image as MediaPipe's are, are of a given size."""
    points = to_volume(load_canonical().mediapipe, rotation)
    radius = iris_metres / metres_a_voxel / 2
    for centre in (468, 473):
        ring = np.array([(1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)]) * radius
        points[centre + 1 : centre + 5] = points[centre] + ring
    photo = (points - [0, 0, 100]) * PHOTO_PIXELS_A_VOXEL + [30, 20, 0]
    return Face(photo.astype(np.float32), np.zeros(len(photo), np.float32), 0)


def mean_frame(rotation: Array, face: Face | None = None) -> HeadFrame:
    """Frame of the mean head in a given pose."""
    return head_frame(to_volume(load_canonical().multipie, rotation), face, make_crop())


@pytest.mark.parametrize("pose", [(0, 0, 0), (50, 0, 0), (-35, 20, 10), (10, -30, -40), (90, 0, 0)])
def test_any_pose_comes_back_upright_and_in_metres(pose: tuple[float, float, float]) -> None:
    """The mean head's landmarks return to where they are."""
    rotation = turn(*pose)
    landmarks = load_canonical().multipie
    frame = mean_frame(rotation)
    back = frame.apply(to_volume(landmarks, rotation))
    assert back.dtype == np.float32
    assert np.abs(back - landmarks).max() < 1e-5
    assert frame.metres_per_voxel == pytest.approx(METRES_A_VOXEL, rel=1e-4)


def test_the_head_faces_minus_y_with_its_left_on_plus_x() -> None:
    """Blender's axes, told by the landmarks themselves."""
    rotation = turn(25, -10, 15)
    head = mean_frame(rotation).apply(to_volume(load_canonical().multipie, rotation))
    eyes = (head[OUTER_LEFT_EYE] + head[OUTER_RIGHT_EYE]) / 2
    assert head[OUTER_LEFT_EYE, 0] - head[OUTER_RIGHT_EYE, 0] == pytest.approx(0.09, abs=0.01)
    assert head[NOSE_TIP, 1] < eyes[1] - 0.02
    assert head[CHIN, 2] < eyes[2] - 0.08


def test_image_right_is_the_subjects_left_and_no_mirror_is_between() -> None:
    """Volume and head frame are both right-handed, so the winding of triangles stays."""
    matrix = mean_frame(turn(0, 0, 0)).volume_to_head
    axes = matrix[:3, :3] / METRES_A_VOXEL
    assert np.allclose(axes, [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-4)
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-3)
    tetrahedron = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], np.float32)
    a, b, c, d = HeadFrame(matrix).apply(tetrahedron).astype(np.float64)
    assert np.dot(b - a, np.cross(c - a, d - a)) > 0


def test_a_surface_keeps_its_outward_winding() -> None:
    volume = np.zeros((9, 8, 7), np.uint8)
    volume[3:6, 2:6, 2:5] = 255
    surface = extract_surface(volume)
    vertices = mean_frame(turn(30, 20, 10)).apply(surface.vertices).astype(np.float64)
    a, b, c = vertices[surface.faces].transpose(1, 0, 2)
    assert np.einsum("ij,ij->", a, np.cross(b, c)) > 0


def test_mirrored_landmarks_never_mirror_the_head() -> None:
    """The frame stays a proper rotation even if the network errs that far."""
    landmarks = to_volume(load_canonical().multipie, turn(0, 0, 0))
    landmarks[:, 2] = 200 - landmarks[:, 2]
    frame = head_frame(landmarks, None, make_crop())
    assert np.linalg.det(frame.volume_to_head[:3, :3]) > 0


def test_mouth_and_jaw_do_not_turn_the_head() -> None:
    """An open mouth moves forty landmarks and not the pose."""
    landmarks = to_volume(load_canonical().multipie, turn(0, 0, 0))
    opened = landmarks.copy()
    opened[2:15] += [3, 20, 5]
    opened[48:] += [3, 15, 0]
    expected = head_frame(landmarks, None, make_crop())
    assert np.array_equal(
        head_frame(opened, None, make_crop()).volume_to_head, expected.volume_to_head
    )


def test_noisy_landmarks_turn_the_head_by_less_than_two_degrees() -> None:
    """A voxel of noise on each coordinate is what a network leaves."""
    rng = np.random.default_rng(0)
    landmarks = to_volume(load_canonical().multipie, turn(20, 5, 0))
    true = FACING_THE_CAMERA.T @ turn(20, 5, 0).T
    for _ in range(20):
        noise = rng.normal(0, 1, landmarks.shape)
        noisy = (landmarks + noise).astype(np.float32)
        found = head_frame(noisy, None, make_crop())
        assert found.metres_per_voxel == pytest.approx(METRES_A_VOXEL, rel=0.03)
        rotation = found.volume_to_head[:3, :3] / found.metres_per_voxel
        cosine = (np.trace(true.T @ rotation) - 1) / 2
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) < 2


@pytest.mark.parametrize("size", [0.92, 1.0, 1.08])
def test_the_iris_sets_the_size(size: float) -> None:
    """A head whose iris looks small beside the mean head's is large, and the other way round."""
    rotation = turn(0, 0, 0)
    face = make_face(rotation, 0.0117, METRES_A_VOXEL * size)
    frame = mean_frame(rotation, face)
    assert frame.metres_per_voxel == pytest.approx(METRES_A_VOXEL * size, rel=1e-3)
    rings = face.points.astype(np.float64)[[469, 471]] / PHOTO_PIXELS_A_VOXEL
    across = np.linalg.norm(rings[0] - rings[1]) * frame.metres_per_voxel
    assert across == pytest.approx(0.0117, rel=1e-3)


def test_the_origin_stays_between_the_ears_whatever_the_size() -> None:
    """Heads grow about the origin."""
    rotation = turn(15, 0, 0)
    origin = to_volume(np.zeros((1, 3)), rotation)
    for size in (0.9, 1.1):
        frame = mean_frame(rotation, make_face(rotation, 0.0117, METRES_A_VOXEL * size))
        assert np.abs(frame.apply(origin)).max() < 1e-5


@pytest.mark.parametrize(("iris", "expected"), [(0.0, 1.12), (0.003, 1.12), (0.05, 1 / 1.12)])
def test_an_impossible_iris_is_believed_no_further_than_twelve_percent(
    iris: float, expected: float
) -> None:
    """Closed eyes and profiles give any number."""
    rotation = turn(0, 0, 0)
    frame = mean_frame(rotation, make_face(rotation, iris, METRES_A_VOXEL))
    assert frame.metres_per_voxel == pytest.approx(METRES_A_VOXEL * expected, rel=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 96.0])
def test_landmarks_that_are_no_face_are_an_error_with_a_remedy(value: float) -> None:
    """A broken network must not give a broken head."""
    with pytest.raises(ModelError, match="choose another photo"):
        head_frame(np.full((68, 3), value, np.float32), None, make_crop())


def test_the_camera_sees_the_head_where_the_photo_does() -> None:
    """Photo pixels of a point are what the orthographic camera makes of its place in the head."""
    rng = np.random.default_rng(3)
    turn = np.array([[0.6, 0.2], [-0.2, 0.6]])
    crop = Crop(
        np.zeros((192, 192, 3), np.uint8), np.column_stack([turn, (-30.0, 12.0)]), middle_depth=0.0
    )
    scale, rotation = 0.0018, Rotation.from_euler("xyz", (0.3, -0.4, 0.2)).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = scale * rotation, (0.01, -0.3, 0.2)
    frame = HeadFrame(matrix)
    camera = photo_camera(frame, crop, (640, 480))
    places = rng.uniform(0, 190, (20, 3)).astype(np.float32)
    in_photo = places[:, :2] @ crop.crop_to_photo[:, :2].T + crop.crop_to_photo[:, 2]
    seen = np.linalg.inv(camera.matrix) @ np.c_[frame.apply(places), np.ones(20)].T
    x = seen[0] / camera.metres_per_pixel + camera.width / 2
    y = camera.height / 2 - seen[1] / camera.metres_per_pixel
    np.testing.assert_allclose(np.stack([x, y], 1), in_photo, atol=1e-3)
    assert (seen[2] < 0).all(), "Blender's cameras look along -z."
    np.testing.assert_allclose(
        camera.matrix[:3, :3] @ camera.matrix[:3, :3].T, np.eye(3), atol=1e-9
    )
    assert np.linalg.det(camera.matrix[:3, :3]) > 0
