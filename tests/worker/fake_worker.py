# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A worker that makes a small ball of every photo, or misbehaves as the photo's name says."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from vrn_blender.reconstruction.mesh import REGIONS
from vrn_blender.reconstruction.result import Head, PhotoCamera
from vrn_blender.worker import protocol
from vrn_blender.worker.client import Settings

RADIUS = 0.1
FRONT = ((1.0, 0, 0, 0), (0, 0, -1.0, -1.0), (0, 1.0, 0, 0), (0, 0, 0, 1.0))
"""A camera that looks along +y from a metre away."""
TOP_COLOUR, BOTTOM_COLOUR = (220, 40, 30), (20, 60, 200)


def make_head(name: str = "ball", number: int = 1) -> Head:
    """Make a ball of 20 cm whose upper half is red and whose lower half is blue."""
    rings, segments = 8, 16
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.arange(segments) * 2 * np.pi / segments
    grid = np.stack(
        [
            np.outer(np.sin(polar), np.cos(around)),
            np.outer(np.sin(polar), np.sin(around)),
            np.outer(np.cos(polar), np.ones(segments)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = np.concatenate([grid, [[0, 0, 1], [0, 0, -1]]]) * RADIUS
    top, bottom = len(grid), len(grid) + 1
    faces = []
    for segment in range(segments):
        after = (segment + 1) % segments
        faces += [(top, segment, after)]
        for ring in range(rings - 2):
            a, b = ring * segments + segment, ring * segments + after
            faces += [(a, a + segments, b), (b, a + segments, b + segments)]
        last = (rings - 2) * segments
        faces += [(bottom, last + after, last + segment)]
    picture = np.empty((32, 16, 3), np.uint8)
    picture[:16], picture[16:] = TOP_COLOUR, BOTTOM_COLOUR
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    landmarks = np.linspace(-RADIUS, RADIUS, 68 * 3, dtype=np.float32).reshape(68, 3)
    return Head(
        name=name,
        vertices=points.astype(np.float32),
        faces=np.array(faces, np.int32),
        uv=(points[:, [0, 2]] / (2 * RADIUS) + 0.5).astype(np.float32)[np.array(faces)],
        surface="raw",
        regions=np.zeros((len(points), len(REGIONS)), np.float32),
        texture_png=png.getvalue(),
        landmarks=landmarks,
        face_landmarks=np.zeros((478, 3), np.float32) if number == 1 else None,
        face_number=number,
        camera=PhotoCamera(np.array(FRONT), 16, 32, 2 * RADIUS / 16),
        raw_vertices=None,
        raw_faces=None,
        device="CPU",
        seconds={"photo": 0.25, "network": 0.5},
    )


def fake_command(settings: Settings, folder: Path) -> list[str]:
    """Start this file in the worker's place."""
    return [sys.executable, __file__, str(folder), str(settings.idle_seconds)]


def _say(text: bytes) -> Callable[[], None]:
    def say() -> None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
        time.sleep(60)

    return say


def _say_farewell() -> None:
    sys.stdout.buffer.write(protocol.encode({"type": "idle"}))
    sys.stdout.buffer.flush()
    os._exit(0)


MISBEHAVIOUR: dict[str, Callable[[], None]] = {
    "dies": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "leaves": lambda: os._exit(3),
    "crashes": lambda: os.abort(),
    "hangs": lambda: time.sleep(60),
    "noise": _say(b"\x00\xff\xfe not JSON\n"),
    "list": _say(b"[1, 2]\n"),
    "endless": _say(b"x" * (protocol.MAX_LINE + 1)),
    "stranger": _say(protocol.encode({"type": "song", "id": 1})),
    "nameless": _say(protocol.encode({"type": "progress"})),
    "other": _say(protocol.encode({"type": "heads", "id": 99, "files": []})),
    "absent": _say(protocol.encode({"type": "heads", "id": 1, "files": ["nothing.npz"]})),
    "outside": _say(protocol.encode({"type": "heads", "id": 1, "files": ["../1.npz"]})),
    "numbers": _say(protocol.encode({"type": "heads", "id": 1, "files": 7})),
    "farewell": _say_farewell,
}


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin.buffer:
        request = protocol.decode(line)
        name, number = Path(request["photo"]).stem, request["id"]

        def say(message: protocol.Message, number: int = number) -> None:
            sys.stdout.buffer.write(protocol.encode({**message, "id": number}))
            sys.stdout.buffer.flush()

        say({"type": "progress", "station": "photo", "fraction": 0.25})
        marker = Path(request["photo"]).with_suffix(".once")
        if name in MISBEHAVIOUR and not marker.exists():
            if name == "farewell":
                marker.touch()
            MISBEHAVIOUR[name]()
        elif name == "faceless":
            say({"type": "error", "message": "No face was found in faceless; use another photo."})
        else:
            count = 2 if request["options"]["face"] == "all" else 1
            files = []
            for face in range(1, count + 1):
                files.append(f"{number}-{face}.npz")
                protocol.save_head(folder / files[-1], make_head(name, face))
            say({"type": "heads", "files": files})


if __name__ == "__main__":
    main()
