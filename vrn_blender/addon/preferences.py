# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The add-on's preferences: where the network runs, what it needs, and for how long it stays."""

from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty

from ..reconstruction.bundle import BUNDLE_SIZE, find_bundle
from ..reconstruction.errors import ModelError
from ..reconstruction.model_file import MODEL
from ..worker.client import Settings
from .properties import DEVICE_ITEMS
from .session import session_of

# An extension is called bl_ext.<repository>.<name>; what Blender knows as the add-on is that.
PACKAGE = __package__.rpartition(".vrn_blender.addon")[0] or "vrn_blender"


class VRN_preferences(bpy.types.AddonPreferences):
    """What holds for every file."""

    bl_idname = PACKAGE

    device: EnumProperty(
        name="Device",
        description="Where the network runs",
        items=DEVICE_ITEMS,
        default="AUTO",
    )
    idle_minutes: IntProperty(
        name="Keep Ready",
        description=(
            "For how many minutes after a photo the worker stays ready for the next one. It holds "
            "about a gigabyte of memory meanwhile"
        ),
        default=5,
        min=1,
        soft_max=60,
        max=24 * 60,
        subtype="TIME",
    )

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the preferences."""
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "device")
        layout.prop(self, "idle_minutes", text="Keep Ready (minutes)")
        _draw_network(layout)
        _draw_bundle(layout)
        if session_of(context).worker_is_alive:
            layout.operator("vrn.release_worker")


def preferences_of(context: bpy.types.Context) -> VRN_preferences | None:
    """Give the add-on's preferences.

    Parameters
    ----------
    context : Context
        Any.

    Returns
    -------
    VRN_preferences or None
        None where the package was registered by a script and is no enabled add-on.
    """
    addon = context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon is not None else None


def worker_settings(context: bpy.types.Context) -> Settings:
    """Tell what the worker is to be started with.

    Parameters
    ----------
    context : Context
        Any.

    Returns
    -------
    Settings
        With the user's idle time, and the folder that the bundle is downloaded to.
    """
    preferences = preferences_of(context)
    folder = user_folder()
    folders = (folder,) if folder is not None else ()
    if preferences is None:
        return Settings(bundle_folders=folders)
    return Settings(bundle_folders=folders, idle_seconds=60.0 * preferences.idle_minutes)


def user_folder() -> Path | None:
    """Tell where this extension may keep files of its own.

    Returns
    -------
    Path or None
        The folder, which need not exist; None where the package is no installed extension.
    """
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE))
    except ValueError:
        return None


def _draw_network(layout: bpy.types.UILayout) -> None:
    row = layout.row()
    if MODEL.is_file():
        row.label(text=f"Network: {MODEL.name}, {MODEL.stat().st_size / 1e6:.0f} MB")
        row.operator("vrn.check_model")
    else:
        row.label(text=f"Network missing: {MODEL}; install the extension again", icon="ERROR")


def _draw_bundle(layout: bpy.types.UILayout) -> None:
    folder = user_folder()
    try:
        bundle = find_bundle([folder] if folder is not None else [])
    except ModelError:
        layout.label(
            text=f"MediaPipe's face model: not here ({BUNDLE_SIZE / 1e6:.1f} MB; only newer "
            "versions of MediaPipe need it)"
        )
        layout.operator("vrn.fetch_bundle", icon="IMPORT")
        return
    # Only its size, because this runs at every redraw; the worker checks the SHA-256.
    whole = bundle.stat().st_size == BUNDLE_SIZE
    if whole:
        layout.label(text=f"MediaPipe's face model: {bundle}", icon="CHECKMARK")
    else:
        layout.label(text=f"MediaPipe's face model is damaged: {bundle}", icon="ERROR")
        layout.operator("vrn.fetch_bundle", icon="IMPORT")
