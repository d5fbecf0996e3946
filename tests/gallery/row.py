# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""One picture of what comes out: each photo beside its head, clay from three sides and textured.

    python -m tests.gallery.row --output tests/gallery/readme.png

Without a photo it takes the sample portrait. Needs the bpy wheel.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Vector
from PIL import Image
from skimage import data

from vrn_blender.addon.job import Made
from vrn_blender.addon.scene import build_object
from vrn_blender.reconstruction.crop import crop_face
from vrn_blender.reconstruction.landmarks import open_detector
from vrn_blender.reconstruction.photo import read_photo
from vrn_blender.reconstruction.reconstruct import Reconstructor
from vrn_blender.reconstruction.result import Options

TILE = 320
SAMPLES = 48
CLAY_TURNS = (0.0, 40.0, 90.0)
TEXTURE_TURNS = (-25.0, 35.0)


def render(head_object: bpy.types.Object, turn: float, path: Path) -> None:
    """Render the head, seen from ``turn`` degrees to its left, at its own size."""
    scene = bpy.context.scene
    corners = [Vector(corner) for corner in head_object.bound_box]
    middle = head_object.location + (corners[0] + corners[6]) / 2
    camera = scene.camera
    camera.rotation_euler = Euler((math.radians(88.0), 0.0, math.radians(turn)))
    camera.location = middle + camera.rotation_euler.to_matrix() @ Vector((0.0, 0.0, 0.98))
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)


def prepare_scene() -> bpy.types.Material:
    """Set camera, lamps and renderer up in an empty file, and make the clay."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.data.lens = 120.0
    scene.collection.objects.link(camera)
    scene.camera = camera
    for place, energy in (((1.0, -0.9, 0.9), 24.0), ((-1.2, -0.3, 0.2), 3.0)):
        lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "AREA"))
        lamp.data.energy = energy
        lamp.data.size = 0.8
        lamp.location = place
        lamp.rotation_euler = (-Vector(place)).to_track_quat("-Z", "Y").to_euler()
        scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("World")
    scene.world.color = (0.4, 0.4, 0.42)
    scene.render.engine = "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = TILE
    scene.cycles.samples = SAMPLES
    scene.view_settings.view_transform = "Standard"
    clay = bpy.data.materials.new("Clay")
    clay.diffuse_color = (0.42, 0.39, 0.36, 1.0)
    clay.use_nodes = True
    clay.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (
        0.42,
        0.39,
        0.36,
        1,
    )
    clay.node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.6
    return clay


def draw_row(photo: Path, reconstructor: Reconstructor, folder: Path) -> np.ndarray:
    """Give the photo's crop and five renders of its head, side by side, (320, 1920, 3) uint8."""
    read = read_photo(photo)
    detector = open_detector()
    crop = crop_face(read, detector.detect(read.rgb)[0])
    detector.close()
    tiles = [np.asarray(Image.fromarray(crop.rgb).resize((TILE, TILE), Image.Resampling.BICUBIC))]
    clay = prepare_scene()
    (head,) = reconstructor.reconstruct(photo, Options())
    head_object = build_object(Made(head, photo, 0.0), 1.0)
    bpy.context.scene.collection.objects.link(head_object)
    bpy.context.view_layer.update()
    textured = head_object.data.materials[0]
    for turns, material in ((CLAY_TURNS, clay), (TEXTURE_TURNS, textured)):
        head_object.data.materials[0] = material
        for turn in turns:
            path = folder / "tile.png"
            render(head_object, turn, path)
            tiles.append(np.asarray(Image.open(path).convert("RGB")))
    return np.concatenate(tiles, axis=1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    reconstructor = Reconstructor()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = arguments.photos
        if not photos:
            photos = [folder / "astronaut.png"]
            Image.fromarray(data.astronaut()).save(photos[0])
        rows = [draw_row(photo, reconstructor, folder) for photo in photos]
    reconstructor.close()
    Image.fromarray(np.concatenate(rows)).save(arguments.output)


if __name__ == "__main__":
    main()
