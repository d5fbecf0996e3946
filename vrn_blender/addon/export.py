# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head becomes files, by Blender's own exporters; each file appears whole or not at all.

A blend file holds what the button would have made, with Multires, camera and landmarks. The other
formats hold the head alone, at full detail: they know no Multires, so it is applied. Their pictures
lie inside a glb or fbx file, and beside an obj or usd file, with the mask of what was seen.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import bpy
from mathutils import Euler, Vector

from .choices import SceneChoices
from .job import Made
from .material import images_of
from .scene import add_heads

_FRONT = Euler((1.45, 0.0, 0.45))
"""A view from the front, a little from the subject's left and from above."""


def write_head(
    made: Made, folder: Path, name: str, formats: Sequence[str], choices: SceneChoices
) -> list[Path]:
    """Write a head in each of the formats; the open file is replaced by one with this head alone.

    Parameters
    ----------
    made : Made
        The head.
    folder : Path
        Where the files go; it must exist.
    name : str
        Their name without the ending.
    formats : sequence of str
        Some of `batch.FORMATS`; ``png`` is a rendered picture.
    choices : SceneChoices
        What becomes of the head in the scene.

    Returns
    -------
    list of Path
        The files, in the order of the formats; what belongs to an OBJ or a USD file follows it.

    Raises
    ------
    OSError
        If a file cannot be written.
    RuntimeError
        If Blender could not export the head; the message is Blender's.
    """
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene, view_layer = bpy.context.scene, bpy.context.view_layer
    head_object = add_heads(scene, view_layer, [made], choices)[0]
    written = []
    # The picture comes last, because its camera and lamps belong in none of the other files.
    for file_format in sorted(formats, key=list(WRITERS).index):
        written += _write_whole(WRITERS[file_format], head_object, folder, f"{name}.{file_format}")
    return written


def _write_whole(
    writer: Callable[[bpy.types.Object, Path], None],
    head_object: bpy.types.Object,
    folder: Path,
    file_name: str,
) -> list[Path]:
    """Let a writer fill a folder of its own, and move what it wrote into place at once."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".vrn_blender_") as unfinished:
        with _quiet():
            writer(head_object, Path(unfinished) / file_name)
        # The file that was asked for comes last, so that what it refers to is there before it.
        files = sorted(Path(unfinished).iterdir(), key=lambda path: path.name == file_name)
        if not files or files[-1].name != file_name:
            raise RuntimeError(f"Blender wrote no {file_name}")
        return [path.replace(folder / path.name) for path in files][::-1]


def _write_blend(head_object: bpy.types.Object, path: Path) -> None:
    _look_at(head_object)
    bpy.ops.wm.save_as_mainfile(
        filepath=str(path), copy=True, check_existing=False, compress=True, relative_remap=False
    )


def _write_glb(_head_object: bpy.types.Object, path: Path) -> None:
    bpy.ops.export_scene.gltf(
        filepath=str(path), export_format="GLB", use_selection=True, export_apply=True
    )
    # The exporter leaves its arrays behind in reference cycles, hundreds of megabytes in a batch.
    gc.collect()


def _write_fbx(_head_object: bpy.types.Object, path: Path) -> None:
    bpy.ops.export_scene.fbx(
        filepath=str(path),
        use_selection=True,
        # In centimetres, as most other programs take FBX to be, but without a scale on the object.
        apply_scale_options="FBX_SCALE_UNITS",
        colors_type="SRGB",
        path_mode="COPY",
        embed_textures=True,
    )


def _write_usd(head_object: bpy.types.Object, path: Path) -> None:
    if not bpy.app.build_options.usd:
        raise RuntimeError("this Blender was built without USD, so it writes no usd files")
    known = bpy.ops.wm.usd_export.get_rna_type().properties
    # Both leave pictures where they are; Blender 4.2 and 4.3 know only the second one.
    modern = "export_textures_mode" in known
    here = {"export_textures_mode": "KEEP"} if modern else {"export_textures": False}
    with _images_beside(head_object, path):
        bpy.ops.wm.usd_export(
            filepath=str(path),
            selected_objects_only=True,
            # USD has no type for the stored landmarks, and Blender would warn of each.
            export_custom_properties=False,
            **here,
        )


def _write_obj(head_object: bpy.types.Object, path: Path) -> None:
    with _images_beside(head_object, path):
        bpy.ops.wm.obj_export(
            filepath=str(path), export_selected_objects=True, export_colors=True, path_mode="STRIP"
        )


def _write_ply(_head_object: bpy.types.Object, path: Path) -> None:
    bpy.ops.wm.ply_export(filepath=str(path), export_selected_objects=True, export_uv=True)


def _write_stl(_head_object: bpy.types.Object, path: Path) -> None:
    bpy.ops.wm.stl_export(filepath=str(path), export_selected_objects=True)


def _write_png(head_object: bpy.types.Object, path: Path) -> None:
    scene = bpy.context.scene
    _light(scene, head_object)
    scene.camera = _camera(scene, head_object)
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = 720
    render.image_settings.file_format = "PNG"
    render.filepath = str(path)
    scene.cycles.device = "CPU"
    scene.cycles.samples = 32
    scene.cycles.max_bounces = 3
    # Debian's Blender has no denoiser and refuses to render with it; in this light none is missed.
    scene.cycles.use_denoising = False
    # The photo's own colours, not a film's.
    scene.view_settings.view_transform = "Standard"
    bpy.ops.render.render(write_still=True)


WRITERS: dict[str, Callable[[bpy.types.Object, Path], None]] = {
    "blend": _write_blend,
    "glb": _write_glb,
    "fbx": _write_fbx,
    "usd": _write_usd,
    "obj": _write_obj,
    "ply": _write_ply,
    "stl": _write_stl,
    "png": _write_png,
}


@contextmanager
def _images_beside(head_object: bpy.types.Object, path: Path) -> Iterator[None]:
    """Write a head's images beside a file that cannot hold them, and name them for the exporter."""
    kept = {}
    for name, image in images_of(head_object.data.materials[0]).items():
        beside = path.with_name(f"{path.stem}_{name}.png")
        content = image.packed_file.data
        beside.write_bytes(content)
        kept[image] = image.filepath_raw, content
        image.filepath_raw = str(beside)
        # The USD exporter writes packed images once more, into a folder.
        image.unpack(method="REMOVE")
    try:
        yield
    finally:
        for image, (filepath, content) in kept.items():
            image.pack(data=content, data_len=len(content))
            image.filepath_raw = filepath


def _size_of(head_object: bpy.types.Object) -> tuple[Vector, float]:
    """Give the middle of the object's bounds and their diagonal."""
    corners = [Vector(corner) for corner in head_object.bound_box]
    low, high = corners[0], corners[6]
    return head_object.location + (low + high) / 2, (high - low).length


def _look_at(head_object: bpy.types.Object) -> None:
    """Turn the 3D viewports to the head and show its texture, for whoever opens the file."""
    middle, size = _size_of(head_object)
    spaces = (
        area.spaces.active
        for screen in bpy.data.screens
        for area in screen.areas
        if area.type == "VIEW_3D"
    )
    for space in spaces:
        space.shading.type = "MATERIAL"
        space.region_3d.view_perspective = "PERSP"
        space.region_3d.view_location = middle
        space.region_3d.view_rotation = _FRONT.to_quaternion()
        space.region_3d.view_distance = 1.6 * size


def _camera(scene: bpy.types.Scene, head_object: bpy.types.Object) -> bpy.types.Object:
    middle, size = _size_of(head_object)
    lens = bpy.data.cameras.new("Camera")
    lens.lens = 85.0
    lens.clip_start = 0.01 * size
    camera = bpy.data.objects.new("Camera", lens)
    camera.rotation_euler = _FRONT
    camera.location = middle + _FRONT.to_matrix() @ Vector((0.0, 0.0, 1.85 * size))
    scene.collection.objects.link(camera)
    return camera


def _light(scene: bpy.types.Scene, head_object: bpy.types.Object) -> None:
    """One soft lamp from the front and an even grey all round; the photo brings its own light."""
    middle, size = _size_of(head_object)
    lamp = bpy.data.lights.new("Key", "AREA")
    lamp.size = 2.0 * size
    lamp.energy = 30.0 * size**2
    key = bpy.data.objects.new("Key", lamp)
    key.location = middle + size * Vector((1.6, -2.2, 1.6))
    key.rotation_euler = (middle - key.location).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(key)
    world = bpy.data.worlds.new("World")
    world.color = (0.5, 0.5, 0.5)
    scene.world = world


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Blender's exporters print out of the batch's own output."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - os.devnull is no path on Windows
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
