# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How long a head's surface takes after the network, and how that stands to marching cubes.

    python -m tests.benchmarks.surfaces --runs 20

Prints medians over the runs, in the same process and by turns, as seconds and as multiples of the
time that the isosurface itself takes, so that the ratios say nothing of how busy the machine was.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from skimage import data

from tests.benchmarks.stations import BUNDLE_FOLDERS, Seconds, medians
from vrn_blender.reconstruction.atlas import paint_ready
from vrn_blender.reconstruction.bundle import BUNDLE_NAME
from vrn_blender.reconstruction.crop import crop_face
from vrn_blender.reconstruction.fit import fit_to_landmarks
from vrn_blender.reconstruction.guidance import draw_guidance
from vrn_blender.reconstruction.head import head_frame
from vrn_blender.reconstruction.landmarks import open_detector, require_faces
from vrn_blender.reconstruction.neck import cut_neck
from vrn_blender.reconstruction.network import Network
from vrn_blender.reconstruction.photo import photo_from_array
from vrn_blender.reconstruction.result import SURFACES
from vrn_blender.reconstruction.surface import extract_surface


def measure(runs: int) -> tuple[Seconds, int]:
    """Time each step on the sample portrait.

    Returns
    -------
    seconds : dict of str to float
        Medians.
    vertices : int
        Of the isosurface.
    """
    photo = photo_from_array(np.asarray(data.astronaut(), np.uint8), "astronaut")
    face = require_faces(photo, open_detector(_bundle()))[0]
    crop = crop_face(photo, face)
    prediction = Network(device="cpu").predict(crop, draw_guidance(face, crop))
    rows = []
    for _ in range(runs):
        clock = [time.perf_counter()]
        volume = cut_neck(prediction.volume, head_frame(prediction.landmarks, None, crop))
        clock.append(time.perf_counter())
        surface = extract_surface(volume)
        clock.append(time.perf_counter())
        surface, marks = fit_to_landmarks(surface, prediction, face, crop)
        clock.append(time.perf_counter())
        for kind in SURFACES:
            paint_ready(surface, marks, kind)
            clock.append(time.perf_counter())
        names = ("neck", "isosurface", "fit", *SURFACES)
        rows.append(dict(zip(names, np.diff(clock).tolist(), strict=True)))
    return medians(rows), len(surface.vertices)


def _bundle() -> Path | None:
    candidates = (folder / BUNDLE_NAME for folder in BUNDLE_FOLDERS)
    return next((path for path in candidates if path.is_file()), None)


def as_table(seconds: Seconds, vertices: int) -> str:
    """Lay the medians out for people."""
    lines = [f"surface of {vertices} vertices   seconds   isosurfaces"]
    lines += [
        f"{name:<28}{time:>10.3f}{time / seconds['isosurface']:>14.2f}"
        for name, time in seconds.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.surfaces", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=20, help="how many runs")
    print(as_table(*measure(parser.parse_args().runs)))


if __name__ == "__main__":
    main()
