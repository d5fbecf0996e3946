# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How much memory one Blender and its worker hold after many photos.

    python -m tests.benchmarks.soak --photos 300

Each photo becomes a head by the add-on's own operator, in Blender's process, which here is the bpy
wheel; the head is then deleted, as an artist would who wants another. The photos are the sample
portrait in other sizes, so that none is like the one before it. Memory is what the system counts as
resident. ``--json`` prints everything for programs. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import bpy
from PIL import Image
from skimage import data

import vrn_blender

WARM_UP = 10
"""After so many photos everything has been loaded that is going to be."""
ALLOWED_GROWTH = 0.10
_SIZES = range(512, 769, 16)
_REPORTED = 25


@dataclass(frozen=True)
class Sample:
    """Memory after a photo.

    Attributes
    ----------
    photos : int
        How many photos there were so far.
    blender, worker : float
        Resident memory of each process, MB.
    """

    photos: int
    blender: float
    worker: float


def main() -> int:
    """Command line; the exit status is 1 where memory has grown by more than is allowed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--photos", type=int, default=300, help=f"how many; more than {WARM_UP}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.photos <= WARM_UP:
        parser.error(f"--photos must be more than {WARM_UP}")
    begun = time.perf_counter()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder, registered() as session:
        for sample in soak(session, Path(folder), arguments.photos):
            samples.append(sample)
            if not arguments.json and (
                sample.photos in (1, WARM_UP) or not sample.photos % _REPORTED
            ):
                print(as_line(sample), flush=True)
    report: dict[str, Any] = {
        "samples": [asdict(sample) for sample in samples],
        "growth": growth(samples),
        "seconds": time.perf_counter() - begun,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(
            f"{arguments.photos} photos in {report['seconds']:.0f} s; memory at the end is "
            f"{report['growth']:+.1%} of that after {WARM_UP}"
        )
    return 0 if report["growth"] <= ALLOWED_GROWTH else 1


@contextmanager
def registered() -> Iterator[Any]:
    """Register the add-on; give its session."""
    vrn_blender.register()
    try:
        yield bpy.types.WindowManager.vrn_session
    finally:
        vrn_blender.unregister()


def soak(session: Any, folder: Path, photos: int) -> Iterator[Sample]:
    """Make heads and delete them.

    Parameters
    ----------
    session : Session
        The add-on's.
    folder : Path
        For the photos.
    photos : int
        How many.

    Yields
    ------
    Sample
        After each photo.

    Raises
    ------
    RuntimeError
        Where a photo does not become a head.
    """
    portrait = Image.fromarray(data.astronaut())
    for number in range(1, photos + 1):
        side = _SIZES[number % len(_SIZES)]
        photo = folder / "portrait.png"
        portrait.resize((side, side)).save(photo)
        bpy.ops.vrn.face_from_photo(filepath=str(photo))
        bpy.data.batch_remove([entry for entry in bpy.data.objects if "vrn_photo" in entry])
        bpy.data.orphans_purge(do_recursive=True)
        yield Sample(number, resident(os.getpid()), resident(session.process_id))


def resident(process_id: int) -> float:
    """Give a process's resident memory, MB."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth(samples: list[Sample]) -> float:
    """Tell by how much the memory of both processes together grew after the warm-up."""
    before, after = samples[WARM_UP - 1], samples[-1]
    return (after.blender + after.worker) / (before.blender + before.worker) - 1


def as_line(sample: Sample) -> str:
    """Put a sample into words."""
    return (
        f"after {sample.photos:4} photos: Blender {sample.blender:6.0f} MB, "
        f"worker {sample.worker:6.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
