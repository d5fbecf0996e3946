# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Even quads hold the raw surface's detail in a Multires modifier.

The quads are subdivided until they are about as dense as the raw surface, and drawn onto it: along
their normals, which spreads them evenly over the detail, and where no normal meets it, to the
nearest place. Multires keeps what that moved. The coarse level stays as it was, so poses and large
shapes can be sculpted on it while pores and wrinkles ride along.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import bpy

MODIFIER = "Multires"
MOST_LEVELS = 4

_REACH = 0.005
"""Metres along a normal within which the raw surface is looked for. Farther away lies another part
of the head: the other side of an ear or of a lip."""


def levels_for(quads: int, triangles: int) -> int:
    """Tell how often quads are to be subdivided.

    Parameters
    ----------
    quads : int
        Of the coarse mesh.
    triangles : int
        Of the raw surface.

    Returns
    -------
    int
        1 to `MOST_LEVELS`; as many as give about one quad to two triangles.
    """
    return min(max(round(math.log(max(triangles / 2, 1) / quads, 4)), 1), MOST_LEVELS)


def hold_detail(
    head_object: bpy.types.Object, raw: bpy.types.Mesh, scale: float, scene: bpy.types.Scene
) -> None:
    """Give an object a Multires modifier that holds the detail of another mesh.

    Parameters
    ----------
    head_object : Object
        Its mesh is made of quads; it need not be in a collection.
    raw : Mesh
        Triangles in the same object space.
    scale : float
        Blender units per metre.
    scene : Scene
        Where the work is done; it must be the context's. Nothing stays in it.
    """
    levels = levels_for(len(head_object.data.polygons), len(raw.polygons))
    multires = head_object.modifiers.new(MODIFIER, "MULTIRES")
    # The detail belongs to the mesh itself, before whatever else is done to it.
    head_object.modifiers.move(len(head_object.modifiers) - 1, 0)
    # The texture was painted on the flat quads.
    multires.uv_smooth = "NONE"
    target = bpy.data.objects.new("Raw", raw)
    drawn = bpy.data.objects.new("Drawn", head_object.data)
    _draw_onto(drawn, target, levels, scale)
    with _in_scene(scene, head_object):
        with bpy.context.temp_override(object=head_object, active_object=head_object):
            for _ in range(levels):
                bpy.ops.object.multires_subdivide(modifier=MODIFIER, mode="CATMULL_CLARK")
        with (
            # Not before, because each subdivision would draw it anew.
            _in_scene(scene, drawn, target),
            bpy.context.temp_override(
                object=head_object,
                active_object=head_object,
                selected_editable_objects=[head_object, drawn],
            ),
        ):
            bpy.ops.object.multires_reshape(modifier=MODIFIER)
    bpy.data.objects.remove(drawn)
    bpy.data.objects.remove(target)


def _draw_onto(
    drawn: bpy.types.Object, target: bpy.types.Object, levels: int, scale: float
) -> None:
    subdivision = drawn.modifiers.new("Subdivision", "SUBSURF")
    subdivision.levels = levels
    subdivision.uv_smooth = "NONE"
    along_normals = drawn.modifiers.new("Along Normals", "SHRINKWRAP")
    along_normals.target = target
    along_normals.wrap_method = "PROJECT"
    along_normals.use_negative_direction = True
    along_normals.project_limit = _REACH * scale
    the_rest = drawn.modifiers.new("Nearest", "SHRINKWRAP")
    the_rest.target = target
    the_rest.wrap_method = "NEAREST_SURFACEPOINT"


@contextmanager
def _in_scene(scene: bpy.types.Scene, *objects: bpy.types.Object) -> Iterator[None]:
    """Link objects where no view layer can leave them out, because operators see only those."""
    there = set(scene.collection.objects)
    absent = [entry for entry in objects if entry not in there]
    for entry in absent:
        scene.collection.objects.link(entry)
    try:
        yield
    finally:
        for entry in absent:
            scene.collection.objects.unlink(entry)
