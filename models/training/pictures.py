# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Pictures of training and evaluation: curves, and photos beside their heads."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from .raster import rasterise, vertex_normals

TILE = 264
SHEET_ROWS = 12
TURNS = (0.0, 40.0, 85.0)
"""Degrees by which the clay views are turned from the photo's, towards the front and beyond."""

ROOM = 1.25
"""Side of a tile over the larger side of the head in it."""

LIGHT = np.array([-0.35, -0.45, -0.82])


@dataclass(frozen=True)
class Row:
    """A photo and the head that came of it.

    Attributes
    ----------
    photo : (N, N, 3) uint8
        RGB.
    vertices : (V, 3) float
        Photo frame, pixels; depth from the head's middle.
    triangles : (T, 3) int
    facing : float
        Positive where the head looks to the right of the photo.
    title : str
    error : float
        Image-frame error; what the worst are sorted by.
    """

    photo: np.ndarray
    vertices: np.ndarray
    triangles: np.ndarray
    facing: float
    title: str
    error: float


def draw_curves(errors: dict[str, dict[str, dict[str, list[float]]]]) -> bytes:
    """Share of the photos that stay below an error, for every error.

    Parameters
    ----------
    errors : dict
        By band, by system, by measure (``image``, ``icp``): one error for each photo.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplots(2, len(errors), sharey=True, squeeze=False)
    titles = {"image": "image frame", "icp": "after ICP"}
    for column, (band, systems) in enumerate(errors.items()):
        for row, (measure, title) in enumerate(titles.items()):
            plot = axes[row, column]
            for system, values in systems.items():
                ordered = np.sort(values[measure])
                share = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
                plot.step(100 * ordered, 100 * share, where="post", label=system)
            plot.set(title=f"{band} degrees, {title}", xlim=(0, 15), ylim=(0, 100))
            plot.set_xlabel("normalised mean error, %")
            plot.grid(alpha=0.3)
        axes[0, 0].legend(loc="lower right")
    for plot in axes[:, 0]:
        plot.set_ylabel("photos, %")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def draw_log(rows: list[dict[str, float]]) -> bytes:
    """Errors on the validation photos by the photos seen in training.

    Parameters
    ----------
    rows : list of dict of str to float
        The lines of ``log.jsonl`` that ``train`` writes.

    Returns
    -------
    bytes
        A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    plot = figure.subplots()
    seen = [row["samples"] / 1000.0 for row in rows]
    for system in ("guided", "unguided", "mean_head"):
        plot.plot(seen, [row[system] for row in rows], marker=".", label=system)
    plot.set(xlabel="photos seen, thousands", ylabel="error, outer interocular distances")
    plot.set_ylim(bottom=0.0)
    plot.grid(alpha=0.3)
    plot.legend()
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def draw_sheet(rows: list[Row]) -> bytes:
    """Photos, their heads laid over them, and three views of each head in clay.

    Parameters
    ----------
    rows : list of Row
        No more than ``SHEET_ROWS`` fit on a screen.

    Returns
    -------
    bytes
        A PNG file.
    """
    sheet = np.concatenate([_draw_row(row) for row in rows])
    _, png = cv2.imencode(".png", sheet[..., ::-1])
    return png.tobytes()


def _draw_row(row: Row) -> np.ndarray:
    low, high = row.vertices.min(0), row.vertices.max(0)
    scale = TILE / (ROOM * float((high - low)[:2].max()))
    middle = (low + high) / 2
    tile_middle = np.array([TILE / 2, TILE / 2, 0.0])
    shift = tile_middle[:2] - scale * (middle[:2] - 0.5) - 0.5
    photo = cv2.warpAffine(
        row.photo, np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]]), (TILE, TILE)
    )
    vertices = scale * (row.vertices - middle)
    views = []
    for turn in TURNS:
        towards_front = turn if row.facing > 0.0 else -turn
        rotation = Rotation.from_euler("y", towards_front, degrees=True).as_matrix()
        views.append(clay(vertices @ rotation.T + tile_middle, row.triangles))
    overlay = np.where(views[0] > 0, photo // 2 + views[0] // 2, photo)
    cv2.putText(photo, row.title, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255))
    return np.concatenate([photo, overlay, *views], axis=1)


def clay(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Draw a surface in grey.

    Parameters
    ----------
    vertices : (V, 3) float
        Pixels of the picture; depth away from the camera.
    triangles : (T, 3) int

    Returns
    -------
    (264, 264, 3) uint8
        Black where nothing is.
    """
    screen = np.ascontiguousarray(vertices, dtype=np.float32)
    faces = np.ascontiguousarray(triangles, dtype=np.int32)
    depth = np.full((TILE, TILE), 1e9, dtype=np.float32)
    index = np.full((TILE, TILE), -1, dtype=np.int32)
    bary = np.zeros((TILE, TILE, 2), dtype=np.float32)
    rasterise(screen, faces, 0, depth, index, bary)
    weights = np.concatenate([bary, 1.0 - bary.sum(2, keepdims=True)], axis=2)
    corners = vertex_normals(screen, faces)[faces[np.maximum(index, 0)]]
    normals = np.einsum("hwk,hwkc->hwc", weights, corners)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True) + 1e-9
    light = np.clip(normals @ LIGHT, 0.0, 1.0) * 0.75 + 0.15 + 0.1 * np.clip(-normals[..., 2], 0, 1)
    grey = np.where(index < 0, 0.0, light * 254.0 + 1.0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)
