# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Runs inside Blender, with a window: projects a head from the view of its photo's camera.

::

    blender --python projection.py -- PHOTO REPORT.json
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view


def project() -> dict[str, Any]:
    """Make a head with a camera, project its UVs from there, and paint it from there."""
    (photo, _) = sys.argv[sys.argv.index("--") + 1 :]
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    bpy.ops.vrn.face_from_photo(filepath=photo, surface="LIGHT", camera=True)
    head = bpy.context.view_layer.objects.active
    camera = bpy.context.scene.camera
    (window,) = bpy.context.window_manager.windows
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    view = {"window": window, "area": area, "region": region}
    with bpy.context.temp_override(**view):
        bpy.ops.view3d.view_camera()
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=2)
        bpy.ops.object.mode_set(mode="EDIT")
    # What an operator may do is asked of the context that the other mode has made.
    with bpy.context.temp_override(**view, active_object=head, edit_object=head, object=head):
        bpy.ops.mesh.select_all(action="SELECT")
        bpy.ops.uv.project_from_view(camera_bounds=True, correct_aspect=False)
        bpy.ops.object.mode_set(mode="OBJECT")
    mesh, off = head.data, list[float]()
    layer = mesh.uv_layers.active.data
    width, height = bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y
    for loop in list(mesh.loops)[::50]:
        place = head.matrix_world @ mesh.vertices[loop.vertex_index].co
        seen = world_to_camera_view(bpy.context.scene, camera, place)
        apart = np.subtract(layer[loop.index].uv, seen.xy) * (width, height)
        off.append(float(np.linalg.norm(apart)))
    return {"off": max(off), "corners": len(off), "size": [width, height]}


def report() -> None:
    """Write what came out, or what went wrong, and close Blender."""
    target = Path(sys.argv[-1])
    try:
        found = project()
    except Exception:
        found = {"failure": traceback.format_exc()}
    target.write_text(json.dumps(found), encoding="utf-8")
    bpy.ops.wm.quit_blender()


# The window has to be drawn once before there is a view to project from.
bpy.app.timers.register(report, first_interval=1.0)
