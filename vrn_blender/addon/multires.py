# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Even quads hold the raw surface's detail in a Multires modifier.

The quads are subdivided until they are about as dense as the raw surface, and drawn onto it: along
their normals, which spreads them evenly over the detail, and where no normal meets it, to the
nearest place. Where that is far, as inside of nostrils, they do not lie on the same skin, and move
with what is around them instead. Multires keeps what that moved. The coarse level stays as it was,
so poses and large shapes can be sculpted on it while pores and wrinkles ride along.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

MODIFIER = "Multires"
MOST_LEVELS = 4

_REACH = 0.005
"""Metres along a normal within which the raw surface is looked for. Farther away lies another part
of the head: the other side of an ear or of a lip."""

_SAME_SKIN, _OTHER_SKIN = 0.25, 0.5
"""Distances between which the raw surface ceases to be the one that a quad was laid on, as shares
of the quads' usual side."""
_RIM = 0.6
"""Distance from the neck's edge, in such sides, up to which nothing of the raw surface is kept; at
one side more all of it is."""
_ROUNDS = 30
"""Of smoothing where it does."""


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
    head_object: bpy.types.Object,
    raw: bpy.types.Mesh,
    scale: float,
    scene: bpy.types.Scene,
    rim: NDArray[np.intp],
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
    rim : (N,) int
        Vertices where the neck is cut. There the raw surface has the voxels' steps, and the quads'
        own edge is kept.
    """
    levels = levels_for(len(head_object.data.polygons), len(raw.polygons))
    multires = head_object.modifiers.new(MODIFIER, "MULTIRES")
    # The detail belongs to the mesh itself, before whatever else is done to it.
    head_object.modifiers.move(len(head_object.modifiers) - 1, 0)
    # The texture was painted on the flat quads.
    multires.uv_smooth = "NONE"
    target = bpy.data.objects.new("Raw", raw)
    mesh = _drawn(head_object.data, target, levels, scale, scene, rim)
    drawn = bpy.data.objects.new("Drawn", mesh)
    with _in_scene(scene, head_object):
        with bpy.context.temp_override(object=head_object, active_object=head_object):
            for _ in range(levels):
                bpy.ops.object.multires_subdivide(modifier=MODIFIER, mode="CATMULL_CLARK")
        with (
            _in_scene(scene, drawn),
            bpy.context.temp_override(
                object=head_object,
                active_object=head_object,
                selected_editable_objects=[head_object, drawn],
            ),
        ):
            bpy.ops.object.multires_reshape(modifier=MODIFIER)
    bpy.data.meshes.remove(drawn.data)
    bpy.data.objects.remove(target)


def _drawn(
    quads: bpy.types.Mesh,
    target: bpy.types.Object,
    levels: int,
    scale: float,
    scene: bpy.types.Scene,
    rim: NDArray[np.intp],
) -> bpy.types.Mesh:
    """Subdivide quads, and draw them onto the raw surface where it is the same skin."""
    even, moved = (bpy.data.objects.new(name, quads) for name in ("Even", "Moved"))
    for entry in (even, moved):
        subdivision = entry.modifiers.new("Subdivision", "SUBSURF")
        subdivision.levels = levels
        subdivision.uv_smooth = "NONE"
    _draw_onto(moved, target, scale)
    with _in_scene(scene, even, moved, target):
        graph = bpy.context.evaluated_depsgraph_get()
        drawn = bpy.data.meshes.new_from_object(even.evaluated_get(graph))
        places = _places(drawn)
        move = _places(moved.evaluated_get(graph).data) - places
    for entry in (even, moved):
        bpy.data.objects.remove(entry)
    ends = _places(quads)[_edges(quads)]
    side = float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)))
    far = np.linalg.norm(move, axis=1) / side
    same = np.clip((_OTHER_SKIN - far) / (_OTHER_SKIN - _SAME_SKIN), 0.0, 1.0)
    from_rim = _distance(places, _places(quads)[rim], (_RIM + 1.0) * side) / side
    same *= np.clip(from_rim - _RIM, 0.0, 1.0)
    move = _eased(move, same[:, None].astype(np.float32), _edges(drawn))
    drawn.vertices.foreach_set("co", (places + move).ravel())
    return drawn


def _eased(
    move: NDArray[np.float32], hold: NDArray[np.float32], edges: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Let vertices (V, 3) that are not held (V, 1) move as their neighbours do."""
    loose = np.flatnonzero(hold < 1.0)
    if not len(loose):
        return move
    here = np.concatenate([edges, edges[:, ::-1]])
    here = here[(hold[here[:, 0], 0] < 1.0)]
    row = np.searchsorted(loose, here[:, 0])
    count = np.bincount(row, minlength=len(loose))[:, None]
    own, share = move[loose], hold[loose]
    eased = move.copy()
    eased[loose] *= share
    for _ in range(_ROUNDS):
        around = [np.bincount(row, eased[here[:, 1], axis], len(loose)) for axis in range(3)]
        mean = np.stack(around, axis=1) / np.maximum(count, 1)
        eased[loose] = share * own + (1.0 - share) * mean
    return eased


def _distance(
    places: NDArray[np.float32], others: NDArray[np.float32], reach: float
) -> NDArray[np.float32]:
    """How far each place (V, 3) is from the nearest of others (N, 3); infinite beyond reach."""
    tree = KDTree(len(others))
    for number, place in enumerate(others.tolist()):
        tree.insert(place, number)
    tree.balance()
    low = np.min(others, axis=0, initial=np.inf) - reach
    high = np.max(others, axis=0, initial=-np.inf) + reach
    distance = np.full(len(places), np.inf, np.float32)
    near = np.flatnonzero(((places >= low) & (places <= high)).all(axis=1))
    distance[near] = [tree.find(place)[2] for place in places[near].tolist()]
    return distance


def _edges(mesh: bpy.types.Mesh) -> NDArray[np.int32]:
    edges = np.empty(2 * len(mesh.edges), np.int32)
    mesh.edges.foreach_get("vertices", edges)
    return edges.reshape(-1, 2)


def _places(mesh: bpy.types.Mesh) -> NDArray[np.float32]:
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    return places.reshape(-1, 3)


def _draw_onto(drawn: bpy.types.Object, target: bpy.types.Object, scale: float) -> None:
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
