# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the user may choose about a head's place in the scene; knows nothing of Blender."""

from __future__ import annotations

from dataclasses import dataclass

TEXTURE, VERTEX = "texture", "vertex"
PAINTS = (TEXTURE, VERTEX)
LANDMARK_COUNTS = (0, 68, 478)


@dataclass(frozen=True)
class SceneChoices:
    """What a head becomes in the scene, and what it brings along.

    Parameters
    ----------
    unit_size : bool
        One unit high instead of true to size.
    paint : str
        ``"texture"``, a picture by UV coordinates, or ``"vertex"``, one colour per vertex.
    camera : bool
        With the camera that sees the head as the photo does.
    landmarks : int
        How many landmarks become empties, one of `LANDMARK_COUNTS`; after an unguided run, which
        has only 68, no more than those.
    """

    unit_size: bool = False
    paint: str = TEXTURE
    camera: bool = False
    landmarks: int = 0
