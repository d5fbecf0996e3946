# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean head in quads, its place in the atlas, and its regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PATH = Path(__file__).with_name("topology.npz")

_CORNERS = np.arange(4)


@dataclass(frozen=True)
class Topology:
    """The same quads for every head: loops round eyes, mouth and ears, and a seam down the back.

    Each four quads in a row are one quad of the light surface, cut in four; the k-th
    corner of the k-th of them is the k-th corner of the light quad.

    Attributes
    ----------
    vertices : (V, 3) float32
        The mean head, head frame, metres; symmetric. Those of the light surface come first.
    quads : (Q, 4) int32
        Counter-clockwise seen from outside; closed, genus 0.
    uv : (Q, 4, 2) float32
        Place in the atlas of each corner, 0..1, v up. No two faces overlap.
    regions : (V, 11) float32
        As in `Mesh`.
    mask : (Q,) bool
        Quads of the face alone, from ear to ear and from hairline to throat.
    underside : (Q,) bool
        Quads that close the neck, in one plane.
    """

    vertices: NDArray[np.float32]
    quads: NDArray[np.int32]
    uv: NDArray[np.float32]
    regions: NDArray[np.float32]
    mask: NDArray[np.bool_]
    underside: NDArray[np.bool_]

    @property
    def light_quads(self) -> NDArray[np.int32]:
        """Quads (Q / 4, 4) int32 of the light surface."""
        return np.ascontiguousarray(self.quads.reshape(-1, 4, 4)[:, _CORNERS, _CORNERS])

    @property
    def light_uv(self) -> NDArray[np.float32]:
        """Place in the atlas (Q / 4, 4, 2) float32 of each corner of ``light_quads``."""
        return np.ascontiguousarray(self.uv.reshape(-1, 4, 4, 2)[:, _CORNERS, _CORNERS])

    @property
    def light_mask(self) -> NDArray[np.bool_]:
        """Which (Q / 4,) bool of ``light_quads`` are the face's."""
        return np.ascontiguousarray(self.mask[::4])


def load_topology() -> Topology:
    """Read the mean head's quads.

    Returns
    -------
    Topology
    """
    with np.load(PATH) as data:
        return Topology(
            data["vertices"],
            data["quads"].astype(np.int32),
            data["uv"],
            data["regions"].astype(np.float32) / 255.0,
            data["mask"],
            data["underside"],
        )
