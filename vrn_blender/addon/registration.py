# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What Blender gets to know of, and that it forgets all of it again."""

import bpy
from bpy.app.handlers import load_pre, persistent
from bpy.props import PointerProperty

from . import operators, panels, pick, preferences, properties
from .batch import run_in_blender
from .session import Session

CLASSES: tuple[type, ...] = (
    properties.VRN_PG_options,
    preferences.VRN_preferences,
    operators.VRN_OT_face_from_photo,
    operators.VRN_OT_run_again,
    operators.VRN_OT_choose_photos,
    operators.VRN_OT_cancel,
    operators.VRN_OT_release_worker,
    operators.VRN_OT_refresh_status,
    operators.VRN_OT_fetch_bundle,
    pick.VRN_OT_pick_face,
    pick.VRN_OT_draw_box,
    panels.VRN_PT_face,
    panels.VRN_PT_face_options,
    panels.VRN_PT_face_result,
    panels.VRN_FH_face_from_photo,
)


@persistent
def close_overlay(*_: object) -> None:
    """Take the photo off the viewport before another file is opened."""
    session = bpy.types.WindowManager.vrn_session
    session.close_overlay()
    session.faceless = []


def register() -> None:
    """Add every class, the sidebar's options, the session and the batch command."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    # Plain attributes of the class, gone with the add-on; so no module holds any state.
    manager = bpy.types.WindowManager
    manager.vrn_options = PointerProperty(type=properties.VRN_PG_options)
    manager.vrn_session = Session()
    load_pre.append(close_overlay)
    manager.vrn_command = bpy.utils.register_cli_command("vrn_blender", run_in_blender)


def unregister() -> None:
    """Take all of it out again, what is drawn and the worker first."""
    manager = bpy.types.WindowManager
    load_pre.remove(close_overlay)
    manager.vrn_session.close_overlay()
    manager.vrn_session.release()
    bpy.utils.unregister_cli_command(manager.vrn_command)
    del manager.vrn_command, manager.vrn_session, manager.vrn_options
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
