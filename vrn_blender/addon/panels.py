# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The sidebar's tab "Face", and photos that are dropped on the viewport."""

import textwrap
from pathlib import Path

import bpy

from ..reconstruction.result import describe_confidence
from .again import face_boxes_of
from .operators import describe, draw_options, draw_surface
from .photos import SUFFIXES
from .scene import CONFIDENCE, DEVICE, FACE_NUMBER, PHOTO, SECONDS, is_head
from .session import Session, session_of

_BUTTONS_A_ROW = 8
_LETTER = 7.0
"""Width in pixels of a letter of Blender's own font, at an interface scale of one."""
_INDENT = 40.0
"""Pixels of a sub-panel's line that are no text, likewise."""


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
        draw_surface(layout, context)
        hint = layout.column(align=True)
        hint.label(text="Choose portraits, or drop them here.")
        hint.label(text="A textured head of each appears")
        hint.label(text="at the 3D cursor, after some seconds.")
        _draw_faceless(layout, session)
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
        column.label(text=f"Vertices: {len(head.data.vertices):,}")
        column.label(text=f"Time: {head[SECONDS]:.1f} s")
        for text in (
            f"Device: {head[DEVICE]}",
            f"Confidence: {describe_confidence(head.get(CONFIDENCE))}",
        ):
            for line in textwrap.wrap(text, _line_length(context), subsequent_indent="    "):
                column.label(text=line)
        _draw_faces(self.layout, head)
        self.layout.operator("vrn.run_again", icon="FILE_REFRESH")


def describe_faces(number: int, count: int) -> str:
    """Say which of the faces of its photo a head shows.

    Parameters
    ----------
    number : int
        Of the face, counted from 1, the largest.
    count : int
        How many faces the photo shows.

    Returns
    -------
    str
        For the panel.
    """
    which = "the largest" if number == 1 else f"number {number}"
    return f"{count} faces in the photo; this is {which}."


def _line_length(context: bpy.types.Context) -> int:
    """Tell about how many letters fit into a line of the sidebar."""
    width = context.region.width / context.preferences.system.ui_scale
    return max(20, int((width - _INDENT) / _LETTER))


def _draw_faces(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    """Offer the other faces of the photo, if there are any."""
    count = len(face_boxes_of(head))
    if count < 2:
        return
    column = layout.column(align=True)
    column.label(text=describe_faces(head[FACE_NUMBER], count))
    buttons = column.grid_flow(
        row_major=True, columns=min(count, _BUTTONS_A_ROW), even_columns=True, align=True
    )
    for number in range(1, count + 1):
        pressed = number == head[FACE_NUMBER]
        buttons.operator("vrn.run_again", text=str(number), depress=pressed).number = number
    column.operator("vrn.pick_face", icon="RESTRICT_SELECT_OFF")


def _draw_faceless(layout: bpy.types.UILayout, session: Session) -> None:
    """Offer to draw a box where no face was found."""
    for photo in session.faceless:
        box = layout.column(align=True)
        box.label(text=f"No face found: {photo.name}", icon="ERROR")
        box.operator("vrn.draw_box", icon="SELECT_SET").filepath = str(photo)


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
