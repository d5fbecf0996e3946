# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The statistical head that the synthetic photos show: the ICT Face Model Light as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

DEFAULT_MODEL = Path(__file__).parents[3] / "shared" / "data" / "ict_facekit_light.npz"

# The rest of the hundred move the head by 0.12 mm and less each.
IDENTITY_MODES = 60


@dataclass(frozen=True)
class HeadModel:
    """Linear head model with its closed surface.

    Lengths are centimetres in the model frame: x to the subject's left, y up, z out of the face.

    Attributes
    ----------
    neutral : (V, 3) float32
        Mean head, neutral expression.
    modes : (K, V, 3) float32
        Identity modes (weights N(0, 1)), then expression shapes (weights 0 to 1).
    identities : int
        How many of the modes are identity.
    expression_names : tuple of str
        Names of the other modes, ARKit's with ``_L`` and ``_R``.
    parts : dict of str to (2,) int
        Half-open vertex range of each part.
    part_triangles : dict of str to (T, 3) int32
        Triangles of each part, counter-clockwise seen from outside.
    closed : (T, 3) int32
        Triangles of the closed head: skin, eye sockets and eyeballs, mouth and neck capped.
    landmarks : (68,) int32
        Vertex of each Multi-PIE landmark.
    """

    neutral: np.ndarray
    modes: np.ndarray
    identities: int
    expression_names: tuple[str, ...]
    parts: dict[str, tuple[int, int]]
    part_triangles: dict[str, np.ndarray]
    closed: np.ndarray
    landmarks: np.ndarray

    def shape(self, coefficients: np.ndarray) -> np.ndarray:
        """Vertices of a head.

        Parameters
        ----------
        coefficients : (K,) float32
            Weights of the modes.

        Returns
        -------
        (V, 3) float32
            Vertices in centimetres, model frame.
        """
        active = np.flatnonzero(coefficients)
        flat = coefficients[active] @ self.modes.reshape(len(self.modes), -1)[active]
        return self.neutral + flat.reshape(-1, 3)


def boundary_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Open borders of a triangle mesh.

    Parameters
    ----------
    triangles : (T, 3) int

    Returns
    -------
    list of (N,) int
        Vertices of each loop, in the direction that a triangle on its far side would use.
    """
    edges = {(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)}
    following = {b: a for a, b in edges if (b, a) not in edges}
    loops = []
    while following:
        start, vertex = following.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = following.pop(vertex)
        loops.append(np.array(loop))
    return loops


def load_head_model(path: Path = DEFAULT_MODEL) -> HeadModel:
    """Read the head model that ``prepare`` wrote.

    Parameters
    ----------
    path : Path
        Archive with the keys ``neutral``, ``identity``, ``expression``, ``faces``, ``part_*``.

    Returns
    -------
    HeadModel
        Modes beyond the first 60 of identity (0.012 cm and less each) are left out. Two vertices
        are appended, the centres of the caps of mouth and neck; each is the mean of its loop in
        every mode, so that it stays the mean of its loop in every head.
    """
    data = np.load(path)
    names = [str(n) for n in data["part_names"]]
    quads = data["faces"]

    def triangulate(q: np.ndarray) -> np.ndarray:
        second = q[q[:, 3] >= 0][:, [0, 2, 3]]
        return np.concatenate([q[:, :3], second]).astype(np.int32)

    part_triangles = {
        n: triangulate(quads[a:b]) for n, (a, b) in zip(names, data["part_faces"], strict=True)
    }
    skin = np.concatenate(
        [
            part_triangles[n]
            for n in ("face", "head_and_neck", "eye_socket_left", "eye_socket_right")
        ]
    )
    modes = np.concatenate([data["identity"][:IDENTITY_MODES], data["expression"]])
    modes = modes.astype(np.float32)
    neutral = data["neutral"]
    caps = []
    for loop in boundary_loops(skin):
        centre = len(neutral)
        neutral = np.concatenate([neutral, neutral[loop].mean(0, keepdims=True)])
        modes = np.concatenate([modes, modes[:, loop].mean(1, keepdims=True)], axis=1)
        caps.append(np.stack([loop, np.roll(loop, -1), np.full_like(loop, centre)], axis=1))
    eyes = [part_triangles["eyeball_left"], part_triangles["eyeball_right"]]
    return HeadModel(
        neutral=neutral,
        modes=modes,
        identities=IDENTITY_MODES,
        expression_names=tuple(str(n) for n in data["expression_names"]),
        parts={n: (int(a), int(b)) for n, (a, b) in zip(names, data["part_vertices"], strict=True)},
        part_triangles=part_triangles,
        closed=np.concatenate([skin, *caps, *eyes]).astype(np.int32),
        landmarks=data["landmarks_multipie68"],
    )


def mirror_modes(model: HeadModel) -> np.ndarray:
    """Matrix (K, K) float32 that takes the weights of a head to those of its mirror image.

    The mean head is symmetric, and the modes are closed under mirroring to 0.4 percent.
    """
    some = np.arange(0, len(model.neutral), 4)
    _, opposite = cKDTree(model.neutral).query(model.neutral[some] * (-1.0, 1.0, 1.0))
    ours = model.modes[:, some].reshape(len(model.modes), -1).astype(np.float64)
    turned = model.modes[:, opposite] * np.array([-1.0, 1.0, 1.0])
    square = ours @ ours.T
    # A mode that moves next to nothing must not be given an enormous weight.
    ridge = (1e-6 * np.trace(square) / len(square) + 1e-12) * np.eye(len(square))
    flat = turned.reshape(len(turned), -1)
    return np.linalg.solve(square + ridge, ours @ flat.T).astype(np.float32)
