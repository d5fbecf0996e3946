# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""One picture of what comes out: a row for each photo, to look at until nothing makes you wince.

    python -m tests.gallery.sheet --surface sculpt --output sheet.png
    python -m tests.gallery.sheet --sample --tiles photo clay textured --output readme.png

A row shows the photo, its head in clay and textured from three sides, its wires and its UV layout.
Without a photo there is a dozen: the sample portrait, the photos of ../shared, and held-out
synthetic people, of whom half are turned by more than 30 degrees. Needs the bpy wheel.
"""

from __future__ import annotations

import argparse
import io
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Vector
from PIL import Image, ImageDraw
from scipy.spatial.transform import Rotation
from skimage import data

from models.training.evaluate import BANDS, HELD_OUT
from models.training.head_model import load_head_model
from models.training.studio import Studio
from vrn_blender.addon.choices import SceneChoices
from vrn_blender.addon.job import Made
from vrn_blender.addon.scene import add_heads
from vrn_blender.reconstruction.errors import ReconstructionError
from vrn_blender.reconstruction.reconstruct import Reconstructor
from vrn_blender.reconstruction.result import DEFAULT_SURFACE, SURFACES, Head, Options

SHARED_PHOTOS = Path(__file__).parents[3] / "shared" / "photos"
ROWS = 12
TILE = 320
SAMPLES = 32
SIDES = (0.0, 40.0, 90.0)
OTHER_SIDES = (-25.0, 35.0, 90.0)
CLAY = (0.42, 0.39, 0.36, 1.0)
INK = (0.02, 0.02, 0.02, 1.0)
WIRE = 0.0004
"""Thickness of the drawn wires, metres."""


class Stage:
    """An empty file with a camera, two lamps and one head.

    Parameters
    ----------
    head : Head
        The head.
    folder : Path
        For unfinished tiles.
    """

    def __init__(self, head: Head, folder: Path) -> None:
        bpy.ops.wm.read_homefile(use_empty=True)
        self._head = head
        self._file = folder / "tile.png"
        self._scene = bpy.context.scene
        made = Made(head, Path(head.name), 0.0)
        (self._object,) = add_heads(
            self._scene, bpy.context.view_layer, [made], SceneChoices(camera=True)
        )
        self._skin = self._object.data.materials[0]
        self._set_up()

    def photo(self) -> list[Image.Image]:
        """Show the part of the photo where the head is, with the head's own camera as a guide."""
        assert self._head.photo_jpeg is not None
        camera = self._head.camera
        to_camera = np.linalg.inv(camera.matrix)
        seen = self._head.vertices @ to_camera[:3, :3].T + to_camera[:3, 3]
        pixels = seen[:, :2] / camera.metres_per_pixel * (1, -1)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        middle = (low + high) / 2 + np.array((camera.width, camera.height)) / 2
        half = 0.55 * (high - low).max()
        photo = Image.open(io.BytesIO(self._head.photo_jpeg))
        box = (*(middle - half), *(middle + half))
        return [
            photo.transform((TILE, TILE), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)
        ]

    def clay(self) -> list[Image.Image]:
        """Show the shape."""
        self._object.data.materials[0] = _plain("Clay", CLAY)
        return [self._render(turn) for turn in SIDES]

    def textured(self) -> list[Image.Image]:
        """Show the head as it comes."""
        self._object.data.materials[0] = self._skin
        return [self._render(turn) for turn in OTHER_SIDES]

    def wire(self) -> list[Image.Image]:
        """Show the edges; of a head with Multires those of its coarse level."""
        self._object.data.materials[0] = _plain("Clay", CLAY)
        self._object.data.materials.append(_plain("Ink", INK))
        for multires in self._object.modifiers:
            multires.levels = multires.render_levels = 0
        wires = self._object.modifiers.new("Wireframe", "WIREFRAME")
        wires.thickness = WIRE
        wires.use_replace = False
        wires.material_offset = 1
        return [self._render(20.0)]

    def uv(self) -> list[Image.Image]:
        """Show the texture with the edges of the UV layout upon it."""
        picture = Image.open(io.BytesIO(self._head.texture_png)).convert("RGB")
        picture.thumbnail((2 * TILE, 2 * TILE))
        picture = Image.blend(picture, Image.new("RGB", picture.size, "white"), 0.35)
        pen = ImageDraw.Draw(picture)
        size = np.array(picture.size)
        for face in (self._head.uv * (1, -1) + (0, 1)) * size:
            pen.polygon([tuple(corner) for corner in face.tolist()], outline=(20, 60, 200))
        tile = Image.new("RGB", (TILE, TILE), "white")
        picture.thumbnail((TILE, TILE))
        tile.paste(picture)
        return [tile]

    def _set_up(self) -> None:
        scene = self._scene
        self._camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        self._camera.data.lens = 120.0
        scene.collection.objects.link(self._camera)
        scene.camera = self._camera
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
        scene.render.filepath = str(self._file)

    def _render(self, turn: float) -> Image.Image:
        """Render the head, seen from ``turn`` degrees to its left, at its own size."""
        corners = [Vector(corner) for corner in self._object.bound_box]
        middle = self._object.location + (corners[0] + corners[6]) / 2
        angle = Euler((math.radians(88.0), 0.0, math.radians(turn)))
        self._camera.rotation_euler = angle
        self._camera.location = middle + angle.to_matrix() @ Vector((0.0, 0.0, 0.98))
        bpy.ops.render.render(write_still=True)
        return Image.open(self._file).convert("RGB")


TILES: dict[str, Callable[[Stage], list[Image.Image]]] = {
    "photo": Stage.photo,
    "clay": Stage.clay,
    "textured": Stage.textured,
    "wire": Stage.wire,
    "uv": Stage.uv,
}


def _plain(name: str, colour: tuple[float, float, float, float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    # From Blender 5.0 on every material has nodes, and setting this is deprecated.
    if not material.use_nodes:
        material.use_nodes = True
    principled = material.node_tree.nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = colour
    principled.inputs["Roughness"].default_value = 0.6
    return material


def sample(folder: Path) -> Path:
    """Put the sample portrait into a folder."""
    path = folder / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def dozen(folder: Path) -> Iterator[Path]:
    """Give the gallery's photos; those that are made go into a folder."""
    yield sample(folder)
    shared = sorted(SHARED_PHOTOS.glob("*.jpg"))
    if not shared:
        print(f"{SHARED_PHOTOS} is not there: more synthetic people instead")
    yield from shared
    studio = Studio(load_head_model(), np.arange(0))
    bands = list(BANDS.values())[:2]
    for number in range(ROWS - 1 - len(shared)):
        rng = np.random.default_rng([HELD_OUT + number])
        low, high = bands[number % 2]
        pose = studio.pose(rng)
        while not low <= abs(_yaw(pose.rotation)) < high:
            pose = studio.pose(rng)
        path = folder / f"held_out_{number}.png"
        Image.fromarray(studio.shoot(rng, pose=pose).image).save(path)
        yield path


def _yaw(rotation: np.ndarray) -> float:
    return float(Rotation.from_matrix(rotation).as_euler("ZXY", degrees=True)[2])


def draw_row(head: Head, tiles: list[str], folder: Path) -> np.ndarray:
    """Give the tiles of a head side by side, (320, W, 3) uint8."""
    stage = Stage(head, folder)
    return np.concatenate([np.asarray(tile) for name in tiles for tile in TILES[name](stage)], 1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--sample", action="store_true", help="the sample portrait alone")
    parser.add_argument("--surface", choices=SURFACES, default=DEFAULT_SURFACE)
    parser.add_argument("--tiles", nargs="+", choices=TILES, default=list(TILES))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    reconstructor = Reconstructor()
    options = Options(surface=arguments.surface, photo=True)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = arguments.photos or dozen(folder)
        if arguments.sample:
            photos = [sample(folder)]
        for photo in photos:
            try:
                (head,) = reconstructor.reconstruct(photo, options)
            except ReconstructionError as error:
                print(f"{photo.name}: {error}")
                continue
            rows.append(draw_row(head, arguments.tiles, folder))
            Image.fromarray(np.concatenate(rows)).save(arguments.output)
            print(f"{photo.name}: row {len(rows)}", flush=True)
    reconstructor.close()


if __name__ == "__main__":
    main()
