# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Make synthetic photos, run MediaPipe on each, and write shards that ``train`` reads.

A shard holds, for each of its samples, a 320 x 320 JPEG (the crop that the add-on would make, with
64 pixels more on every side, so that training may move the crop), MediaPipe's landmarks, and the
true head and pose in the frame of that picture.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import MIDDLE, VOLUME_DEPTH, face_placement
from vrn_blender.reconstruction.landmarks import Detector, open_detector

from .head_model import DEFAULT_MODEL, HeadModel, load_head_model
from .studio import Pose, Shot, Studio

MARGIN = 64
STORED_SIZE = 192 + 2 * MARGIN
SHARD = 500

# The crop's middle in the model frame, centimetres.
MODEL_MIDDLE = (100.0 * np.array([MIDDLE[0], MIDDLE[2], -MIDDLE[1]])).astype(np.float32)


def loss_vertices(model: HeadModel) -> np.ndarray:
    """Vertices (N,) that training compares: the landmarks, then an even share of face and head."""
    face, head = model.parts["face"], model.parts["head_and_neck"]
    return np.concatenate([model.landmarks, np.arange(*face, 9), np.arange(*head, 4)])


@dataclass(frozen=True)
class Sample:
    """What is stored of a shot, in the frame of its 320 x 320 picture.

    Attributes
    ----------
    jpeg : (B,) uint8
    coefficients : (K,) float32
    rotation : (3, 3) float32
        Model frame to camera frame (x right, y up, z towards the camera).
    camera : (4,) float32
        Pixels a centimetre, nearness (1 / cm), and the head's origin x, y in pixels.
    points : (478, 3) float32
        MediaPipe's landmarks; depth counts from ``MIDDLE``. Zeros where no face was found.
    found : bool
    shown : (N,) bool
    """

    jpeg: np.ndarray
    coefficients: np.ndarray
    rotation: np.ndarray
    camera: np.ndarray
    points: np.ndarray
    found: bool
    shown: np.ndarray


def mean_points(pose: Pose) -> np.ndarray:
    """Where the mean face's landmarks (478, 3) would lie in a photo of this pose."""
    head = load_canonical().mediapipe
    return pose.project(100.0 * np.stack([head[:, 0], head[:, 2], -head[:, 1]], 1))


def make_sample(rng: np.random.Generator, shot: Shot, detector: Detector) -> Sample:
    """Crop a shot as the add-on would, and move its truth along."""
    true = mean_points(shot.pose)
    faces = detector.detect(shot.image)
    faces = [f for f in faces if np.abs(f.points[:, :2].mean(0) - true[:, :2].mean(0)).max() < 30]
    points = faces[0].points if faces else true
    matrix, middle_depth = face_placement(points)
    matrix = matrix.copy()
    matrix[:, 2] += MARGIN
    scale = float(np.sqrt(np.linalg.det(matrix[:, :2])))
    c, s = matrix[0, 0] / scale, matrix[0, 1] / scale
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=np.float32)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    source = shot.image
    if scale < 0.9:
        source = cv2.GaussianBlur(source, (0, 0), 0.35 / scale)
    picture = cv2.warpAffine(
        source, shifted, (STORED_SIZE, STORED_SIZE), borderMode=cv2.BORDER_REPLICATE
    )
    quality = int(rng.integers(45, 97))
    _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    origin = matrix[:, :2] @ shot.pose.centre + matrix[:, 2]
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    depth = (points[:, 2:] - middle_depth) * scale
    placed = np.concatenate([flat, depth], axis=1) if faces else np.zeros((478, 3))
    return Sample(
        jpeg=jpeg.ravel(),
        coefficients=shot.coefficients,
        rotation=turn @ shot.pose.rotation,
        camera=np.array([shot.pose.scale * scale, shot.pose.nearness, *origin], dtype=np.float32),
        points=placed.astype(np.float32),
        found=bool(faces),
        shown=shot.shown,
    )


def project_stored(vertices: np.ndarray, rotation: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Model-frame vertices (V, 3), centimetres, in the frame of a stored picture.

    Returns
    -------
    (V, 3) float32
        x, y in pixels of the picture; depth in voxels of the volume frame.
    """
    pose = Pose(rotation, float(camera[0]), float(camera[1]), camera[2:])
    out = pose.project(vertices)
    out[:, 2] += VOLUME_DEPTH / 2 + pose.scale * float(rotation[2] @ MODEL_MIDDLE)
    return out


def write_shard(path: Path, samples: list[Sample]) -> None:
    """Write samples as one archive that appears whole."""
    ends = np.cumsum([len(s.jpeg) for s in samples])
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            jpeg=np.concatenate([s.jpeg for s in samples]),
            ends=ends,
            coefficients=np.stack([s.coefficients for s in samples]),
            rotation=np.stack([s.rotation for s in samples]),
            camera=np.stack([s.camera for s in samples]),
            points=np.stack([s.points for s in samples]),
            found=np.array([s.found for s in samples]),
            shown=np.packbits(np.stack([s.shown for s in samples]), axis=1),
        )
    part.replace(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, default=Path("models/training/runs/shards"))
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number, and seed, of the first shard")
    parser.add_argument(
        "--step", type=int, default=1, help="write every n-th shard, for n processes"
    )
    parser.add_argument("--bundle", type=Path, default=None, help="face_landmarker.task")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    model = load_head_model(arguments.model)
    studio = Studio(model, loss_vertices(model))
    detector = open_detector(arguments.bundle)
    numbers = range(arguments.first, arguments.first + arguments.shards, arguments.step)
    for number in tqdm(numbers, unit="shard", disable=not os.isatty(2)):
        path = arguments.output / f"{number:05d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng([number, 7])
        samples = [make_sample(rng, studio.shoot(rng), detector) for _ in range(SHARD)]
        write_shard(path, samples)
        found = np.mean([s.found for s in samples])
        tqdm.write(f"{path.name}: MediaPipe found {found:.0%}")


if __name__ == "__main__":
    main()
