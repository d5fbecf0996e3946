# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Pictures of dots, in which it can be measured where a point of the head is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.synthesise import MODEL_MIDDLE
from vrn_blender.reconstruction.canonical import load_canonical

WINDOW = 5

# MediaPipe's nose tip, chin, corners of eyes and mouth, cheeks and forehead.
MEDIAPIPE_PLACES = np.array([4, 152, 33, 263, 61, 291, 234, 454, 10])


def to_model(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take head-frame points (N, 3), metres, to the model frame, centimetres."""
    return (100 * np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)).astype(np.float32)


def head_places() -> NDArray[np.float32]:
    """Give places (7, 3) in a head, model frame, most of which stay apart in any pose."""
    around = [(8, 1, 0), (-7, 3, 2), (1, 9, -2), (-2, -8, 3), (2, 1, 9), (-1, -3, -9), (6, -6, 5)]
    return (MODEL_MIDDLE + np.array(around)).astype(np.float32)


def mediapipe_places() -> NDArray[np.float32]:
    """Give the places (9, 3) of ``MEDIAPIPE_PLACES`` on the mean face, model frame."""
    return to_model(load_canonical().mediapipe[MEDIAPIPE_PLACES])


def draw(places: NDArray[np.floating], side: int, sigma: float = 1.6) -> NDArray[np.uint8]:
    """Draw a bright dot at each place (N, 2 or 3); pixel centres are at a half."""
    y, x = np.mgrid[:side, :side] + 0.5
    picture = np.zeros((side, side))
    for px, py in places[:, :2]:
        picture += 250 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
    return np.repeat(picture.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def farthest_off(picture: NDArray[np.uint8], places: NDArray[np.floating]) -> float:
    """Measure how far, in pixels, dots lie from the places where they should be.

    Dots that others come near, or that the picture's border cuts, are left out.
    """
    flat = places[:, :2].astype(np.float64)
    between = np.linalg.norm(flat[:, None] - flat, axis=2) + np.diag(np.full(len(flat), np.inf))
    height, width = picture.shape[:2]
    whole = ((flat > WINDOW) & (flat < (width - WINDOW, height - WINDOW))).all(axis=1)
    alone = flat[(between.min(axis=1) > 2.5 * WINDOW) & whole]
    assert len(alone) >= 3
    light = picture.astype(np.float64).mean(axis=2)
    light = np.where(light > 30, light, 0)
    y, x = np.mgrid[:height, :width] + 0.5
    gaps = []
    for px, py in alone:
        here = light * ((np.abs(x - px) < WINDOW) & (np.abs(y - py) < WINDOW))
        assert here.sum() > 0, f"no dot near {px:.1f}, {py:.1f}"
        gaps.append(
            np.hypot((x * here).sum() / here.sum() - px, (y * here).sum() / here.sum() - py)
        )
    return max(gaps)
