# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The photo, projected onto the mesh, becomes its texture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .crop import Crop
from .photo import Photo
from .result import DEFAULT_TEXTURE_SIZE
from .surface import Surface

# Shares of the head's width: the photo round the silhouette that the texture holds besides, so that
# filtering never reaches its border; how far inside the silhouette the photo may show background,
# because network and photo disagree by so much; and how far from there it is faded in.
MARGIN = 0.05
TRIM = 0.03
FADE = 0.03

# What is filled is smooth, so it is computed on a grid of at most this many pixels a side.
GRID_SIDE = 512


@dataclass(frozen=True)
class Texture:
    """Picture and texture coordinates of a mesh.

    Attributes
    ----------
    image : (H, W, 3) uint8
        sRGB, row 0 on top.
    uv : (V, 2) float32
        Of each vertex: u to the right, v up, 0..1 from edge to edge of the image.
    """

    image: npt.NDArray[np.uint8]
    uv: npt.NDArray[np.float32]


def project_texture(
    photo: Photo, crop: Crop, surface: Surface, *, max_size: int = DEFAULT_TEXTURE_SIZE
) -> Texture:
    """Cut the head's part out of the photo and project the mesh onto it.

    The picture keeps the photo's pixels as they are, upright. Near the silhouette, outside of it
    and beyond the photo's border the colours of the inside are spread outwards, so that no
    background shows on cheeks, ears and hair.

    Parameters
    ----------
    photo : Photo
    crop : Crop
        Tells where the volume frame lies in the photo.
    surface : Surface
        The mesh, volume frame.
    max_size : int
        Largest width and height of the image in pixels; a larger part of the photo is averaged.

    Returns
    -------
    Texture
    """
    to_photo = crop.crop_to_photo
    points = surface.vertices[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
    head_width = float(np.ptp(surface.vertices[:, 0])) / crop.scale
    margin = 1 + MARGIN * head_width
    low = np.floor(points.min(axis=0) - margin).astype(int)
    size = np.ceil(points.max(axis=0) + margin).astype(int) - low

    image = _shrunk(_part_of_photo(photo.rgb, low, size), max_size)
    grid_colours = _shrunk(image, GRID_SIDE)
    cells = np.array(grid_colours.shape[1::-1])
    per_cell = size / cells
    weight = _trusted(
        _silhouette((points - low) / per_cell, surface.faces, cells),
        head_width / float(per_cell.mean()),
        _inside_photo(photo.rgb, low, per_cell, cells),
    )
    fill = _spread(grid_colours.astype(np.float32), weight)
    uv = (points - low) / size
    uv[:, 1] = 1 - uv[:, 1]
    return Texture(_blend(image, fill, weight), uv.astype(np.float32))


def _part_of_photo(
    rgb: npt.NDArray[np.uint8], low: npt.NDArray[np.int_], size: npt.NDArray[np.int_]
) -> npt.NDArray[np.uint8]:
    """Part of a photo; beyond the photo's border its nearest pixels are repeated."""
    photo_size = np.array(rgb.shape[1::-1])
    start = np.clip(low, 0, photo_size - 1)
    stop = np.clip(low + size, start + 1, photo_size)
    part = rgb[start[1] : stop[1], start[0] : stop[0]]
    missing = size - (stop - start)
    left, top = np.clip(start - low, 0, missing).tolist()
    right, bottom = (missing - (left, top)).tolist()
    if missing.any():
        padded = cv2.copyMakeBorder(part, top, bottom, left, right, cv2.BORDER_REPLICATE)
        part = np.asarray(padded, np.uint8)
    return part


def _shrunk(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Average an image down to at most so many pixels a side."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    smaller = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8)


def _silhouette(
    points: npt.NDArray[np.float64], faces: npt.NDArray[np.int32], cells: npt.NDArray[np.int_]
) -> npt.NDArray[np.bool_]:
    """Grid cells whose centre a closed mesh covers.

    The borders of the triangles that face the camera are crossed row by row: each crossing adds one
    to all that lies on its right or takes one away. Borders between two such triangles cancel, so
    what remains counts the layers of the mesh that face the camera.
    """
    width, height = cells.tolist()
    triangles = points[faces]
    u, v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    front = triangles[u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0]
    start = front.reshape(-1, 2)
    end = np.roll(front, -1, axis=1).reshape(-1, 2)
    downwards = start[:, 1] < end[:, 1]
    # Crossings are computed from the upper end whichever way the border runs, so that the same
    # border of two triangles gives the same number twice.
    upper = np.where(downwards[:, None], start, end)
    lower = np.where(downwards[:, None], end, start)
    first = np.ceil(upper[:, 1] - 0.5).astype(int)
    count = np.ceil(lower[:, 1] - 0.5).astype(int) - first
    border = np.repeat(np.arange(len(count)), count)
    row = first[border] + np.arange(len(border)) - np.repeat(np.cumsum(count) - count, count)
    along = (row + 0.5 - upper[border, 1]) / (lower[border, 1] - upper[border, 1])
    x = upper[border, 0] + along * (lower[border, 0] - upper[border, 0])
    column = np.ceil(x - 0.5).astype(int)
    sign = np.where(downwards[border], 1, -1)
    steps = np.bincount(row * width + column, weights=sign, minlength=width * height)
    return np.cumsum(steps.reshape(height, width), axis=1) > 0.5


def _inside_photo(
    rgb: npt.NDArray[np.uint8],
    low: npt.NDArray[np.int_],
    per_cell: npt.NDArray[np.float64],
    cells: npt.NDArray[np.int_],
) -> npt.NDArray[np.bool_]:
    """Grid cells whose centre lies in the photo."""
    x, y = (low[axis] + (np.arange(cells[axis]) + 0.5) * per_cell[axis] for axis in range(2))
    height, width = rgb.shape[:2]
    return ((y > 0) & (y < height))[:, None] & ((x > 0) & (x < width))


def _trusted(
    silhouette: npt.NDArray[np.bool_], head_width: float, photo: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """How far, 0..1, each grid cell shows the head for sure.

    Where that is nowhere, nothing can be spread, and everything is trusted.
    """
    depth = cv2.distanceTransform(silhouette.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # The outermost cells have a depth of one, and part of them is background.
    weight = np.clip((depth - 1 - TRIM * head_width) / (FADE * head_width), 0, 1) * photo
    return (weight if weight.any() else np.ones_like(weight)).astype(np.float32)


def _spread(
    colours: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Fill what is not trusted with colours from around it, by push and pull.

    Averages over ever larger cells, each weighted by trust, fill the finer cells that lack it.

    References
    ----------
    .. [1] S. J. Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4.
    """
    height, width = weight.shape
    if height == width == 1:
        return colours
    half = (width + 1) // 2, (height + 1) // 2
    weighted = np.dstack([colours * weight[..., None], weight])
    mean = np.asarray(cv2.resize(weighted, half, interpolation=cv2.INTER_AREA), np.float32)
    mean_weight = mean[..., 3]
    mean_colours = mean[..., :3] / np.maximum(mean_weight, np.float32(1e-6))[..., None]
    coarse = _spread(mean_colours, np.minimum(4 * mean_weight, np.float32(1)))
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(around + weight[..., None] * (colours - around), np.float32)


def _blend(
    image: npt.NDArray[np.uint8],
    fill: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
) -> npt.NDArray[np.uint8]:
    """Lay the image over the fill, which are both given on a grid but for the image."""
    size = image.shape[1::-1]
    fine_weight = cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR)
    fine_fill = cv2.resize(
        np.clip(fill, 0, 255).round().astype(np.uint8), size, interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(cv2.blendLinear(image, fine_fill, fine_weight, 1 - fine_weight), np.uint8)
