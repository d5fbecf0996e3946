# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What MediaPipe's landmarks alone tell of a head: the systems that a network has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vrn_blender.reconstruction.canonical import load_canonical, similarity

from .correspond import MESH_POINTS, to_head_frame
from .head_model import HeadModel
from .measures import Surface

# Standard deviation of the expressions' weights; that of the identity's is one.
EXPRESSION_SPREAD = 0.3
FIT_STEPS = 6

# MediaPipe's mesh covers the places of the mean head that are no farther from it, in metres.
COVERED = 0.003


@dataclass(frozen=True)
class Fit:
    """How the landmark fit weighs what it knows.

    Attributes
    ----------
    ridge : float
        Square centimetres: how much a mode's weight costs against the landmarks' squared errors.
    depth : float
        How much MediaPipe's depth counts against its x and y.
    """

    ridge: float
    depth: float


FITS = tuple(Fit(ridge, depth) for ridge in (3.0, 10.0, 30.0, 100.0) for depth in (0.3, 1.0))


class Baselines:
    """Heads and faces from landmarks (478, 3) of MediaPipe, in the landmarks' frame.

    Parameters
    ----------
    model : HeadModel
    outside : (V,) bool
        Which vertices can be seen from anywhere: what cannot be is no part of the surface.

    Attributes
    ----------
    head : (T, 3) int32
        Triangles of the heads.
    mask : (T, 3) int32
        Triangles of MediaPipe's own mesh.
    """

    def __init__(self, model: HeadModel, outside: np.ndarray) -> None:
        self.model = model
        self.head = model.closed[outside[model.closed].all(1)]
        canonical = load_canonical()
        self._mean = canonical.mediapipe
        self.mask = canonical.triangles.astype(np.int32)
        a, b, c = self._mean[self.mask].transpose(1, 0, 2)
        # The mean face looks along -y.
        if np.cross(b - a, c - a)[:, 1].mean() > 0:
            self.mask = self.mask[:, ::-1]
        self._corners, self._weights = self._attach()
        modes = np.einsum("nk,mnkc->mnc", self._weights, model.modes[:, self._corners])
        self._basis = modes.reshape(len(modes), -1).T.astype(np.float64)
        spread = np.full(len(modes), EXPRESSION_SPREAD)
        spread[: model.identities] = 1.0
        self._cost = np.diag(1.0 / spread**2)

    def _attach(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners (468, 3) and weights (468, 3) of the model's places under the landmarks."""
        model, target = self.model, self._mean[:MESH_POINTS].astype(np.float64)
        head = to_head_frame(model.neutral)
        everywhere = np.full(3, np.inf)
        surface = Surface(head, self.head, -everywhere, everywhere, np.inf)
        places, _, triangle = surface.nearest(target)
        corners = self.head[triangle]
        a, b, c = head[corners].astype(np.float64).transpose(1, 0, 2)
        weights = np.linalg.solve(np.stack([a, b, c], axis=2), places[..., None])[..., 0]
        return corners, weights

    def covers(self, places: np.ndarray) -> np.ndarray:
        """Which places (N, 3) of the mean head, model frame, MediaPipe's mesh reaches."""
        everywhere = np.full(3, np.inf)
        mesh = Surface(self._mean, self.mask, -everywhere, everywhere, 2.0 * COVERED)
        head = to_head_frame(places).astype(np.float64)
        return np.linalg.norm(mesh.nearest(head)[0] - head, axis=1) < COVERED

    def mean_head(self, points: np.ndarray) -> np.ndarray:
        """Vertices (V, 3) of the mean head, placed by the similarity of the landmarks."""
        scale, rotation, translation = similarity(self._mean, points)
        return scale * to_head_frame(self.model.neutral) @ rotation.T + translation

    def landmark_fit(self, points: np.ndarray, fit: Fit) -> np.ndarray:
        """Vertices (V, 3) of the ridge fit of the model's modes, by turns with the pose.

        References
        ----------
        Huber et al., "A multiresolution 3D morphable face model and fitting framework", VISAPP
        2016, section 3: the landmark fit of EOS.
        """
        target = points[:MESH_POINTS].astype(np.float64)
        neutral = self.under_landmarks(self.model.neutral)
        shape = neutral
        for _ in range(FIT_STEPS):
            scale, rotation, translation = similarity(shape, target)
            # The same least squares in the model's frame, where depth is a direction.
            wanted = (target - translation) @ rotation / scale - neutral
            ray = rotation[2]
            keep = np.eye(3) - (1.0 - np.sqrt(fit.depth)) * np.outer(ray, ray)
            basis = (keep @ self._basis.reshape(-1, 3, len(self._cost))).reshape(
                -1, len(self._cost)
            )
            values = (wanted @ keep).ravel()
            weights = np.linalg.solve(basis.T @ basis + fit.ridge * self._cost, basis.T @ values)
            shape = neutral + (self._basis @ weights).reshape(-1, 3)
        head = self.model.shape(weights.astype(np.float32))
        return scale * head @ rotation.T + translation

    def under_landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """Places (468, 3) of a head with vertices (V, 3) that MediaPipe's landmarks stand for."""
        return np.einsum("nk,nkc->nc", self._weights, vertices[self._corners])
