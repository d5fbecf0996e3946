# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head's surface with its place in the atlas and its regions; needs nothing but NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REGIONS = (
    "brows",
    "eyelids",
    "eyes",
    "nose",
    "lips",
    "chin",
    "jaw",
    "cheeks",
    "ears",
    "scalp",
    "neck",
)


@dataclass(frozen=True)
class Mesh:
    """A surface that is ready to be painted.

    Attributes
    ----------
    vertices : (V, 3) float32
        x, y, z in the volume frame, voxels.
    faces : (F, 3) or (F, 4) int32
        Triangles or quads, wound so that normals point outwards.
    uv : (F, 3, 2) or (F, 4, 2) float32
        Place in the atlas of each corner of each face, 0..1, v up.
    regions : (V, 11) float32
        How far, 0..1, each vertex belongs to each of `REGIONS`; smooth at their borders.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    regions: NDArray[np.float32]
