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
from numpy.typing import NDArray
from PIL import Image

from vrn_blender.reconstruction.mesh import REGIONS
from vrn_blender.reconstruction.result import Head, PhotoCamera, Picture
from vrn_blender.worker import protocol
from vrn_blender.worker.client import Settings
from vrn_blender.worker.status import Library, Status

RADIUS = 0.1
FRONT = ((1.0, 0, 0, 0), (0, 0, -1.0, -1.0), (0, 1.0, 0, 0), (0, 0, 0, 1.0))
"""A camera that looks along +y from a metre away."""
FACE_BOXES = ((10.0, 20.0, 60.0, 90.0), (70.0, 30.0, 100.0, 70.0))
"""Where the faces are in a photo of two."""
TOP_COLOUR, BOTTOM_COLOUR = (220, 40, 30), (20, 60, 200)


def make_head(
    name: str = "ball", number: int = 1, surface: str = "raw", *, photo: bool = False
) -> Head:
    """Make a ball of 20 cm whose upper half is red and whose lower half is blue.

    It is made of triangles; for ``"sculpt"`` of quads that a bumpy ball gives the detail; for
    ``"light"`` of quads with a normal map of even light blue.
    """
    points, faces = triangle_ball() if surface == "raw" else quad_ball(4)
    colours = np.empty((32, 16, 3), np.uint8)
    colours[:16], colours[16:] = TOP_COLOUR, BOTTOM_COLOUR
    normals = np.full((32, 16, 3), (128, 128, 255), np.uint8)
    raw_points, raw_quads = quad_ball(16)
    return Head(
        name=name,
        vertices=points,
        faces=faces,
        uv=(points[:, [0, 2]] / (2 * RADIUS) + 0.5)[faces],
        texture_png=picture(colours, "PNG"),
        landmarks=np.linspace(-RADIUS, RADIUS, 68 * 3, dtype=np.float32).reshape(68, 3),
        face_landmarks=np.zeros((478, 3), np.float32) if number == 1 else None,
        face_number=number,
        face_boxes=np.array(FACE_BOXES, np.float32)[: 2 if name == "two" else 1],
        confidence=0.98 if number == 1 else None,
        camera=PhotoCamera(np.array(FRONT), 16, 32, 2 * RADIUS / 16),
        device="CPU",
        seconds={"photo": 0.25, "network": 0.5},
        surface=surface,
        regions=np.stack([np.clip(-points[:, 1] / RADIUS, 0, 1)] * len(REGIONS), axis=1)
        * (np.array(REGIONS) != "ears"),
        raw_vertices=bumpy(raw_points) if surface == "sculpt" else None,
        raw_faces=raw_quads[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3) if surface == "sculpt" else None,
        seen_png=picture(colours[:, :, 0], "PNG"),
        normal_png=picture(normals, "PNG") if surface == "light" else None,
        photo_jpeg=picture(colours, "JPEG") if photo else None,
    )


def triangle_ball() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Give the vertices and the triangles of a ball."""
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
    return points.astype(np.float32), np.array(faces, np.int32)


def quad_ball(cells: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Give the vertices and the quads of a ball that was a cube of so many cells an edge."""
    low = np.arange(cells)
    u, v = (grid.ravel() for grid in np.meshgrid(low, low))
    corners = []
    for axis in range(3):
        for level in (0, cells):
            square = np.empty((len(u), 4, 3), int)
            square[..., axis] = level
            square[..., (axis + 1) % 3] = np.stack([u, u + 1, u + 1, u], axis=1)
            square[..., (axis + 2) % 3] = np.stack([v, v, v + 1, v + 1], axis=1)
            corners.append(square if level else square[:, ::-1])
    places, faces = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
    directions = places - cells / 2
    points = RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return points.astype(np.float32), faces.reshape(-1, 4).astype(np.int32)


def bumpy(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give a ball bumps of a millimetre."""
    waves = np.sin(points / RADIUS * 8).prod(axis=1, keepdims=True)
    return (points * (1 + 0.01 * waves)).astype(np.float32)


def picture(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """Give the picture file of pixels."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def make_picture() -> Picture:
    """Make a photo of 40 x 20 pixels, shown at half its size, whose left half is black."""
    rgb = np.zeros((10, 20, 3), np.uint8)
    rgb[:, 10:] = 255
    return Picture(rgb, 40, 20)


STATUS = Status(
    runtime="onnxruntime-gpu 1.31.1",
    providers=("CUDAExecutionProvider", "CPUExecutionProvider"),
    cuda="13.0",
    gpu="NVIDIA Example",
    libraries=(
        Library("libcuda.so.1", "/usr/lib/libcuda.so.1"),
        Library("libcudnn.so.9", ""),
    ),
    model="/models/vrn.onnx",
    model_problem="",
    mediapipe="1.2.0",
    bundle="",
    bundle_problem="MediaPipe's face model is missing; download it.",
    memory=812_000_000,
)
"""Of a machine that lacks cuDNN and MediaPipe's bundle."""


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
        name, number = Path(request.get("photo", "")).stem, request["id"]

        def say(message: protocol.Message, number: int = number) -> None:
            sys.stdout.buffer.write(protocol.encode({**message, "id": number}))
            sys.stdout.buffer.flush()

        say({"type": "progress", "station": "photo", "fraction": 0.25})
        if request["type"] == "look":
            say({"type": "status", "status": STATUS.to_json()})
            continue
        marker = Path(request["photo"]).with_suffix(".once")
        if name in MISBEHAVIOUR and not marker.exists():
            if name == "farewell":
                marker.touch()
            MISBEHAVIOUR[name]()
        elif name == "faceless" and not request.get("options", {"box": True})["box"]:
            message = "No face was found in faceless; use another photo."
            say({"type": "error", "message": message, "no_face": True})
        elif request["type"] == "picture":
            protocol.save_picture(folder / "picture.npz", make_picture())
            say({"type": "seen", "file": "picture.npz"})
        else:
            options = protocol.options_from_json(request["options"])
            wanted = options.face
            files = []
            for face in {"largest": (1,), "all": (1, 2)}.get(wanted) or (int(wanted),):
                files.append(f"{number}-{face}.npz")
                head = make_head(name, face, options.surface, photo=options.photo)
                protocol.save_head(folder / files[-1], head)
            say({"type": "heads", "files": files})


if __name__ == "__main__":
    main()
