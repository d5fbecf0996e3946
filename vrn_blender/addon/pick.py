# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Operators that show the photo in the viewport and ask the user where the face is."""

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..reconstruction.result import Picture
from .again import face_boxes_of, photo_of
from .job import PictureJob
from .operators import Result, Watching, can_run_again, worker_is_free
from .overlay import MAX_SIDE, Overlay
from .placement import drawn_box, hit_box
from .preferences import worker_settings
from .session import session_of

_DIGITS = ("ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
NUMBER_KEYS = {
    key: number
    for number, digit in enumerate(_DIGITS, start=1)
    for key in (digit, f"NUMPAD_{number}")
}
"""Blender's names of the keys 1 to 9, and what they mean."""


class Showing(Watching):
    """What operators share that cover the viewport with a photo; not one itself.

    First the worker reads the photo, which is looked after as any job. Then the photo is shown
    until a subclass's `_handle` is done with it.
    """

    _job: PictureJob
    _overlay: Overlay | None = None

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        """Have the worker read the photo."""
        photo = self._photo(context)
        if photo is None:
            self.report({"ERROR"}, "No photo is given: set filepath to a photo.")
            return {"CANCELLED"}
        self._job = session_of(context).begin(
            worker_settings(context), lambda client: PictureJob(client, photo, MAX_SIDE)
        )
        return self._watch(context)

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        """Wait for the photo, then let the user choose; Esc leaves."""
        if self._overlay is None:
            return super().modal(context, event)
        where = self._overlay.mouse(event)
        # It is closed when the add-on is disabled meanwhile, and has no place without a viewport.
        if self._overlay.closed or where is None or event.type in ("ESC", "RIGHTMOUSE"):
            session_of(context).close_overlay()
            return {"CANCELLED"}
        result = self._handle(context, event, self._overlay)
        self._overlay.redraw()
        return result

    def cancel(self, context: bpy.types.Context) -> None:
        """Leave because Blender closes the window or opens another file."""
        if self._overlay is None:
            super().cancel(context)
        else:
            session_of(context).close_overlay()

    def _finish(self, context: bpy.types.Context) -> Result:
        self._report_failures("ERROR")
        picture = self._job.picture
        if picture is None or context.area is None:
            return {"CANCELLED"}
        self._overlay = self._open(context, picture)
        session_of(context).overlay = self._overlay
        return {"RUNNING_MODAL"}

    def _photo(self, context: bpy.types.Context) -> Path | None:
        raise NotImplementedError

    def _open(self, context: bpy.types.Context, picture: Picture) -> Overlay:
        raise NotImplementedError

    def _handle(
        self, context: bpy.types.Context, event: bpy.types.Event, overlay: Overlay
    ) -> Result:
        raise NotImplementedError


class VRN_OT_pick_face(Showing):
    """The user points at the face that becomes the head."""

    bl_idname = "vrn.pick_face"
    bl_label = "Pick in the Photo"
    bl_description = (
        "Show the photo with its faces numbered; click on a face, or press its number, and its "
        "head takes the place of this one. Esc leaves"
    )
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        return _has_viewport(cls, context) and can_run_again(cls, context)

    def _photo(self, context: bpy.types.Context) -> Path:
        return photo_of(context.active_object)

    def _open(self, context: bpy.types.Context, picture: Picture) -> Overlay:
        boxes = face_boxes_of(context.active_object)
        hint = "Click on a face or press its number.   Esc: leave"
        return Overlay(context.area, picture, hint, boxes)

    def _handle(
        self, context: bpy.types.Context, event: bpy.types.Event, overlay: Overlay
    ) -> Result:
        where = overlay.mouse(event)
        if where is not None:
            place, point = where
            overlay.highlighted = hit_box(overlay.boxes, place.to_photo(point))
        number = None
        if event.value == "PRESS":
            number = NUMBER_KEYS.get(event.type)
            if event.type == "LEFTMOUSE":
                number = overlay.highlighted
        if number is None or number > len(overlay.boxes):
            return {"RUNNING_MODAL"}
        session_of(context).close_overlay()
        bpy.ops.vrn.run_again("INVOKE_DEFAULT", number=number)
        return {"FINISHED"}


class VRN_OT_draw_box(Showing):
    """The user draws a box round the face that was not found."""

    bl_idname = "vrn.draw_box"
    bl_label = "Draw Box"
    bl_description = (
        "Show the photo and draw a box round the face, from hairline to chin, by dragging the "
        "mouse; the head is then made without landmarks. Esc leaves"
    )
    bl_options = {"INTERNAL"}

    filepath: StringProperty(
        name="Photo",
        description="The photo; by default the last one in which no face was found",
        subtype="FILE_PATH",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    _begin: tuple[float, float] | None = None
    _path: Path

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        return _has_viewport(cls, context) and worker_is_free(cls, context)

    def _photo(self, context: bpy.types.Context) -> Path | None:
        faceless = session_of(context).faceless
        if self.filepath:
            self._path = Path(bpy.path.abspath(self.filepath))
        elif faceless:
            self._path = faceless[-1]
        else:
            return None
        return self._path

    def _open(self, context: bpy.types.Context, picture: Picture) -> Overlay:
        hint = "Drag a box round the face, from hairline to chin.   Esc: leave"
        return Overlay(context.area, picture, hint)

    def _handle(
        self, context: bpy.types.Context, event: bpy.types.Event, overlay: Overlay
    ) -> Result:
        where = overlay.mouse(event)
        if where is None:
            return {"RUNNING_MODAL"}
        place, point = where
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self._begin = point
        if self._begin is not None:
            overlay.drag = drawn_box(place, self._begin, point)
        if event.type != "LEFTMOUSE" or event.value != "RELEASE":
            return {"RUNNING_MODAL"}
        self._begin = None
        if overlay.drag is None:
            return {"RUNNING_MODAL"}
        session_of(context).close_overlay()
        bpy.ops.vrn.face_from_photo("INVOKE_DEFAULT", filepath=str(self._path), box=overlay.drag)
        return {"FINISHED"}


def _has_viewport(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    if bpy.app.background:
        cls.poll_message_set("This needs Blender's window")
        return False
    if context.area is None or context.area.type != "VIEW_3D":
        cls.poll_message_set("This works in a 3D viewport")
        return False
    return True
