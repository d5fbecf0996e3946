# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head's landmarks as empties: for riggers, who snap to them, and to see what was found where."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

_NAME = "{} landmarks"
_SIZE = 0.001
"""Radius of an empty, metres."""


def add_empties(
    head_object: bpy.types.Object,
    points: NDArray[np.float64],
    scale: float,
    collection: bpy.types.Collection,
) -> bpy.types.Collection:
    """Put an empty at each landmark.

    Parameters
    ----------
    head_object : Object
        The head, which they hang on.
    points : ndarray of float64, shape (N, 3)
        Object space, Blender units.
    scale : float
        Blender units per metre.
    collection : Collection
        Where their own collection goes.

    Returns
    -------
    Collection
        Theirs; they are called after the head and their number, counted from 0.
    """
    own = bpy.data.collections.new(_NAME.format(head_object.name))
    collection.children.link(own)
    for number, point in enumerate(points.tolist()):
        empty = bpy.data.objects.new(f"{head_object.name} {number:03}", None)
        empty.empty_display_type = "SPHERE"
        empty.empty_display_size = _SIZE * scale
        empty.parent = head_object
        empty.location = point
        own.objects.link(empty)
    return own


def remove_empties(head_object: bpy.types.Object) -> None:
    """Remove the empties that hang on a head in the collection of its landmarks, and that.

    Parameters
    ----------
    head_object : Object
        The head.
    """
    own = bpy.data.collections.get(_NAME.format(head_object.name))
    if own is None:
        return
    for entry in [entry for entry in own.objects if entry.parent == head_object]:
        bpy.data.objects.remove(entry)
    if not own.objects:
        bpy.data.collections.remove(own)
