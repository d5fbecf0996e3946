# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Each format comes back with the head's size and with its texture upright, and never half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_worker import BOTTOM_COLOUR, RADIUS, TOP_COLOUR, make_head
from vrn_blender.addon.batch import FORMATS
from vrn_blender.addon.choices import SceneChoices
from vrn_blender.addon.job import Made

Maker = Callable[..., Made]
Importer = Callable[[Any, str], Any]

IMPORTERS: dict[str, Importer] = {
    "blend": lambda bpy, path: bpy.ops.wm.open_mainfile(filepath=path),
    "glb": lambda bpy, path: bpy.ops.import_scene.gltf(filepath=path),
    "fbx": lambda bpy, path: bpy.ops.import_scene.fbx(filepath=path),
    "usd": lambda bpy, path: bpy.ops.wm.usd_import(filepath=path),
    "obj": lambda bpy, path: bpy.ops.wm.obj_import(filepath=path),
    "ply": lambda bpy, path: bpy.ops.wm.ply_import(filepath=path),
    "stl": lambda bpy, path: bpy.ops.wm.stl_import(filepath=path),
}
NAME = "Анна K. 🙂"


def written_and_read(bpy: Any, entry: Made, folder: Path, file_format: str, **choices: Any) -> Any:
    from vrn_blender.addon.export import write_head

    files = write_head(entry, folder, NAME, [file_format], SceneChoices(**choices))
    assert files[0] == folder / f"{NAME}.{file_format}"
    assert sorted(files) == sorted(folder.iterdir())
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    IMPORTERS[file_format](bpy, str(files[0]))
    (mesh_object,) = (o for o in bpy.context.scene.objects if o.type == "MESH")
    return mesh_object


def corners(mesh_object: Any) -> Any:
    """Each corner's place in the world."""
    mesh = mesh_object.data
    world = [mesh_object.matrix_world @ vertex.co for vertex in mesh.vertices]
    return np.array([world[loop.vertex_index][:] for loop in mesh.loops])


def texture_of(mesh_object: Any) -> Any:
    """Pixels (H, W, 4), the lowest row first, as Blender and UVs count them."""
    from vrn_blender.addon.material import images_of

    image = images_of(mesh_object.data.materials[0])["texture"]
    width, height = image.size
    return np.array(image.pixels[:]).reshape(height, width, 4)


@pytest.mark.parametrize("file_format", ["blend", "glb", "fbx", "usd", "obj"])
def test_the_texture_is_upright(bpy: Any, made: Maker, tmp_path: Path, file_format: str) -> None:
    head = written_and_read(bpy, made(), tmp_path, file_format)
    pixels = texture_of(head)
    assert pixels.shape[:2] == (32, 16)
    uv = np.array([entry.vector[:] for entry in head.data.uv_layers.active.uv])
    size = np.array([16, 32])
    column, row = np.minimum((uv * size).astype(int), size - 1).T
    seen = np.rint(255 * pixels[row, column, :3])
    height = corners(head)[:, 2]
    np.testing.assert_array_equal(seen[height > 0.02], [TOP_COLOUR] * (height > 0.02).sum())
    np.testing.assert_array_equal(seen[height < -0.02], [BOTTOM_COLOUR] * (height < -0.02).sum())


@pytest.mark.parametrize("file_format", ["blend", "glb", "obj", "ply", "stl"])
def test_the_size_is_kept(bpy: Any, made: Maker, tmp_path: Path, file_format: str) -> None:
    head = written_and_read(bpy, made(), tmp_path, file_format)
    assert np.ptp(corners(head), axis=0) == pytest.approx([2 * RADIUS] * 3, rel=1e-4)
    assert len(head.data.polygons) == len(make_head().faces)


@pytest.mark.parametrize("file_format", ["blend", "glb", "fbx", "usd", "obj", "ply"])
def test_the_texture_coordinates_are_kept(
    bpy: Any, made: Maker, tmp_path: Path, file_format: str
) -> None:
    head = written_and_read(bpy, made(), tmp_path, file_format)
    uv = np.array([entry.vector[:] for entry in head.data.uv_layers.active.uv])
    place = corners(head)
    if file_format == "ply":
        # PLY says nothing of axes, so Blender's own are kept.
        assert place[:, 2].max() == pytest.approx(RADIUS, rel=1e-4)
    np.testing.assert_allclose(uv, place[:, [0, 2]] / (2 * RADIUS) + 0.5, atol=1e-4)


@pytest.mark.parametrize("file_format", ["blend", "glb", "fbx", "usd", "obj"])
def test_the_normal_map_is_kept(bpy: Any, made: Maker, tmp_path: Path, file_format: str) -> None:
    from vrn_blender.addon.material import images_of

    head = written_and_read(bpy, made(surface="light"), tmp_path, file_format)
    images = images_of(head.data.materials[0])
    assert set(images) >= {"texture", "normals"}
    width, height = images["normals"].size
    pixels = np.array(images["normals"].pixels[:]).reshape(height, width, 4)
    np.testing.assert_allclose(pixels[..., :3] * 255, [[(128, 128, 255)] * 16] * 32, atol=0.5)
    # An OBJ file does not say what a picture holds, and Blender does not guess.
    space = "sRGB" if file_format == "obj" else "Non-Color"
    assert images["normals"].colorspace_settings.name == space


@pytest.mark.parametrize("file_format", ["glb", "fbx", "usd", "obj", "ply", "stl"])
def test_multires_is_applied(bpy: Any, made: Maker, tmp_path: Path, file_format: str) -> None:
    entry = made(surface="sculpt")
    head = written_and_read(bpy, entry, tmp_path, file_format)
    assert not head.modifiers
    sides = 1 if file_format in ("fbx", "usd", "obj", "ply") else 2
    assert len(head.data.polygons) == sides * 16 * len(entry.head.faces)
    distance = np.linalg.norm(corners(head), axis=1)
    assert distance.max() > RADIUS + 0.0005


def test_multires_stays_in_a_blend_file(bpy: Any, made: Maker, tmp_path: Path) -> None:
    entry = made(surface="sculpt")
    head = written_and_read(bpy, entry, tmp_path, "blend")
    assert len(head.data.polygons) == len(entry.head.faces)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    shown = head.evaluated_get(depsgraph).data
    assert len(shown.polygons) == 16 * len(entry.head.faces)
    assert max(vertex.co.length for vertex in shown.vertices) > RADIUS + 0.0005


@pytest.mark.parametrize("file_format", ["blend", "glb", "fbx", "usd", "obj", "ply"])
def test_vertex_colours_are_kept(bpy: Any, made: Maker, tmp_path: Path, file_format: str) -> None:
    head = written_and_read(bpy, made(), tmp_path, file_format, paint="vertex")
    colours = head.data.color_attributes[0]
    shown = np.array([entry.color_srgb[:3] for entry in colours.data]) * 255
    if colours.domain == "CORNER":
        height = corners(head)[:, 2]
    else:
        height = np.array([(head.matrix_world @ v.co).z for v in head.data.vertices])
    above, below = height > 0.02, height < -0.02
    np.testing.assert_allclose(shown[above], [TOP_COLOUR] * above.sum(), atol=2)
    np.testing.assert_allclose(shown[below], [BOTTOM_COLOUR] * below.sum(), atol=2)


@pytest.mark.parametrize("file_format", ["glb", "fbx", "usd"])
def test_camera_and_landmarks_stay_out_of_other_formats(
    bpy: Any, made: Maker, tmp_path: Path, file_format: str
) -> None:
    written_and_read(bpy, made(), tmp_path, file_format, camera=True, landmarks=68)
    kinds = {entry.type for entry in bpy.context.scene.objects}
    # USD's root comes back as an empty.
    assert kinds - {"EMPTY"} == {"MESH"}
    assert len(bpy.context.scene.objects) <= 2


def test_a_blend_file_holds_the_camera_and_the_landmarks(
    bpy: Any, made: Maker, tmp_path: Path
) -> None:
    written_and_read(bpy, made(), tmp_path, "blend", camera=True, landmarks=68)
    scene = bpy.context.scene
    assert sorted(entry.type for entry in scene.objects) == sorted(
        [*["EMPTY"] * 68, "CAMERA", "MESH"]
    )
    (background,) = scene.camera.data.background_images
    assert tuple(background.image.size) == (16, 32)


def test_the_saved_file_shows_the_head(bpy: Any, made: Maker, tmp_path: Path) -> None:
    head = written_and_read(bpy, made(), tmp_path, "blend")
    views = [
        area.spaces.active
        for screen in bpy.data.screens
        for area in screen.areas
        if area.type == "VIEW_3D"
    ]
    assert views
    assert all(view.shading.type == "MATERIAL" for view in views)
    assert all(view.region_3d.view_distance < 1 for view in views)
    assert bpy.context.view_layer.objects.active == head
    assert len(bpy.context.scene.objects) == 1


def test_the_picture_shows_the_head_upright(bpy: Any, made: Maker, tmp_path: Path) -> None:
    from PIL import Image

    from vrn_blender.addon.export import write_head

    (file,) = write_head(made(), tmp_path, NAME, ["png"], SceneChoices())
    pixels = np.asarray(Image.open(file).convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    above, below = pixels[height * 2 // 5, width // 2], pixels[height * 3 // 5, width // 2]
    assert above[0] > above[2] + 50
    assert below[2] > below[0] + 50


def test_several_formats_come_from_one_head(bpy: Any, made: Maker, tmp_path: Path) -> None:
    from vrn_blender.addon.export import write_head

    files = write_head(made(), tmp_path, "face", ["obj", "usd", "glb", "stl"], SceneChoices())
    names = sorted({file.name for file in files})
    expected = ["face.glb", "face.mtl", "face.obj", "face.stl", "face.usd"]
    assert names == [*expected, "face_seen.png", "face_texture.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_every_format_of_the_command_line_has_a_writer(bpy: Any) -> None:
    from vrn_blender.addon.export import WRITERS

    assert tuple(WRITERS) == FORMATS


def test_a_failure_leaves_the_old_file_and_nothing_half(
    bpy: Any, made: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vrn_blender.addon import export

    def fail(_head: Any, path: Path) -> None:
        path.write_text("half", encoding="ascii")
        raise RuntimeError("no space left")

    old = tmp_path / "face.glb"
    old.write_text("old", encoding="ascii")
    monkeypatch.setitem(export.WRITERS, "glb", fail)
    with pytest.raises(RuntimeError, match="no space left"):
        export.write_head(made(), tmp_path, "face", ["glb"], SceneChoices())
    assert old.read_text(encoding="ascii") == "old"
    assert list(tmp_path.iterdir()) == [old]
