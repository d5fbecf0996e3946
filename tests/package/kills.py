# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Runs inside Blender: makes a head again and again while the worker is killed at random moments.

::

    blender --background --python kills.py -- PHOTO KILLS REPORT.json
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import bpy


def blocks() -> list[str]:
    """Name everything in the file that a head consists of."""
    data = bpy.data
    kinds = (data.objects, data.meshes, data.materials, data.images, data.collections)
    return sorted(repr(block) for kind in kinds for block in kind)


def make_head(photo: str) -> str:
    """Press the button; give what Blender says where it fails, and nothing where it works."""
    try:
        bpy.ops.vrn.face_from_photo(filepath=photo)
    except RuntimeError as error:
        return str(error)
    return ""


def timed_head(photo: str) -> tuple[str, float]:
    """Make a head, and say how many seconds it took with the worker's start."""
    begun = time.monotonic()
    sentence = make_head(photo)
    return sentence, time.monotonic() - begun


def kill_after(seconds: float) -> None:
    """Wait for a worker and kill it some time later."""
    session = bpy.types.WindowManager.vrn_session
    while session.process_id is None:
        time.sleep(0.001)
    process_id = session.process_id
    time.sleep(seconds)
    os.kill(process_id, signal.SIGKILL)


def children() -> list[int]:
    """Name the processes, also dead ones, that this one has started and not yet waited for."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8").rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(entry.parent.name))
    return found


def main() -> None:
    """Do it and report."""
    photo, kills, report = sys.argv[-3:]
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(report).with_suffix(".blend")))
    # The first run of all is slow, because nothing of it is in the system's memory yet.
    first = []
    for _ in range(2):
        bpy.types.WindowManager.vrn_session.release()
        first.append(timed_head(photo))
    seconds = min(spent for _, spent in first)
    generator = random.Random(1)  # noqa: S311 - moments need not be secret
    said: list[str] = []
    changed = 0
    for _ in range(int(kills)):
        bpy.ops.wm.open_mainfile(filepath=str(Path(report).with_suffix(".blend")))
        before = blocks()
        bpy.types.WindowManager.vrn_session.release()
        killer = threading.Thread(target=kill_after, args=[generator.uniform(0, seconds)])
        killer.start()
        sentence, spent = timed_head(photo)
        killer.join()
        said.append(sentence)
        if not sentence:
            seconds = min(seconds, spent)
        changed += bool(said[-1]) and blocks() != before
    # The system takes a moment for a kill.
    while bpy.types.WindowManager.vrn_session.worker_is_alive:
        time.sleep(0.01)
    last = make_head(photo)
    bpy.types.WindowManager.vrn_session.release()
    told: dict[str, Any] = {
        "first": [sentence for sentence, _ in first],
        "seconds": seconds,
        "said": said,
        "changed": changed,
        "last": last,
        "children": children(),
        "left": [path.name for path in Path(tempfile.gettempdir()).glob("vrn_blender_*")],
    }
    Path(report).write_text(json.dumps(told), encoding="utf-8")


main()
