# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Heads of known correspondence, in the volume frame, without a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.raster import split_quads
from vrn_blender.reconstruction.surface import Surface
from vrn_blender.reconstruction.topology import load_topology

SCALE = 560.0
"""Voxels a metre."""


def in_volume(points: NDArray[np.float32], yaw: float = 0.0) -> NDArray[np.float32]:
    """Place head-frame points in the volume frame, seen from the front."""
    turned = Rotation.from_euler("z", yaw, degrees=True).apply(points)
    axes = turned[:, [0, 2, 1]] * (1.0, -1.0, 1.0)
    return (SCALE * axes + (96, 96, 100)).astype(np.float32)


def head(seed: int | None = None, yaw: float = 0.0) -> tuple[Surface, NDArray[np.float32]]:
    """Give a head's triangles and landmarks: the mean head's, or bent at random and smoothly."""
    topology = load_topology()
    points, marks = topology.vertices.copy(), load_canonical().multipie.copy()
    if seed is not None:
        rng = np.random.default_rng(seed)
        waves, phases = rng.normal(0, 18.0, (3, 3)), rng.uniform(0, 6, 3)
        stretch = rng.uniform(0.94, 1.06, 3)

        def bend(places: NDArray[np.float32]) -> NDArray[np.float32]:
            bent = places * stretch + 0.002 * np.sin(places @ waves + phases)
            return np.asarray(bent, np.float32)

        points, marks = bend(points), bend(marks)
    surface = Surface(in_volume(points, yaw), split_quads(topology.quads))
    return surface, in_volume(marks, yaw)
