# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Runs inside Blender and writes what is so there, five times a second, as a JSON file.

::

    blender --python observer.py -- STATE.json
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy

SECONDS = 0.2


def look() -> dict[str, Any]:
    """Say what the file holds, what the add-on is at, and where on the screen everything is."""
    manager = bpy.context.window_manager
    session = manager.vrn_session
    data = bpy.data
    return {
        "blender": os.getpid(),
        "worker": session.process_id if session.worker_is_alive else None,
        "running": session.running,
        "blocks": sorted(
            f"{block.rna_type.name} {block.name_full}"
            for kind in (data.objects, data.meshes, data.materials, data.images, data.collections)
            for block in kind
        ),
        "heads": {
            entry.name: len(entry.data.vertices) for entry in data.objects if "vrn_photo" in entry
        },
        "active": getattr(bpy.context.view_layer.objects.active, "name", None),
        "areas": [
            area_of(window, area) for window in manager.windows for area in window.screen.areas
        ],
    }


def area_of(window: Any, area: Any) -> dict[str, Any]:
    """Say what an editor shows, and where its regions are."""
    space = area.spaces.active
    told: dict[str, Any] = {"type": area.type}
    if area.type == "FILE_BROWSER" and space.params is not None:
        told["folder"] = space.params.directory.decode()
        told["file"] = space.params.filename
    if area.type == "VIEW_3D":
        told["view"] = [round(value, 4) for value in space.region_3d.view_rotation]
    told["regions"] = {
        region.type: {
            # From the screen's lower left corner.
            "left": window.x + region.x,
            "bottom": window.y + region.y,
            "width": region.width,
            "height": region.height,
        }
        for region in area.regions
    }
    if area.type == "VIEW_3D":
        # Blender crashes when it is asked this of a region that was never drawn.
        told["tab"] = next(r for r in area.regions if r.type == "UI").active_panel_category
    return told


def main() -> None:
    """Begin."""
    target = Path(sys.argv[-1])
    drawn = itertools.count(1)
    state = {"drawn": 0}

    def count() -> None:
        state["drawn"] = next(drawn)

    def write() -> float:
        new = target.with_suffix(".new")
        new.write_text(json.dumps({**state, **look()}), encoding="utf-8")
        new.replace(target)
        return SECONDS

    bpy.types.SpaceView3D.draw_handler_add(count, (), "WINDOW", "POST_PIXEL")
    bpy.app.timers.register(write, first_interval=SECONDS, persistent=True)


main()
