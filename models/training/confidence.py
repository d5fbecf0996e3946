# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Hold the confidence that the add-on shows against the true error of its heads.

    python -m models.training.confidence --heads 90

The photos are those of ``evaluate``, and four of five are spoilt: blurred, dark and noisy, of few
pixels, or partly covered. The words' bounds stand in ``vrn_blender/reconstruction/result.py``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import cv2
import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from vrn_blender.reconstruction.errors import EmptyVolumeError
from vrn_blender.reconstruction.fit import agreement, fit_to_landmarks
from vrn_blender.reconstruction.landmarks import open_detector
from vrn_blender.reconstruction.multitask import predict_face
from vrn_blender.reconstruction.network import Network
from vrn_blender.reconstruction.photo import photo_from_array
from vrn_blender.reconstruction.result import FAIR, GOOD
from vrn_blender.reconstruction.surface import extract_surface

from .evaluate import BANDS, HELD_OUT, Evaluation
from .head_model import DEFAULT_MODEL, load_head_model
from .measures import measure
from .studio import Shot
from .synthesise import mean_points

SPOILING = 5
"""Seed of what is done to the photos."""


def spoil(shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """Make a photo worse in one of four ways, or leave it.

    Parameters
    ----------
    shot : Shot
    rng : Generator

    Returns
    -------
    (H, W, 3) uint8
    """
    image = shot.image
    height, width = image.shape[:2]
    way = int(rng.integers(0, 5))
    if way == 1:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, 5.0))
    if way == 2:
        dark = image * rng.uniform(0.1, 0.3) + rng.normal(0.0, 12.0, image.shape)
        return np.clip(dark, 0, 255).astype(np.uint8)
    if way == 3:
        share = rng.uniform(0.15, 0.35)
        size = (int(width * share), int(height * share))
        return cv2.resize(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (width, height))
    if way == 4:
        points = mean_points(shot.pose)[:, :2]
        x, y = points[rng.integers(0, len(points))]
        radius = np.ptp(points[:, 0]) * rng.uniform(0.15, 0.35)
        colour = [int(value) for value in rng.integers(30, 220, 3)]
        return cv2.circle(image.copy(), (int(x), int(y)), int(radius), colour, -1)
    return image


def judge(evaluation: Evaluation, number: int) -> tuple[float, float] | None:
    """Give the confidence in the head of a photo, and its error.

    Parameters
    ----------
    evaluation : Evaluation
    number : int
        Of the photo; every third has the same band of angles.

    Returns
    -------
    confidence : float
        As `Head.confidence`.
    error : float
        Mean distance to the true face, as a share of the outer interocular distance. None in
        place of both where no head came out.
    """
    rng = np.random.default_rng([HELD_OUT + number])
    shot = evaluation.shoot(rng, list(BANDS.values())[number % len(BANDS)])
    image = spoil(shot, np.random.default_rng([SPOILING, number]))
    photo = photo_from_array(np.ascontiguousarray(image), f"head {number}")
    face = evaluation.find(photo, shot.pose)
    if face is None:
        return None
    crop, prediction = predict_face(evaluation.network, photo, face)
    try:
        surface = extract_surface(prediction.volume)
    except EmptyVolumeError:
        return None
    surface, _ = fit_to_landmarks(surface, prediction, face, crop)
    truth, _ = evaluation.truth(shot)
    # The truth counts depth from the head's middle.
    vertices = replace(crop, middle_depth=0.0).to_photo(surface.vertices)
    errors = measure(vertices, surface.faces, truth)
    return agreement(prediction.landmarks, face, crop), errors.image


def main() -> None:
    """Print the mean error of each word."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--heads", type=int, default=90)
    heads = parser.parse_args().heads
    network = Network(device="cpu")
    evaluation = Evaluation(load_head_model(DEFAULT_MODEL), network, open_detector())
    judged = [judge(evaluation, number) for number in tqdm(range(heads))]
    confidence, error = np.array([pair for pair in judged if pair is not None]).T
    words = {"good": (GOOD, 1.0), "fair": (FAIR, GOOD), "poor": (-np.inf, FAIR)}
    for word, (low, high) in words.items():
        here = error[(confidence >= low) & (confidence < high)]
        error_of_word = f"mean error {100 * here.mean():.1f} %" if len(here) else "no error"
        print(f"{word}: {len(here)} heads, {error_of_word}")
    rank = spearmanr(confidence, error).statistic
    print(f"{len(error)} of {heads} photos gave a head; rank correlation {rank:.2f}")


if __name__ == "__main__":
    main()
