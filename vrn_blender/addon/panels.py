# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The sidebar's tab "Face", and photos that are dropped on the viewport."""

from pathlib import Path

import bpy

from .operators import describe, draw_options
from .photos import SUFFIXES
from .scene import DEVICE, FACE_NUMBER, PHOTO, SECONDS, is_head
from .session import session_of


class _Panel:
    """Where the tab is; its panels inherit this."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Face"


class VRN_PT_face(_Panel, bpy.types.Panel):
    """The button, or how far the photo is."""

    bl_idname = "VRN_PT_face"
    bl_label = "Face from Photo"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        layout = self.layout
        session = session_of(context)
        if session.job is not None and session.running:
            layout.progress(factor=session.job.fraction, text=f"{session.job.fraction:.0%}")
            layout.label(text=describe(session.job))
            layout.operator("vrn.cancel", icon="CANCEL")
            return
        button = layout.column()
        button.scale_y = 2.0
        button.operator("vrn.face_from_photo", icon="USER")
        hint = layout.column(align=True)
        hint.label(text="Choose a portrait, or drop one here.")
        hint.label(text="A textured head appears at the 3D cursor.")
        if session.worker_is_alive:
            layout.operator("vrn.release_worker")


class VRN_PT_face_options(_Panel, bpy.types.Panel):
    """What to choose before pressing the button."""

    bl_idname = "VRN_PT_face_options"
    bl_parent_id = "VRN_PT_face"
    bl_label = "Options"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        draw_options(self.layout, context)


class VRN_PT_face_result(_Panel, bpy.types.Panel):
    """What came out; it is stored with the head, so it is there after a reload too."""

    bl_idname = "VRN_PT_face_result"
    bl_parent_id = "VRN_PT_face"
    bl_label = "Head"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Show it for heads only."""
        return is_head(context.active_object)

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        head = context.active_object
        column = self.layout.column(align=True)
        column.label(text=f"Photo: {Path(head[PHOTO]).name}")
        if head[FACE_NUMBER] > 1:
            column.label(text=f"Face: {head[FACE_NUMBER]}")
        column.label(text=f"Vertices: {len(head.data.vertices):,}")
        column.label(text=f"Time: {head[SECONDS]:.1f} s")
        column.label(text=f"Device: {head[DEVICE]}")


class VRN_FH_face_from_photo(bpy.types.FileHandler):
    """Photos dropped on a 3D viewport become heads."""

    bl_idname = "VRN_FH_face_from_photo"
    bl_label = "Face from Photo"
    bl_import_operator = "vrn.face_from_photo"
    bl_file_extensions = ";".join(SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Take them in 3D viewports only."""
        return context.area is not None and context.area.type == "VIEW_3D"
