# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head that is in the scene already gets another mesh, texture and set of landmarks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import bpy

from .choices import SceneChoices
from .job import Made
from .scene import BOX, FACE_BOXES, FACE_NUMBER, PHOTO, build_object, equip, is_head, strip

_OWN = "vrn_"
"""How the names of this add-on's custom properties begin."""


def replace_head(
    head_object: bpy.types.Object,
    entry: Made,
    scale: float,
    scene: bpy.types.Scene,
    choices: SceneChoices,
) -> None:
    """Put a newly made head in the place of an old one.

    The object stays, and with it its name, place, parent, collections and the user's modifiers.
    Mesh, materials, texture, Multires, camera, landmarks and this add-on's custom properties are
    the new head's; what nothing else uses of the old ones is removed.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made, in object mode.
    entry : Made
        The new head and where it comes from.
    scale : float
        Blender units per metre.
    scene : Scene
        The context's.
    choices : SceneChoices
        What becomes of the new head.
    """
    strip(head_object)
    fresh = build_object(entry, scale, choices.paint)
    old, head_object.data = head_object.data, fresh.data
    properties = dict(fresh.items())
    for key, _ in list(head_object.items()):
        if key.startswith(_OWN) and key not in properties:
            del head_object[key]
    for key, value in properties.items():
        head_object[key] = value
    bpy.data.objects.remove(fresh)
    _remove_unused(old)
    for block in (head_object.data, *_looks_of(head_object.data)):
        # While the old ones were there, theirs got numbers.
        block.name = re.sub(r"\.\d{3}$", "", block.name)
    equip(head_object, entry.head, scale, scene, choices)


def photo_of(head_object: bpy.types.Object) -> Path:
    """Tell which photo a head was made from.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made.

    Returns
    -------
    Path
        The photo, which may have been moved or deleted since.
    """
    return Path(bpy.path.abspath(head_object[PHOTO]))


def face_boxes_of(head_object: bpy.types.Object) -> list[tuple[float, float, float, float]]:
    """Tell where the faces are in a head's photo.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made.

    Returns
    -------
    list of (x0, y0, x1, y1)
        The largest first, photo frame, pixels; empty where the user has drawn a box.
    """
    flat = [float(number) for number in head_object.get(FACE_BOXES, ())]
    return [
        (flat[start], flat[start + 1], flat[start + 2], flat[start + 3])
        for start in range(0, len(flat), 4)
    ]


def same_face(head_object: bpy.types.Object) -> tuple[str, tuple[float, ...]]:
    """Tell which face of its photo a head shows.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made.

    Returns
    -------
    face : str
        Its number, as `Options.face` has it.
    box : tuple of float
        The box that the user gave instead: left, top, right, bottom, pixels; empty if none.
    """
    return str(head_object[FACE_NUMBER]), tuple(head_object.get(BOX, ()))


def find_head(name: str, photo: Path) -> bpy.types.Object | None:
    """Look a head up again after time has passed, in which the user may have removed it.

    Parameters
    ----------
    name : str
        Its name.
    photo : Path
        Its photo.

    Returns
    -------
    Object or None
        None where there is no such head any more.
    """
    found = bpy.data.objects.get(name)
    return found if is_head(found) and photo_of(found) == photo else None


def _looks_of(mesh: bpy.types.Mesh) -> list[Any]:
    """Give the materials of a mesh and then their textures, each once."""
    materials = dict.fromkeys(material for material in mesh.materials if material is not None)
    trees = [material.node_tree for material in materials if material.node_tree is not None]
    nodes = [node for tree in trees for node in tree.nodes if node.type == "TEX_IMAGE"]
    return [*materials, *dict.fromkeys(node.image for node in nodes if node.image is not None)]


def _remove_unused(mesh: bpy.types.Mesh) -> None:
    """Remove a mesh, then its materials, then their textures, so far as nothing uses them."""
    for block in [mesh, *_looks_of(mesh)]:
        if block.users == 0:
            bpy.data.batch_remove([block])
