# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How far the same feature wanders in the atlas from head to head.

    python -m tests.benchmarks.atlas --heads 20

The heads are unseen synthetic people whose true landmarks are known. Each landmark is looked up at
the nearest visible place of the head that the add-on makes of the photo; printed is how far its
place in the atlas lies from its mean over all heads, as a share of the distance of the outer
corners of the eyes there. Needs the packages of the extra "train" and ../shared.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.training.evaluate import BANDS, HELD_OUT, Evaluation
from models.training.head_model import load_head_model
from vrn_blender.reconstruction.atlas import paint_ready
from vrn_blender.reconstruction.crop import crop_face
from vrn_blender.reconstruction.fit import FIRST, fit_to_landmarks
from vrn_blender.reconstruction.guidance import draw_guidance
from vrn_blender.reconstruction.landmarks import open_detector
from vrn_blender.reconstruction.mesh import Mesh
from vrn_blender.reconstruction.network import Network
from vrn_blender.reconstruction.photo import photo_from_array
from vrn_blender.reconstruction.result import SURFACES
from vrn_blender.reconstruction.surface import extract_surface

OUTER_CORNERS = (36 - FIRST, 45 - FIRST)


def wandering(places: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far features lie from their mean places.

    Parameters
    ----------
    places : (H, 51, 2) float
        In the atlas, of the Multi-PIE landmarks from 17 on, for each head.

    Returns
    -------
    (H, 51) float64
        Shares of the distance between the mean outer corners of the eyes.
    """
    mean = places.mean(axis=0)
    unit = np.linalg.norm(mean[OUTER_CORNERS[0]] - mean[OUTER_CORNERS[1]])
    return np.linalg.norm(places - mean, axis=2) / unit


def places_of(mesh: Mesh, landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Atlas places (N, 2) of the corners nearest to landmarks (N, 3), volume frame."""
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    _, nearest = cKDTree(corners).query(landmarks)
    return mesh.uv.reshape(-1, 2)[nearest]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.atlas", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--heads", type=int, default=20)
    heads = parser.parse_args().heads
    evaluation = Evaluation(load_head_model(), Network(device="cpu"), open_detector())
    places: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in SURFACES}
    number = 0
    while len(places["raw"]) < heads:
        shot = evaluation.shoot(np.random.default_rng([HELD_OUT + number]), BANDS["0-30"])
        number += 1
        photo = photo_from_array(shot.image, "head")
        face = evaluation.find(photo, shot.pose)
        if face is None:
            continue
        crop = crop_face(photo, face)
        prediction = evaluation.network.predict(crop, draw_guidance(face, crop))
        surface = extract_surface(prediction.volume)
        surface, landmarks = fit_to_landmarks(surface, prediction, face, crop)
        truth, _ = evaluation.truth(shot)
        # The truth counts depth from the head's middle.
        true = replace(crop, middle_depth=0.0).to_volume(truth.landmarks[FIRST:])
        for kind in SURFACES:
            places[kind].append(places_of(paint_ready(surface, landmarks, kind), true))
    for kind, found in places.items():
        off = wandering(np.stack(found))
        print(f"{kind}: mean {off.mean():.1%}, 95 % below {np.quantile(off, 0.95):.1%}")


if __name__ == "__main__":
    main()
