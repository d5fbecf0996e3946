# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Heads become objects in the scene.

A head is one object in the collection "Face from Photo". Its origin, which lies between the ears,
is put at the 3D cursor, or beside it along x where another head stands already; it faces -y. What
later tools need stays with the object, as custom
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

from collections.abc import Sequence

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..reconstruction.result import Head
from .job import Made

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

_SKIN_ROUGHNESS = 0.6
_GAP = 0.25
"""Space between two heads, in widths of a head."""


def add_heads(
    scene: bpy.types.Scene,
    view_layer: bpy.types.ViewLayer,
    made: Sequence[Made],
    *,
    unit_size: bool = False,
) -> list[bpy.types.Object]:
    """Put heads into the scene, selected, the first one active.

    Parameters
    ----------
    scene : Scene
        Where they go: into the collection `COLLECTION`, at the 3D cursor, clear of other heads.
    view_layer : ViewLayer
        Whose selection and active object change.
    made : sequence of Made
        The heads.
    unit_size : bool
        Make each head one unit high instead of true to size.

    Returns
    -------
    list of Object
        The objects, in the order of the heads.
    """
    collection = _collection_of(scene)
    # Without this, objects that were removed a moment ago are still in the selection, as None.
    view_layer.update()
    for other in tuple(view_layer.objects.selected):
        other.select_set(False)
    taken = [_bounds(other) for other in view_layer.objects if is_head(other)]
    objects = []
    for entry in made:
        units = scale_of(entry.head, unit_size, scene.unit_settings.scale_length)
        built = build_object(entry, units)
        collection.objects.link(built)
        built.location = _clear_place(scene.cursor.location, built, taken)
        view_layer.update()
        taken.append(_bounds(built))
        objects.append(built)
    for built in objects:
        # A collection that the user has excluded from the view layer cannot be selected in.
        if built.name in view_layer.objects:
            built.select_set(True)
    if objects and objects[0].name in view_layer.objects:
        view_layer.objects.active = objects[0]
    return objects


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
        return 1.0 / float(np.ptp(head.vertices[:, 2]))
    return 1.0 / metres_per_unit


def build_object(entry: Made, scale: float) -> bpy.types.Object:
    """Make the object of a head, in no collection yet.

    Parameters
    ----------
    entry : Made
        The head and where it comes from.
    scale : float
        Blender units per metre.

    Returns
    -------
    Object
        With its mesh, material, packed texture, landmarks, and what made it.
    """
    head = entry.head
    built = bpy.data.objects.new(head.name, _build_mesh(head, scale))
    built.data.materials.append(_build_material(head))
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


def _bounds(head_object: bpy.types.Object) -> NDArray[np.float64]:
    """Give the lowest and the highest corner of an object, world space, shape (2, 3)."""
    world = head_object.matrix_world
    corners = np.array([world @ Vector(corner) for corner in head_object.bound_box])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def _clear_place(
    wanted: Vector, head_object: bpy.types.Object, taken: Sequence[NDArray[np.float64]]
) -> Vector:
    """Move along x from the wanted place until no head stands there."""
    local = np.array(head_object.bound_box)
    size = np.stack([local.min(axis=0), local.max(axis=0)])
    place = np.array(wanted)

    def in_the_way(other: NDArray[np.float64]) -> bool:
        low, high = size + place
        return bool((low < other[1]).all() and (other[0] < high).all())

    while (other := next(filter(in_the_way, taken), None)) is not None:
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


def _build_mesh(head: Head, scale: float) -> bpy.types.Mesh:
    corners = head.faces.ravel()
    mesh = bpy.data.meshes.new(head.name)
    mesh.vertices.add(len(head.vertices))
    mesh.vertices.foreach_set("co", (head.vertices * np.float32(scale)).ravel())
    mesh.loops.add(len(corners))
    mesh.loops.foreach_set("vertex_index", corners)
    mesh.polygons.add(len(head.faces))
    sides = head.faces.shape[1]
    mesh.polygons.foreach_set("loop_start", np.arange(0, len(corners), sides, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(len(head.faces), dtype=bool))
    layer = mesh.uv_layers.new(name="UVMap")
    layer.uv.foreach_set("vector", head.uv.ravel())
    mesh.update(calc_edges=True)
    mesh.validate()
    return mesh


def _build_material(head: Head) -> bpy.types.Material:
    material = bpy.data.materials.new(head.name)
    # From Blender 5.0 on every material has nodes, and setting this is deprecated.
    if not material.use_nodes:
        material.use_nodes = True
    tree = material.node_tree
    principled = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    principled.inputs["Roughness"].default_value = _SKIN_ROUGHNESS
    texture = tree.nodes.new("ShaderNodeTexImage")
    texture.location = (principled.location.x - 320, principled.location.y)
    texture.image = _build_image(head)
    tree.links.new(texture.outputs["Color"], principled.inputs["Base Color"])
    return material


def _build_image(head: Head) -> bpy.types.Image:
    # The size is that of the packed file as soon as Blender reads it.
    image = bpy.data.images.new(head.name, 1, 1)
    image.pack(data=head.texture_png, data_len=len(head.texture_png))
    image.source = "FILE"
    image.filepath_raw = f"//{head.name}.png"
    image.colorspace_settings.name = "sRGB"
    return image


def _flat(points: NDArray[np.float32], scale: float) -> list[float]:
    return (points * np.float32(scale)).ravel().tolist()
