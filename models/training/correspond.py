# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Find where on the mean head each MediaPipe landmark lies, and write ``canonical.npz``.

Heads of known geometry are rendered from the front, MediaPipe reads the pictures, and the place in
the neutral mean head under each landmark is noted; the median over many renders is the landmark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import Delaunay
from scipy.spatial.distance import cdist
from tqdm import tqdm

from vrn_blender.reconstruction import canonical
from vrn_blender.reconstruction.landmarks import open_detector

from .head_model import DEFAULT_MODEL, load_head_model
from .studio import Shot, Studio

# MediaPipe's last ten points are the irises; they lie over the eyelids' points and would cut
# needles into the triangulation.
MESH_POINTS = 468


def to_head_frame(points: np.ndarray) -> np.ndarray:
    """Model frame (centimetres, x left, y up, z out) to head frame (metres, z up, faces -y)."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1) / 100.0


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--photos", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bundle", type=Path, default=None, help="face_landmarker.task")
    arguments = parser.parse_args()
    model = load_head_model(arguments.model)
    studio = Studio(model, np.arange(0))
    detector = open_detector(arguments.bundle)
    rng = np.random.default_rng(arguments.seed)
    places = []
    for _ in tqdm(range(arguments.photos), unit="photo"):
        shot = studio.shoot(rng, wide=False)
        for face in detector.detect(shot.image)[:1]:
            places.append(_places_under(face.points, shot, studio, model.neutral))
    stack = np.stack(places)
    median = np.nanmedian(stack, axis=0)
    spread = np.nanmedian(np.linalg.norm(stack - median, axis=2))
    print(f"{len(stack)} of {arguments.photos} photos read, median spread {spread:.2f} cm")
    head = to_head_frame(median).astype(np.float32)
    around = np.arctan2(head[:MESH_POINTS, 0], -head[:MESH_POINTS, 1] + 0.02)
    flat = np.stack([around * 0.1, head[:MESH_POINTS, 2]], axis=1)
    np.savez_compressed(
        canonical.PATH,
        mediapipe=head,
        multipie=to_head_frame(model.neutral[model.landmarks]).astype(np.float32),
        triangles=Delaunay(flat).simplices.astype(np.int16),
        mirror=counterparts(head).astype(np.int16),
    )


def counterparts(points: np.ndarray) -> np.ndarray:
    """Pair landmarks (N, 3), head frame, with those that lie where their mirror images do: (N,)."""
    apart = cdist(points * (-1.0, 1.0, 1.0), points)
    return linear_sum_assignment(apart)[1]


def _places_under(points: np.ndarray, shot: Shot, studio: Studio, rest: np.ndarray) -> np.ndarray:
    size = shot.index.shape[0]
    x = np.clip(points[:, 0].astype(int), 0, size - 1)
    y = np.clip(points[:, 1].astype(int), 0, size - 1)
    triangle = shot.index[y, x]
    corners = studio.head_triangles[np.maximum(triangle, 0)]
    weights = shot.bary[y, x]
    weights = np.concatenate([weights, 1.0 - weights.sum(1, keepdims=True)], axis=1)
    place = np.einsum("nk,nkc->nc", weights, rest[corners])
    place[triangle < 0] = np.nan
    return place


if __name__ == "__main__":
    main()
