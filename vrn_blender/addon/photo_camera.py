# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The camera that sees a head as its photo does, with the photo behind the head.

The camera hangs on the head, so it goes where the head goes, and its frame grows with the head. The
frame holds the whole photo whatever the scene's resolution is; photo and frame are the same where
the resolution is the photo's. That is set only in a scene that has no camera yet, which gets this
one as its own: a scene that someone has set up keeps its camera and its resolution, and Ctrl
Numpad 0 makes this camera the scene's.
"""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ..reconstruction.result import Head
from .material import pack_image

_NAME = "{} photo"

# Metres before the camera that are seen, of which the head is a metre or two away.
_NEAREST, _FARTHEST = 0.01, 10.0


def add_camera(
    head_object: bpy.types.Object,
    head: Head,
    scale: float,
    scene: bpy.types.Scene,
    collection: bpy.types.Collection,
) -> bpy.types.Object:
    """Put the camera of a head's photo into the scene.

    Parameters
    ----------
    head_object : Object
        The head, in its place.
    head : Head
        What it was made of.
    scale : float
        Blender units per metre.
    scene : Scene
        Whose resolution the frame is fitted to, or which is fitted to the photo if it has no
        camera.
    collection : Collection
        Where the camera goes.

    Returns
    -------
    Object
        The camera.
    """
    photo = head.camera
    lens = bpy.data.cameras.new(_NAME.format(head_object.name))
    camera = bpy.data.objects.new(lens.name, lens)
    collection.objects.link(camera)
    if scene.camera is None:
        scene.camera = camera
        scene.render.resolution_x, scene.render.resolution_y = photo.width, photo.height
        scene.render.resolution_percentage = 100
    lens.type = "ORTHO"
    upright = _aspect(scene.render) * photo.height > photo.width
    lens.sensor_fit = "VERTICAL" if upright else "HORIZONTAL"
    side = photo.height if upright else photo.width
    lens.ortho_scale = side * photo.metres_per_pixel * scale
    lens.clip_start, lens.clip_end = _NEAREST * scale, _FARTHEST * scale
    place = np.array(photo.matrix)
    place[:3, 3] *= scale
    _grow_with(head_object, lens)
    camera.parent = head_object
    camera.matrix_local = Matrix(place.tolist())
    if head.photo_jpeg is not None:
        _show_behind(lens, pack_image(_NAME.format(head_object.name), head.photo_jpeg, "jpg"))
    return camera


def remove_camera(head_object: bpy.types.Object) -> None:
    """Remove the camera of a head's photo, and the photo.

    Parameters
    ----------
    head_object : Object
        The head.
    """
    named = _NAME.format(head_object.name)
    for camera in [child for child in head_object.children if child.name == named]:
        lens = camera.data
        images = [background.image for background in lens.background_images]
        bpy.data.objects.remove(camera)
        bpy.data.cameras.remove(lens)
        bpy.data.batch_remove([image for image in images if image is not None])


def _grow_with(head_object: bpy.types.Object, lens: bpy.types.Camera) -> None:
    """Drive the frame's size by the head's scale, which an orthographic camera does not inherit."""
    curve = lens.driver_add("ortho_scale")
    # A function of a sum needs no expression, which Blender may refuse to run in others' files.
    curve.driver.type = "SUM"
    scale = curve.driver.variables.new()
    scale.type = "TRANSFORMS"
    scale.targets[0].id = head_object
    scale.targets[0].transform_type = "SCALE_AVG"
    while curve.modifiers:
        curve.modifiers.remove(curve.modifiers[0])
    curve.modifiers.new("GENERATOR").coefficients = (0.0, lens.ortho_scale)


def _aspect(render: bpy.types.RenderSettings) -> float:
    width = render.resolution_x * render.pixel_aspect_x
    return float(width / (render.resolution_y * render.pixel_aspect_y))


def _show_behind(lens: bpy.types.Camera, image: bpy.types.Image) -> None:
    lens.show_background_images = True
    background = lens.background_images.new()
    background.image = image
    background.alpha = 1.0
    background.frame_method = "FIT"
    background.display_depth = "BACK"
