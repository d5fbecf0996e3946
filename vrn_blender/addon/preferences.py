# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The add-on's preferences: where the network runs, what it needs, and for how long it stays."""

from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy.props import EnumProperty, IntProperty

from ..worker.client import Settings
from ..worker.status import Status
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
        session = session_of(context)
        # Only what is known already is drawn: finding it out takes the worker seconds.
        panel = layout.box()
        row = panel.row()
        row.label(text="What the worker has to work with")
        row.operator("vrn.refresh_status", icon="FILE_REFRESH")
        if session.running and session.job is not None:
            panel.progress(factor=session.job.fraction, text=session.job.title)
        if session.status is None:
            panel.label(text="Press Refresh to see it.")
            panel.operator("vrn.fetch_bundle", icon="IMPORT")
        else:
            _draw_status(panel, session.status, alive=session.worker_is_alive)
        panel.operator("vrn.release_worker")


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


def _draw_status(layout: bpy.types.UILayout, status: Status, *, alive: bool) -> None:
    column = layout.column(align=True)
    for text, icon in describe_status(status, alive=alive):
        column.label(text=text, icon=icon)
    if status.bundle_problem:
        layout.operator("vrn.fetch_bundle", icon="IMPORT")


def describe_status(status: Status, *, alive: bool) -> list[tuple[str, str]]:
    """Say what the worker has to work with, line by line.

    Parameters
    ----------
    status : Status
        As it was when it was looked at last.
    alive : bool
        Whether a worker runs.

    Returns
    -------
    list of (str, str)
        Each line and its icon, by Blender's name.
    """
    lines = [(f"{status.runtime}, built for {_plain(status.providers)}", "CHECKMARK")]
    if not status.cuda:
        lines.append(("CUDA: this build is without it; the processor does the work", "INFO"))
    else:
        lines.append(_describe_gpu(status))
        lines += [
            (f"{library.name}: {library.path}", "CHECKMARK")
            if library.path
            else (f"{library.name}: missing", "X")
            for library in status.libraries
        ]
    lines += _describe_file("Network", status.model, status.model_problem)
    if status.bundle or status.bundle_problem:
        lines += _describe_file("MediaPipe's bundle", status.bundle, status.bundle_problem)
    else:
        lines.append((f"MediaPipe {status.mediapipe} needs no bundle", "CHECKMARK"))
    held = f"{status.memory / 1e6:.0f} MB when last looked at" if status.memory else "not known"
    lines.append((f"Memory held by the worker: {held if alive else 'none'}", "MEMORY"))
    return lines


def _plain(providers: Iterable[str]) -> str:
    return ", ".join(name.removesuffix("ExecutionProvider") for name in providers)


def _describe_gpu(status: Status) -> tuple[str, str]:
    missing = [library.name for library in status.libraries if not library.path]
    wants = f"CUDA {status.cuda} with cuDNN 9"
    if not missing:
        return f"{status.gpu}: everything for {wants} is there", "CHECKMARK"
    if not status.gpu:
        return f"No NVIDIA card with a driver; {wants} would be needed too", "INFO"
    return f"{status.gpu}: install {wants}; what is missing is marked below", "ERROR"


def _describe_file(name: str, path: str, problem: str) -> list[tuple[str, str]]:
    if problem:
        return [(problem, "ERROR")]
    return [(f"{name}: size and SHA-256 are right", "CHECKMARK"), (path, "BLANK1")]
