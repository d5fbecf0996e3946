# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Learn how far off network and MediaPipe are from how far their two readings lie apart.

    python -m models.training.doubts --heads 300

Each of them reads a photo and its mirror image. This prints the ratio, and the error of landmarks
that lie between the two as ``vrn_blender/reconstruction/fit.py`` puts them. The photos are renders,
none of them one of ``evaluate``.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import astuple, dataclass, replace

import cv2
import numpy as np
from tqdm import tqdm

from vrn_blender.reconstruction.crop import crop_face
from vrn_blender.reconstruction.fit import FIRST, compare, doubts, mediapipe_share
from vrn_blender.reconstruction.guidance import draw_guidance
from vrn_blender.reconstruction.landmarks import open_detector
from vrn_blender.reconstruction.network import Network
from vrn_blender.reconstruction.photo import photo_from_array

from .evaluate import BANDS, Evaluation
from .head_model import DEFAULT_MODEL, load_head_model

OWN = 92_000_000
"""Seeds of these photos."""


@dataclass(frozen=True)
class Reading:
    """Of one photo; all but the last two are shares of the face's width.

    Attributes
    ----------
    network_apart, mediapipe_apart : float
        How far the two readings of each lie apart, root mean square over the landmarks.
    network_off, mediapipe_off, shared_off : float
        How far the network, MediaPipe, and the landmarks between them are from the truth.
    turned : float
        Squared sine of the angle between the face and the camera.
    share : float
        What ``mediapipe_share`` says.
    """

    network_apart: float
    mediapipe_apart: float
    network_off: float
    mediapipe_off: float
    shared_off: float
    turned: float
    share: float


def read(evaluation: Evaluation, number: int) -> Reading | None:
    """Read one photo; None where MediaPipe finds no face."""
    band = list(BANDS.values())[number % len(BANDS)]
    shot = evaluation.shoot(np.random.default_rng([OWN + number]), band)
    photo = photo_from_array(shot.image, f"render {number}")
    face = evaluation.find(photo, shot.pose)
    if face is None or not np.isfinite(face.doubt).all():
        return None
    crop = crop_face(photo, face)
    prediction = evaluation.network.predict(crop, draw_guidance(face, crop))
    truth, _ = evaluation.truth(shot)
    places = replace(crop, middle_depth=0.0).to_volume(truth.landmarks)[FIRST:, :2]
    gap, trust, width = compare(prediction.landmarks, face, crop)
    off = prediction.landmarks[FIRST:, :2] - places
    share = mediapipe_share(prediction, face, crop)
    network_apart, mediapipe_apart, turned = doubts(prediction, face, crop)

    def size(error: np.ndarray) -> float:
        return float(np.sqrt(np.average((error**2).sum(1), weights=trust)) / width)

    return Reading(
        network_apart=network_apart / width,
        mediapipe_apart=mediapipe_apart / width,
        network_off=size(off),
        mediapipe_off=size(off + gap),
        shared_off=size(off + share * gap),
        turned=turned,
        share=share,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=300, help="how many photos")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    evaluation = Evaluation(
        load_head_model(DEFAULT_MODEL), Network(device="cpu"), open_detector(None)
    )
    found = [
        read(evaluation, number)
        for number in tqdm(range(arguments.heads), disable=not os.isatty(2))
    ]
    table = np.array([astuple(reading) for reading in found if reading is not None])
    network_apart, mediapipe_apart, network_off, mediapipe_off, shared_off, turned, share = table.T
    print(f"{len(table)} photos; errors are shares of the face's width")
    print(f"network's error over its doubt, median: {np.median(network_off / network_apart):.2f}")
    mediapipe = np.median(mediapipe_off / mediapipe_apart)
    print(f"MediaPipe's error over its doubt, median: {mediapipe:.2f}")
    for name, low, high in (("front", 0.0, 0.25), ("turned", 0.25, 1.0)):
        here = (turned >= low) & (turned < high)
        print(
            f"{name}: {here.sum()} photos, network {network_off[here].mean():.4f}, MediaPipe "
            f"{mediapipe_off[here].mean():.4f}, between {shared_off[here].mean():.4f}, "
            f"share {share[here].mean():.2f}"
        )


if __name__ == "__main__":
    main()
