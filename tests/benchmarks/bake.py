# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How long the steps of painting a head take.

    python -m tests.benchmarks.bake --runs 5

The head is an egg as fine as the raw surface of a photo's head, and the photo is noise. Prints
medians over the runs, of time on the clock and of the processor's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from vrn_blender.reconstruction.bake import Texture, bake
from vrn_blender.reconstruction.crop import CROP_SIZE, Crop
from vrn_blender.reconstruction.mesh import REGIONS, Mesh
from vrn_blender.reconstruction.normals import normal_map
from vrn_blender.reconstruction.photo import Photo
from vrn_blender.reconstruction.raster import split_quads
from vrn_blender.reconstruction.reconstruct import encode_png

RADII = np.array([50.0, 70.0, 58.0])
MIDDLE = np.array([96.0, 96.0, 100.0])
RAW, SCULPT, LIGHT = 180, 100, 40
"""Rings of faces from crown to neck."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bake", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=5, help="how many runs of each step")
    runs = parser.parse_args().runs
    photo, crop = take_photo()
    raw, sculpt, light = (make_egg(rings) for rings in (RAW, SCULPT, LIGHT))
    raw_faces = split_quads(raw.faces)
    pictures: list[Texture] = []

    def paint(mesh: Mesh, size: int, **options: bool) -> Callable[[], object]:
        return lambda: pictures.append(bake(photo, crop, mesh, size=size, **options))

    steps: dict[str, Callable[[], object]] = {
        f"raw, {2 * len(raw.faces)} triangles, 1024": paint(raw, 1024),
        f"raw, {2 * len(raw.faces)} triangles, 2048": paint(raw, 2048),
        f"sculpt, {len(sculpt.faces)} quads, 4096": paint(sculpt, 4096),
        f"sculpt, {len(sculpt.faces)} quads, 2048": paint(sculpt, 2048),
        "  with even light": paint(sculpt, 2048, even_light=True),
        "  symmetric": paint(sculpt, 2048, symmetric=True),
        "its PNG file": lambda: encode_png(pictures[-1].image),
        "its mask's": lambda: encode_png(pictures[-1].seen),
        f"normal map, {len(light.faces)} quads, 2048": lambda: normal_map(
            light, raw.vertices, raw_faces, 2048
        ),
    }
    print(f"median of {runs} runs".ljust(40) + "clock".rjust(10) + "processor".rjust(12))
    for name, step in steps.items():
        clock, processor = measure(step, runs)
        print(f"{name:<40}{clock:8.3f} s{processor:10.3f} s")


def measure(step: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median seconds of a step, on the clock and of all processors, after one run untimed."""
    rows = []
    for _ in range(runs + 1):
        clock, processor = time.perf_counter(), time.process_time()
        step()
        rows.append((time.perf_counter() - clock, time.process_time() - processor))
    clocks, processors = zip(*rows[1:], strict=True)
    return statistics.median(clocks), statistics.median(processors)


def make_egg(rings: int) -> Mesh:
    """Egg of quads, twice as many round it as from top to bottom, in a cylinder's atlas."""
    lat, lon = np.meshgrid(
        np.linspace(-np.pi / 2, np.pi / 2, rings + 1),
        np.arange(2 * rings) * np.pi / rings - np.pi,
        indexing="ij",
    )
    unit = np.stack([np.cos(lat) * np.sin(lon), -np.sin(lat), -np.cos(lat) * np.cos(lon)], axis=-1)
    row, column = (n.ravel() for n in np.indices((rings, 2 * rings)))
    rows = np.stack([row, row, row + 1, row + 1], axis=1)
    columns = np.stack([column, column + 1, column + 1, column], axis=1)
    faces = rows * 2 * rings + columns % (2 * rings)
    uv = np.stack([columns / (2 * rings), rows / rings], axis=-1)
    vertices = (unit * RADII + MIDDLE).reshape(-1, 3).astype(np.float32)
    regions = np.zeros((len(vertices), len(REGIONS)), np.float32)
    regions[:, REGIONS.index("cheeks")] = vertices[:, 1] > 60
    regions[:, REGIONS.index("scalp")] = vertices[:, 1] <= 60
    return Mesh(vertices, faces.astype(np.int32), uv.astype(np.float32), regions)


def take_photo() -> tuple[Photo, Crop]:
    """Twelve megapixels of speckled skin before green, the egg across most of their height."""
    scale = CROP_SIZE / 3000
    row, column = np.indices((3000, 4000), np.float32) + np.float32(0.5)
    x, y = (column - 500) * scale, row * scale
    inside = ((x - MIDDLE[0]) / RADII[0]) ** 2 + ((y - MIDDLE[1]) / RADII[1]) ** 2 < 1
    rgb = np.where(inside[..., None], (190, 140, 120), (0, 200, 0)).astype(np.uint8)
    rgb += np.random.default_rng(0).integers(0, 40, rgb.shape, np.uint8)
    matrix = np.array([[scale, 0.0, -500 * scale], [0.0, scale, 0.0]])
    small = cv2.resize(rgb[:, 500:3500], (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
    return Photo(rgb, "speckled"), Crop(np.asarray(small), matrix)


if __name__ == "__main__":
    main()
