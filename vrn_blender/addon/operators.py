# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The operators; thin, because the work is done in plain functions and in the worker."""

import sys
from pathlib import Path
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from ..reconstruction.errors import ReconstructionError
from .again import find_head, photo_of, replace_head, same_face
from .job import DownloadJob, Failure, Job, PhotoJob, StatusJob
from .preferences import PACKAGE, preferences_of, user_folder, worker_settings
from .properties import FaceOptions, RunOptions, chosen_photos, to_options, to_scene_choices
from .scene import add_heads, is_head, scale_of, show_heads
from .session import session_of

Result = set[str]

_TICK_SECONDS = 0.1
_STATIONS = {
    "start": "Starting",
    "photo": "Reading the photo",
    "landmarks": "Finding the face",
    "network": "Reconstructing",
    "surface": "Drawing the surface",
    "head": "Measuring the head",
    "texture": "Cutting the texture",
    "download": "Downloading",
    "look": "Looking",
}


OPTION_GROUPS = {
    "Head": ("face", "size", "smoothing", "detail", "face_only"),
    "Texture": ("paint", "texture_size", "even_light", "symmetric"),
    "Scene": ("camera", "landmarks"),
}
"""The choices as the sidebar and the file browser group them; the surface stands by itself."""


def describe(job: Job) -> str:
    """Say in a few words what the worker is at.

    Parameters
    ----------
    job : Job
        Any.

    Returns
    -------
    str
        For the panel and the status bar.
    """
    return f"{job.title}: {_STATIONS.get(job.station, job.station)}"


def draw_surface(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw the three surfaces as three buttons.

    Parameters
    ----------
    layout : UILayout
        Where: the sidebar or the file browser.
    context : Context
        Any.
    """
    layout.row(align=True).prop(context.window_manager.vrn_options, "surface", expand=True)


def draw_options(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw what the user may choose before a run, but for the surface, which stands by itself.

    Parameters
    ----------
    layout : UILayout
        Where: the sidebar or the file browser.
    context : Context
        Any.
    """
    layout.use_property_split = True
    layout.use_property_decorate = False
    for title, names in OPTION_GROUPS.items():
        header, body = layout.panel(f"vrn_options_{title.lower()}")
        header.label(text=title)
        if body is not None:
            for name in names:
                body.prop(context.window_manager.vrn_options, name)
    preferences = preferences_of(context)
    if preferences is not None:
        layout.prop(preferences, "device")


class Watching(bpy.types.Operator):
    """What operators share that look after a job while Blender goes on; not one itself.

    A subclass sets ``_job`` and calls `_watch`; `_finish` gets the job when it is done.
    """

    _job: Job
    _timer: Any

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        """Look after the worker ten times a second, and stop at Esc."""
        if event.type == "ESC" and event.value == "PRESS":
            self._job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        self._job.step()
        _redraw(context)
        if not self._job.done:
            context.workspace.status_text_set(f"{describe(self._job)}   (Esc to cancel)")
            return {"PASS_THROUGH"}
        self._stop_watching(context)
        if self._job.cancelled:
            self.report({"INFO"}, "Cancelled; the scene is as it was.")
            return {"CANCELLED"}
        return self._finish(context)

    def cancel(self, context: bpy.types.Context) -> None:
        """End the work because Blender closes the window or opens another file."""
        self._job.cancel()
        self._stop_watching(context)

    def _watch(self, context: bpy.types.Context) -> Result:
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK_SECONDS, window=context.window)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _stop_watching(self, context: bpy.types.Context) -> None:
        context.window_manager.event_timer_remove(self._timer)
        # There is no workspace where Blender is closing.
        if context.workspace is not None:
            context.workspace.status_text_set(None)

    def _report_failures(self, level: str) -> None:
        for failure in self._job.failures:
            if failure.log:
                print(failure.log, file=sys.stderr)
            self.report({level}, self._sentence(failure))

    def _sentence(self, failure: Failure) -> str:
        return failure.reason

    def _finish(self, context: bpy.types.Context) -> Result:
        raise NotImplementedError


class Working(Watching):
    """What operators share whose job runs beside Blender or is waited for; not one itself.

    A subclass begins the job in `_begin`, which says whether there is one.
    """

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        """Work beside Blender."""
        if bpy.app.background:
            return self.execute(context)
        return self._watch(context) if self._begin(context) else {"CANCELLED"}

    def execute(self, context: bpy.types.Context) -> Result:
        """Wait for the worker: for scripts and for Blender without a window."""
        if not self._begin(context):
            return {"CANCELLED"}
        self._job.wait()
        return self._finish(context)

    def _begin(self, context: bpy.types.Context) -> bool:
        raise NotImplementedError


class Reconstructing(RunOptions, Working):
    """What operators share that have the worker make heads; not one itself."""

    _job: PhotoJob

    def _take_choices(self, context: bpy.types.Context) -> None:
        """Take what the sidebar and the preferences say wherever the caller says nothing."""
        sources = dict.fromkeys(FaceOptions.__annotations__, context.window_manager.vrn_options)
        preferences = preferences_of(context)
        if preferences is not None:
            sources["device"] = preferences
        for name, source in sources.items():
            if not self.properties.is_property_set(name):
                setattr(self, name, getattr(source, name))

    def _sentence(self, failure: Failure) -> str:
        if failure.faceless is None or bpy.app.background:
            return failure.reason
        return f"{failure.reason} The sidebar's button Draw Box lets you draw one."


class VRN_OT_face_from_photo(Reconstructing):
    """Photos become heads in the scene."""

    bl_idname = "vrn.face_from_photo"
    bl_label = "Face from Photo"
    bl_description = "Make a textured 3D head from each chosen photo; it appears at the 3D cursor"
    # Not REGISTER: changing a value in Blender's redo panel would make the head again while
    # Blender waits, and it must never freeze.
    bl_options = {"UNDO"}

    filepath: StringProperty(
        name="Photo",
        description="The photo",
        subtype="FILE_PATH",
        options={"HIDDEN", "SKIP_SAVE"},
    )
    directory: StringProperty(
        name="Folder",
        description="The folder of several photos",
        subtype="DIR_PATH",
        options={"HIDDEN", "SKIP_SAVE"},
    )
    files: CollectionProperty(
        name="Photos",
        description="Several photos of that folder",
        type=bpy.types.OperatorFileListElement,
        options={"HIDDEN", "SKIP_SAVE"},
    )
    box: FloatVectorProperty(
        name="Face Box",
        description=(
            "Left, top, right and bottom of the face in pixels of the photo, from hairline to "
            "chin, for a face that is not found by itself; all zero means none"
        ),
        size=4,
        min=0.0,
        options={"HIDDEN", "SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        return worker_is_free(cls, context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Result:
        """Work beside Blender; ask for photos first if none is given."""
        if not self._photos():
            bpy.ops.vrn.choose_photos("INVOKE_DEFAULT")
            return {"INTERFACE"}
        if not bpy.app.background:
            self._take_choices(context)
        return super().invoke(context, event)

    def _photos(self) -> list[Path]:
        return chosen_photos(self.filepath, self.directory, [file.name for file in self.files])

    def _begin(self, context: bpy.types.Context) -> bool:
        photos = self._photos()
        try:
            if not photos:
                raise ReconstructionError("No photo is given: set filepath to a photo.")
            options = to_options(self, self.box, self.device)
        except ReconstructionError as error:
            self.report({"ERROR"}, str(error))
            return False
        self._job = session_of(context).begin(
            worker_settings(context), lambda client: PhotoJob(client, photos, options)
        )
        return True

    def _finish(self, context: bpy.types.Context) -> Result:
        made = self._job.made
        self._note_faceless(context)
        # Where there are heads, an error would make bpy.ops raise although it has worked.
        self._report_failures("WARNING" if made else "ERROR")
        if not made:
            return {"CANCELLED"}
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        add_heads(context.scene, context.view_layer, made, to_scene_choices(self))
        show_heads(context)
        for entry in made:
            head = entry.head
            self.report({"INFO"}, f"{head.name}: {entry.seconds:.1f} s on {head.device}")
        return {"FINISHED"}

    def _note_faceless(self, context: bpy.types.Context) -> None:
        """Note the photos that a box is to be drawn in, for the sidebar."""
        session = session_of(context)
        made = {entry.photo for entry in self._job.made}
        # A box drawn in one of them leaves the others to do.
        before = session.faceless if any(self.box) else []
        now = [failure.faceless for failure in self._job.failures if failure.faceless is not None]
        session.faceless = [photo for photo in dict.fromkeys([*before, *now]) if photo not in made]


class VRN_OT_run_again(Reconstructing):
    """A head is made again, in its place."""

    bl_idname = "vrn.run_again"
    bl_label = "Run Again"
    bl_description = (
        "Make this head again with the options above, in its place; what they do not touch is not "
        "computed again. Its mesh and texture are replaced, and with them what you have sculpted "
        "or painted: one Undo brings that back"
    )
    bl_options = {"UNDO"}

    number: IntProperty(
        name="Face Number",
        description="Which face of the photo, counted from 1, the largest; 0 is the same as before",
        default=0,
        min=0,
        options={"HIDDEN", "SKIP_SAVE"},
    )

    _name: str
    _photo: Path

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        return can_run_again(cls, context)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        """Say which face a button takes."""
        if not properties.number:
            return cls.bl_description
        return (
            f"Make the head of face {properties.number} of the photo in the place of this one; "
            "one Undo brings this one back"
        )

    def _begin(self, context: bpy.types.Context) -> bool:
        self._take_choices(context)
        head_object = context.active_object
        self._name, self._photo = head_object.name, photo_of(head_object)
        self.face, box = same_face(head_object)
        if self.number:
            self.face, box = str(self.number), ()
        try:
            options = to_options(self, box, self.device)
        except ReconstructionError as error:
            self.report({"ERROR"}, str(error))
            return False
        self._job = session_of(context).begin(
            worker_settings(context), lambda client: PhotoJob(client, [self._photo], options)
        )
        return True

    def _finish(self, context: bpy.types.Context) -> Result:
        self._report_failures("ERROR")
        if not self._job.made:
            return {"CANCELLED"}
        (entry,) = self._job.made
        head_object = find_head(self._name, self._photo)
        if head_object is None:
            self.report({"ERROR"}, f"{self._name} is not there any more: press Face from Photo.")
            return {"CANCELLED"}
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
            # What was sculpted or painted becomes a step of its own, for Undo to come back to.
            bpy.ops.ed.undo_push(message="Before Run Again")
        choices = to_scene_choices(self)
        scene = context.scene
        scale = scale_of(entry.head, choices.unit_size, scene.unit_settings.scale_length)
        replace_head(head_object, entry, scale, scene, choices)
        self.report({"INFO"}, f"{self._name}: {entry.seconds:.1f} s on {entry.head.device}")
        return {"FINISHED"}


class VRN_OT_choose_photos(bpy.types.Operator):
    """Asks for photos and hands them on."""

    bl_idname = "vrn.choose_photos"
    bl_label = "Face from Photo"
    bl_description = "Choose one or more photos; each becomes a textured 3D head"
    # An operator of its own, because Blender notes an undo step when a file browser closes.
    bl_options = {"INTERNAL"}

    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(
        type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"}
    )
    filter_image: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    display_type: EnumProperty(
        # Under this name and number Blender's file browser knows the view of thumbnails.
        items=(("THUMBNAIL", "Thumbnails", "Show the photos", 3),),
        options={"HIDDEN", "SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> Result:
        """Open the file browser where the last photos were."""
        self.directory = session_of(context).folder
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the options beside the files."""
        draw_surface(self.layout, context)
        draw_options(self.layout, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """Hand the photos on."""
        session_of(context).folder = self.directory
        files = [{"name": file.name} for file in self.files if file.name]
        if not files:
            self.report({"ERROR"}, "No photo is chosen: choose a photo, not a folder.")
            return {"CANCELLED"}
        bpy.ops.vrn.face_from_photo("INVOKE_DEFAULT", directory=self.directory, files=files)
        return {"FINISHED"}


class VRN_OT_cancel(bpy.types.Operator):
    """Ends the job under way."""

    bl_idname = "vrn.cancel"
    bl_label = "Cancel"
    bl_description = "Stop at once; the scene stays as it is"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        if session_of(context).running:
            return True
        cls.poll_message_set("Nothing is being worked on")
        return False

    def execute(self, context: bpy.types.Context) -> Result:
        """End the worker; the operator that looks after the job notices."""
        job = session_of(context).job
        if job is not None:
            job.cancel()
        return {"FINISHED"}


class VRN_OT_release_worker(bpy.types.Operator):
    """Ends the worker."""

    bl_idname = "vrn.release_worker"
    bl_label = "Release Memory"
    bl_description = (
        "Give back the memory that the reconstruction holds; the next photo starts slower"
    )
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        if not session_of(context).worker_is_alive:
            cls.poll_message_set("No memory is held")
            return False
        return worker_is_free(cls, context)

    def execute(self, context: bpy.types.Context) -> Result:
        """End the worker."""
        session_of(context).release()
        return {"FINISHED"}


class VRN_OT_refresh_status(Working):
    """Looks at what the worker has to work with."""

    bl_idname = "vrn.refresh_status"
    bl_label = "Refresh"
    bl_description = (
        "Look which libraries of the graphics card are found, whether the model files are whole "
        "by their SHA-256, and how much memory the worker holds; starts the worker"
    )
    bl_options = {"INTERNAL"}

    _job: StatusJob

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        return worker_is_free(cls, context)

    def _begin(self, context: bpy.types.Context) -> bool:
        self._job = session_of(context).begin(worker_settings(context), StatusJob)
        return True

    def _finish(self, context: bpy.types.Context) -> Result:
        self._report_failures("ERROR")
        session_of(context).status = self._job.status
        return {"CANCELLED"} if self._job.failures else {"FINISHED"}


class VRN_OT_fetch_bundle(Working):
    """Downloads MediaPipe's bundle."""

    bl_idname = "vrn.fetch_bundle"
    bl_label = "Download Face Model"
    bl_description = (
        "Download MediaPipe's face model (3.8 MB) from Google into this extension's folder"
    )
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Say why the button is greyed out."""
        if not bpy.app.online_access:
            cls.poll_message_set("First allow online access, in the preferences under System")
            return False
        if user_folder() is None:
            cls.poll_message_set("Only an installed extension has a folder to put it into")
            return False
        return worker_is_free(cls, context)

    def _begin(self, context: bpy.types.Context) -> bool:
        folder = Path(bpy.utils.extension_path_user(PACKAGE, create=True))
        self._job = session_of(context).begin(
            worker_settings(context), lambda client: DownloadJob(client, folder)
        )
        return True

    def _finish(self, context: bpy.types.Context) -> Result:
        self._report_failures("ERROR")
        # What was known before does not hold any more.
        session_of(context).status = None
        return {"CANCELLED"} if self._job.failures else {"FINISHED"}


def worker_is_free(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Tell whether the worker has nothing to do; if not, say so as the operator's poll.

    Parameters
    ----------
    cls : type of Operator
        Whose poll asks.
    context : Context
        Any.

    Returns
    -------
    bool
        Whether no job is under way and no photo waits for an answer in the viewport.
    """
    session = session_of(context)
    if session.running:
        cls.poll_message_set("A photo is being worked on: wait for it or cancel it")
        return False
    if session.overlay is not None:
        cls.poll_message_set("A photo covers the viewport: choose in it, or press Esc there")
        return False
    return True


def can_run_again(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Tell whether the active object can be made again; if not, say so as the operator's poll.

    Parameters
    ----------
    cls : type of Operator
        Whose poll asks.
    context : Context
        Any.

    Returns
    -------
    bool
        Whether it is a head of this file, and the worker is free.
    """
    head_object = context.active_object
    if not is_head(head_object):
        cls.poll_message_set("Select a head that was made from a photo")
        return False
    if not head_object.is_editable or not head_object.data.is_editable:
        cls.poll_message_set("This head belongs to another file: make it local first")
        return False
    return worker_is_free(cls, context)


def _redraw(context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                area.tag_redraw()
