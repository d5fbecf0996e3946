# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Heads become objects in the scene.

A head is one object in the collection "Face from Photo". Its origin, which lies between the ears,
is put at the 3D cursor, or beside it along x where another head stands already; it faces -y. Its
regions are vertex groups: Brows, Eyelids and so on. On request its photo's camera and its landmarks
hang on it, as a camera and as empties. What later tools need stays with the object, as custom
properties that are saved with the file:

=====================  ==========================================================================
property               content
=====================  ==========================================================================
``vrn_landmarks_68``   Multi-PIE's 68 landmarks: x, y, z of one after another, object space
``vrn_landmarks_478``  MediaPipe's 478, likewise; missing after an unguided run
``vrn_photo``          path of the photo
``vrn_face_number``    which face of the photo, counted from 1, the largest
``vrn_face_boxes``     left, top, right and bottom of every face in the photo, one after another
``vrn_box``            the box that the user gave instead, likewise; missing after a guided run
``vrn_confidence``     how well the network agrees with MediaPipe; missing after an unguided run
``vrn_device``         what ran the network
``vrn_seconds``        how long it took
=====================  ==========================================================================
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..reconstruction.mesh import REGIONS
from ..reconstruction.result import Head
from ..reconstruction.topology import load_topology
from .choices import VERTEX, SceneChoices
from .empties import add_empties, remove_empties
from .job import Made
from .material import build_material, paint_vertices
from .multires import hold_detail
from .photo_camera import add_camera, remove_camera

COLLECTION = "Face from Photo"
LANDMARKS_68 = "vrn_landmarks_68"
LANDMARKS_478 = "vrn_landmarks_478"
PHOTO = "vrn_photo"
FACE_NUMBER = "vrn_face_number"
FACE_BOXES = "vrn_face_boxes"
BOX = "vrn_box"
CONFIDENCE = "vrn_confidence"
DEVICE = "vrn_device"
SECONDS = "vrn_seconds"

_LEAST_WEIGHT = 0.01
_WEIGHT_STEPS = 255
_GAP = 0.25
"""Space between two heads, in widths of a head."""


def add_heads(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    made: Sequence[Made],
    choices: SceneChoices,
) -> list[bpy.types.Object]:
    """Put heads into the scene, selected, the first one active.

    Parameters
    ----------
    scene : Scene
        Where they go: into the collection `COLLECTION`, at the 3D cursor, clear of other heads and
        of what would hide them. It must be the context's.
    view_layer : ViewLayer
        Whose selection and active object change.
    made : sequence of Made
        The heads.
    choices : SceneChoices
        What becomes of them.

    Returns
    -------
    list of Object
        The heads, in the order of the heads.
    """
    collection = _collection_of(scene)
    # Without this, objects that were removed a moment ago are still in the selection, as None.
    view_layer.update()
    for other in tuple(view_layer.objects.selected):
        other.select_set(False)
    taken = [_bounds(other) for other in view_layer.objects if is_head(other)]
    walls = [_bounds(other) for other in view_layer.objects if _hides(other)]
    objects = []
    for entry in made:
        units = scale_of(entry.head, choices.unit_size, scene.unit_settings.scale_length)
        built = build_object(entry, units, choices.paint)
        collection.objects.link(built)
        built.location = _clear_place(scene.cursor.location, built, taken, walls)
        view_layer.update()
        taken.append(_bounds(built))
        objects.append(built)
        equip(built, entry.head, units, scene, choices)
    view_layer.update()
    for built in objects:
        # A collection that the user has excluded from the view layer cannot be selected in.
        if built.name in view_layer.objects:
            built.select_set(True)
    if objects and objects[0].name in view_layer.objects:
        view_layer.objects.active = objects[0]
    return objects


def equip(
    head_object: bpy.types.Object,
    head: Head,
    scale: float,
    scene: bpy.types.Scene,
    choices: SceneChoices,
) -> None:
    """Give a head what it brings along: raw detail for sculpting, its camera, its landmarks.

    Parameters
    ----------
    head_object : Object
        In its place, with the mesh of the head.
    head : Head
        What it was made of.
    scale : float
        Blender units per metre.
    scene : Scene
        The context's.
    choices : SceneChoices
        What is wanted.
    """
    if head.surface == "sculpt" and head.raw_vertices is not None and head.raw_faces is not None:
        raw = build_mesh("Raw", head.raw_vertices, head.raw_faces, scale)
        hold_detail(head_object, raw, scale, scene, _neck_rim(head))
        bpy.data.meshes.remove(raw)
    collection = head_object.users_collection[0]
    if choices.camera:
        add_camera(head_object, head, scale, scene, collection)
    if choices.landmarks:
        points = _landmarks_wanted(head_object, choices.landmarks)
        add_empties(head_object, points, scale, collection)


def strip(head_object: bpy.types.Object) -> None:
    """Take away what `equip` gave: the Multires modifier, the camera, the landmarks.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made.
    """
    for modifier in [entry for entry in head_object.modifiers if entry.type == "MULTIRES"]:
        head_object.modifiers.remove(modifier)
    remove_empties(head_object)
    remove_camera(head_object)


def scale_of(head: Head, unit_size: bool, metres_per_unit: float) -> float:
    """Tell how many Blender units a metre of the head becomes.

    Parameters
    ----------
    head : Head
        The head.
    unit_size : bool
        Whether it is to be one unit high.
    metres_per_unit : float
        The scene's unit scale.

    Returns
    -------
    float
        Blender units per metre.
    """
    if unit_size:
        # What is seen of quads for sculpting is the raw surface, which Multires makes of them.
        seen = head.vertices if head.surface != "sculpt" else head.raw_vertices
        assert seen is not None  # noqa: S101 - quads for sculpting come with the raw surface
        return 1.0 / float(np.ptp(seen[:, 2]))
    return 1.0 / metres_per_unit


def build_object(entry: Made, scale: float, paint: str) -> bpy.types.Object:
    """Make the object of a head, in no collection yet and without a modifier.

    Parameters
    ----------
    entry : Made
        The head and where it comes from.
    scale : float
        Blender units per metre.
    paint : str
        One of `choices.PAINTS`.

    Returns
    -------
    Object
        With its mesh, vertex groups, material, packed images, landmarks, and what made it.
    """
    head = entry.head
    mesh = build_mesh(head.name, head.vertices, head.faces, scale)
    mesh.uv_layers.new(name="UVMap").uv.foreach_set("vector", head.uv.ravel())
    if paint == VERTEX:
        paint_vertices(mesh, head)
    mesh.materials.append(build_material(head, scale, paint))
    built = bpy.data.objects.new(head.name, mesh)
    _group_vertices(built, head.regions)
    built[LANDMARKS_68] = _flat(head.landmarks, scale)
    if head.face_landmarks is not None:
        built[LANDMARKS_478] = _flat(head.face_landmarks, scale)
    built[PHOTO] = str(entry.photo).encode("utf-8", "replace").decode("utf-8")
    built[FACE_NUMBER] = head.face_number
    if len(head.face_boxes):
        built[FACE_BOXES] = head.face_boxes.ravel().tolist()
    if entry.box is not None:
        built[BOX] = entry.box
    if head.confidence is not None:
        built[CONFIDENCE] = head.confidence
    built[DEVICE] = head.device
    built[SECONDS] = entry.seconds
    return built


def build_mesh(
    name: str, vertices: NDArray[np.float32], faces: NDArray[np.int32], scale: float
) -> bpy.types.Mesh:
    """Make a smooth mesh of arrays.

    Parameters
    ----------
    name : str
        What it is to be called.
    vertices : ndarray of float32, shape (V, 3)
        Head frame, metres.
    faces : ndarray of int32, shape (F, 3) or (F, 4)
        Triangles or quads.
    scale : float
        Blender units per metre.

    Returns
    -------
    Mesh
        In Blender units.
    """
    corners = faces.ravel()
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", (vertices * np.float32(scale)).ravel())
    mesh.loops.add(len(corners))
    mesh.loops.foreach_set("vertex_index", corners)
    mesh.polygons.add(len(faces))
    starts = np.arange(0, len(corners), faces.shape[1], dtype=np.int32)
    mesh.polygons.foreach_set("loop_start", starts)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), dtype=bool))
    mesh.update(calc_edges=True)
    mesh.validate()
    return mesh


def landmarks_of(head_object: bpy.types.Object, key: str = LANDMARKS_68) -> NDArray[np.float64]:
    """Read landmarks that are stored with a head.

    Parameters
    ----------
    head_object : Object
        A head that this add-on made.
    key : str
        `LANDMARKS_68` or `LANDMARKS_478`.

    Returns
    -------
    ndarray of float64, shape (68, 3) or (478, 3)
        Object space, Blender units.

    Raises
    ------
    KeyError
        If the object has none.
    """
    return np.array(head_object[key]).reshape(-1, 3)


def is_head(candidate: bpy.types.Object | None) -> bool:
    """Tell whether an object is a head that this add-on made.

    Parameters
    ----------
    candidate : Object or None
        Any object.

    Returns
    -------
    bool
        Whether its landmarks are stored with it.
    """
    return candidate is not None and candidate.type == "MESH" and LANDMARKS_68 in candidate


def show_heads(context: bpy.types.Context) -> None:
    """Bring the selected heads into the viewport's view, with their texture.

    A head is a quarter of a metre high, so in a new file it would be a dot, inside the cube.

    Parameters
    ----------
    context : Context
        Of a 3D viewport; elsewhere, and where the view is a camera's, nothing happens.
    """
    area = context.area
    if area is None or area.type != "VIEW_3D":
        return
    shading = area.spaces.active.shading
    if shading.type == "SOLID":
        shading.color_type = "TEXTURE"
    if area.spaces.active.region_3d.view_perspective != "CAMERA":
        region = next(region for region in area.regions if region.type == "WINDOW")
        with context.temp_override(area=area, region=region):
            bpy.ops.view3d.view_selected()


def _neck_rim(head: Head) -> NDArray[np.intp]:
    """Vertices (N,) of a head's quads where the neck is cut; none of a face alone."""
    topology = load_topology()
    if len(head.faces) != len(topology.quads):
        return np.empty(0, np.intp)
    under = topology.underside
    return np.intersect1d(head.faces[under], head.faces[~under])


def _bounds(head_object: bpy.types.Object) -> NDArray[np.float64]:
    """Give the lowest and the highest corner of an object, world space, shape (2, 3)."""
    world = head_object.matrix_world
    corners = np.array([world @ Vector(corner) for corner in head_object.bound_box])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def _hides(other: bpy.types.Object) -> bool:
    """Tell whether something stands in the scene that a head inside of it would not be seen in."""
    return other.type == "MESH" and not is_head(other) and other.visible_get()


def _clear_place(
    wanted: Vector,
    head_object: bpy.types.Object,
    taken: Sequence[NDArray[np.float64]],
    walls: Sequence[NDArray[np.float64]],
) -> Vector:
    """Move along x from the wanted place until no head stands there and nothing hides it.

    A new file's cube would.
    """
    local = np.array(head_object.bound_box)
    size = np.stack([local.min(axis=0), local.max(axis=0)])
    place = np.array(wanted)

    def in_the_way(other: NDArray[np.float64]) -> bool:
        low, high = size + place
        return bool((low < other[1]).all() and (other[0] < high).all())

    def inside(other: NDArray[np.float64]) -> bool:
        low, high = size + place
        return bool((other[0] < low).all() and (high < other[1]).all())

    def obstacle() -> NDArray[np.float64] | None:
        heads, others = filter(in_the_way, taken), filter(inside, walls)
        return next(itertools.chain(heads, others), None)

    while (other := obstacle()) is not None:
        place[0] = other[1, 0] - size[0, 0] + _GAP * (size[1, 0] - size[0, 0])
    return Vector(place)


def _collection_of(scene: bpy.types.Scene) -> bpy.types.Collection:
    for collection in scene.collection.children_recursive:
        # Blender appends .001 where another scene of the file has such a collection already.
        if collection.name.partition(".")[0] == COLLECTION and collection.library is None:
            return collection
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    return collection


def _landmarks_wanted(head_object: bpy.types.Object, count: int) -> NDArray[np.float64]:
    guided = LANDMARKS_478 in head_object
    return landmarks_of(head_object, LANDMARKS_478 if guided and count == 478 else LANDMARKS_68)


def _group_vertices(built: bpy.types.Object, regions: NDArray[np.float32]) -> None:
    """Make a vertex group of each region; regions that the head has nothing of get none."""
    for name, weights in zip(REGIONS, regions.T, strict=True):
        members = np.flatnonzero(weights > _LEAST_WEIGHT)
        if not len(members):
            continue
        group = built.vertex_groups.new(name=name.capitalize())
        # Blender takes many vertices of one weight at once, so weights are rounded a little.
        steps = np.rint(weights[members] * _WEIGHT_STEPS).astype(int)
        for step in np.unique(steps):
            group.add(members[steps == step].tolist(), step / _WEIGHT_STEPS, "REPLACE")
    # A group that is active shows its weights in Weight Paint: the first one.
    built.vertex_groups.active_index = 0


def _flat(points: NDArray[np.float32], scale: float) -> list[float]:
    return (points * np.float32(scale)).ravel().tolist()
