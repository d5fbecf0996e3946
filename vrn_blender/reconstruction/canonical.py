# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean face that poses and sizes are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("canonical.npz")


@dataclass(frozen=True)
class Canonical:
    """Mean places of the landmarks, head frame, metres.

    The origin lies inside the head, about halfway between the ears.

    Attributes
    ----------
    mediapipe : (478, 3) float32
        MediaPipe's landmarks: medians over rendered heads of known geometry.
    multipie : (68, 3) float32
        Multi-PIE's landmarks.
    triangles : (T, 3) int16
        Triangulation of the first 468 of ``mediapipe``, the mouth and the eyes closed.
    mirror : (478,) int16
        Which of ``mediapipe`` is each one's counterpart on the other side of the face.
    """

    mediapipe: np.ndarray
    multipie: np.ndarray
    triangles: np.ndarray
    mirror: np.ndarray


def load_canonical() -> Canonical:
    """Read the mean face.

    Returns
    -------
    Canonical
    """
    with np.load(PATH) as data:
        return Canonical(data["mediapipe"], data["multipie"], data["triangles"], data["mirror"])


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares similarity between two point sets.

    Parameters
    ----------
    source, target : (N, 3) float
        Points in any two right-handed frames; ``target`` is about
        ``scale * source @ rotation.T + translation``.

    Returns
    -------
    scale : float
    rotation : (3, 3) float64
        Proper, whatever the points.
    translation : (3,) float64

    References
    ----------
    Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 13(4), 1991, equations 38 to 43.
    """
    source = np.asarray(source, dtype=np.float64)
    target = np.asarray(target, dtype=np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    a, b = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.ones(3)
    sign[2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (a**2).sum(1).mean())
    return scale, rotation, target_mean - scale * rotation @ source_mean
