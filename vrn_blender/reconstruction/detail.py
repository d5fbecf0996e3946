# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Creases and folds that are finer than the network's voxels, from the photo's shading.

Light reaches the bottom of a crease less than the skin beside it, so what is darker than its
surroundings is taken to lie deeper. That holds for lines on skin and for little else: hair, brows,
eyes and teeth are left out, and what is no longer than wide counts little, as noise and moles are.

The surface is moved along the line of sight only. So the photo stays where it lies on it, and
what the camera sees of it, a height field, cannot run through itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from .crop import CROP_SIZE, Crop, cut_out
from .light import GAMMA
from .mesh import Mesh
from .normals import vertex_normals
from .photo import Photo
from .raster import draw
from .surface import Surface

Array = NDArray[np.float32]

CELLS = 4
"""Cells of the relief a voxel: twice as many as vertices, once the surface is refined."""
MASK_CELLS = 2
"""Cells a voxel of what says where the relief is to be trusted, which is smooth."""

# Creases are looked for at this width (the standard deviation, in cells of their octave) in three
# octaves, the finest at CELLS: from folds of 12 mm down to lines of 3 mm.
WIDTH = 1.6
LENGTH = 3.0
"""Of a crease over its width."""
DIRECTIONS = 8
SHARPNESS = 3
"""Power at which the directions that a crease has outdo those that it has not."""

GAINS = (8.0, 5.0, 1.7)
"""Slope of the surface for a contrast of one, from the finest octave to the coarsest."""
NOISE = (1.6, 1.5, 1.2)
"""Times the median contrast of an octave at which a response is half believed."""
LEAST_NOISE = 0.006
"""The least such contrast: what eight bits cannot tell."""
CONTRAST, ADAPTATION = 0.2, 1.5
"""Contrast of the strong creases of a usual photo, and how far others are brought there."""
RIDGES = 0.6
"""What is brighter than its surroundings, over what is darker: half of it is gloss."""
STEEPEST = 0.5
"""Height of an octave over the width of its creases, at most."""
LIMIT = 0.6
"""Voxels, about a millimetre: most that the surface is moved along its normal."""

# Cosines of the angle at which the camera sees the surface, and voxels inside the silhouette,
# between which the photo comes to be trusted.
GRAZING, FACING = 0.3, 0.7
RIM, INSIDE = 3.0, 9.0
STEP = 2.0
"""Voxels by which the surface must jump for one part of it to count as lying before another."""
BEHIND = (1.0, 2.0)
"""Voxels behind what the camera sees from which nothing is moved."""

# Logarithms of brightness, against that of the skin around and against white, and spreads of colour
# off the skin's, between which something ceases to be skin that shows its shape.
DARK, BLOWN, FOREIGN = (-1.1, -0.55), (-0.3, -0.05), (3.0, 5.0)
SHADED = (-1.5, -0.9)
"""The same against the face's skin, between which its shaded parts end and other things begin."""
LEAST_SPREAD = 0.08
"""Of those logarithms of colours: the skin of nobody has less."""
THIN = 2.0
"""Voxels: what is darker than skin but thinner than about twice this is a crease in it."""
MARGIN, HAIRLINE = 1.0, 4.0
"""Voxels of skin that are left out beside what is none, and beside what surrounds the face."""
BROW, BROW_DAMPED = 5.0, 0.6
"""Width of a brow in voxels, and the share of its relief that is taken for colour."""
SURE = 0.7
"""Trust from which a cell tells about the photo's contrast and noise."""

LINEAR = ((np.arange(256) / 255.0) ** GAMMA).astype(np.float32)
"""Light of each of a photo's values."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)

# Multi-PIE landmarks.
JAW = slice(0, 17)
BROWS = (slice(17, 22), slice(22, 27))
EYES = (slice(36, 42), slice(42, 48))
LIPS, MOUTH = slice(48, 60), slice(60, 68)
SKIN = [2, 4, 6, 8, 10, 12, 14, 26, 17]
MIDDLE = [36, 39, 42, 45, 54, 48]


@dataclass(frozen=True)
class Relief:
    """What is to be added to a surface, as the camera sees it.

    Attributes
    ----------
    rise : (768, 768) float32
        Over the crop, `CELLS` cells a pixel: voxels towards the camera at full strength.
    depth : (384, 384) float32
        `MASK_CELLS` cells a pixel: depth of what the camera sees, voxels of the volume frame.
    seen : (384, 384) float32
        How well, 0..1, the camera sees it.
    """

    rise: Array
    depth: Array
    seen: Array


def draw_relief(
    photo: Photo, crop: Crop, surface: Surface, landmarks: NDArray[np.float32]
) -> Relief:
    """Find the creases that a photo shows on a head.

    Parameters
    ----------
    photo : Photo
    crop : Crop
        Tells where the volume frame lies in the photo.
    surface : Surface
        Fitted to the photo.
    landmarks : (68, 3) float32
        Multi-PIE landmarks of it, volume frame.

    Returns
    -------
    Relief

    References
    ----------
    .. [1] M. Glencross et al., "A perceptually validated model for surface depth hallucination",
       SIGGRAPH 2008.
    .. [2] T. Beeler et al., "High-quality single-shot capture of facial geometry", SIGGRAPH 2010.
    """
    photo_to_relief = crop.photo_to_crop * CELLS
    rgb = cut_out(photo.rgb, photo_to_relief, CROP_SIZE * CELLS, cv2.INTER_CUBIC)
    light = LINEAR[rgb]
    depth, facing, seen = _look(surface)
    seen *= _inside_photo(photo, crop)
    skin = _skin(light, landmarks, seen)
    inner = _filled([landmarks[part] for part in (*EYES, MOUTH)])
    trust = seen * skin * (1.0 - _blurred(inner, 0.3)) * _plain(landmarks)

    brightness = np.log(light @ LUMINANCE + np.float32(0.01))
    known = _enlarged(np.where(seen > 0.0, skin, 0.0) * (1.0 - inner))
    weight = _enlarged(trust)
    height = np.zeros_like(brightness)
    rows, columns = (np.flatnonzero((weight > 0.0).any(axis=axis)) for axis in (1, 0))
    if len(rows):
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        height[part] = _creases(_smoothly_filled(brightness[part], known[part]), weight[part])
    rise = weight * height / np.maximum(_enlarged(facing), np.float32(0.5))
    return Relief(rise, depth, seen)


def detailed_surface(surface: Surface, relief: Relief, strength: float) -> Surface:
    """Add a relief to a surface, which is refined where the camera sees it.

    Parameters
    ----------
    surface : Surface
    relief : Relief
    strength : float
        0..1.

    Returns
    -------
    Surface
        As sound as the given one; x and y of its vertices stay, and new ones follow them.
    """
    finer = _refine(surface.vertices, surface.faces, relief)
    return Surface(_raised(finer.vertices, relief, strength), finer.faces)


def detailed_mesh(mesh: Mesh, relief: Relief, strength: float) -> Mesh:
    """Add a relief to a mesh of triangles, which is refined where the camera sees it.

    Parameters
    ----------
    mesh : Mesh
        Of triangles.
    relief : Relief
    strength : float
        0..1.

    Returns
    -------
    Mesh
        Each place keeps its place in the atlas.
    """
    finer = _refine(mesh.vertices, mesh.faces, relief)
    uv = np.einsum("fkc,fcd->fkd", finer.corners, mesh.uv[finer.parents])
    regions = np.concatenate([mesh.regions, mesh.regions[finer.ends].mean(axis=1)])
    return Mesh(_raised(finer.vertices, relief, strength), finer.faces, uv, regions)


def _look(surface: Surface) -> tuple[Array, Array, Array]:
    """Depth of what the camera sees, how squarely it sees it, and how far that is to be trusted."""
    vertices, faces = surface.vertices, surface.faces
    side = CROP_SIZE * MASK_CELLS
    a, b, c = vertices[faces, :2].transpose(1, 0, 2)
    u, v = b - a, c - a
    front = faces[u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0.0]
    corners = vertices[front, :2].astype(np.float64) * MASK_CELLS
    grid = draw(corners, front, len(vertices), (side, side), vertices[:, 2])
    depth = grid.spread(vertices[:, 2])
    facing = np.clip(-grid.spread(vertex_normals(vertices, faces)[:, 2]), 0.0, 1.0)
    steep = np.sqrt(1.0 - facing**2) / np.maximum(facing, 0.15)
    around = np.ones((2 * MASK_CELLS + 1, 2 * MASK_CELLS + 1), np.uint8)
    nearest = cv2.erode(np.where(grid.covered, depth, np.float32(np.inf)), around)
    farthest = cv2.dilate(np.where(grid.covered, depth, np.float32(-np.inf)), around)
    whole = np.maximum(depth - nearest, farthest - depth) <= STEP + 1.5 * steep
    whole = cv2.erode((whole & grid.covered).astype(np.float32), np.ones((3, 3), np.uint8))
    inside = cv2.distanceTransform(grid.covered.astype(np.uint8), cv2.DIST_L2, 5) / MASK_CELLS
    seen = cv2.blur(whole, (5, 5)) * _step(facing, GRAZING, FACING) * _step(inside, RIM, INSIDE)
    return depth, facing, seen


def _inside_photo(photo: Photo, crop: Crop) -> Array:
    """Nought beyond the photo, whose border is stretched there."""
    whole = np.ones(photo.rgb.shape[:2], np.uint8)
    matrix = crop.photo_to_crop * MASK_CELLS
    side = CROP_SIZE * MASK_CELLS
    inside = cv2.warpAffine(whole, matrix, (side, side), flags=cv2.INTER_NEAREST)
    reach = 2 * RIM * MASK_CELLS + 1
    return _blurred(cv2.erode(inside, _disc(reach)).astype(np.float32), RIM / 2)


def _skin(light: Array, landmarks: NDArray[np.float32], seen: Array) -> Array:
    """How far, 0..1, each cell looks like the skin of this face, and hangs together with it."""
    small = cv2.resize(light, seen.shape[::-1], interpolation=cv2.INTER_AREA)
    small = np.log(_blurred(small, 0.75) + np.float32(0.01))
    brightness = small.mean(axis=2)
    colour = small[..., :2] - small[..., 1:]

    features = _filled([landmarks[part] for part in (*EYES, LIPS)])
    core = (_filled([landmarks[SKIN]]) > features) & (seen > 0.5)
    if not core.any():
        return np.zeros_like(seen)
    usual = np.median(colour[core], axis=0)
    spread = 1.5 * np.median(np.abs(colour[core] - usual), axis=0)
    off = (np.abs(colour - usual) / np.maximum(spread, LEAST_SPREAD)).max(axis=2)
    middling = float(np.median(brightness[core]))
    lit = core * _step(brightness - middling, *SHADED)
    around = _blurred(brightness * lit, 8.0) / np.maximum(_blurred(lit, 8.0), np.float32(1e-3))
    like = _step(brightness - around, *DARK) * (1.0 - _step(off, *FOREIGN))
    like *= 1.0 - _step(small.min(axis=2), *BLOWN)

    # Thin dark lines in skin are creases; those in brows are hair.
    brows = _brows(landmarks, 2.0 * BROW)
    closed = cv2.morphologyEx(like, cv2.MORPH_CLOSE, _disc(THIN))
    like = cv2.erode(closed + brows * (like - closed), _disc(MARGIN))
    joined = _joined((like > 0.5) & (seen > 0.0), _filled([landmarks[MIDDLE]]) > 0.0)
    return _blurred(like, 0.7) * _blurred(joined, 1.5)


def _joined(skin: NDArray[np.bool_], middle: NDArray[np.bool_]) -> Array:
    """Leave what hangs together with the middle of the face, without a rim beside what does not."""
    whole = np.zeros(skin.shape, np.uint8)
    outlines, _ = cv2.findContours(skin.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(whole, outlines, -1, 1, cv2.FILLED)
    _, patch = cv2.connectedComponents(cv2.erode(whole, _disc(HAIRLINE)))
    return np.isin(patch, np.setdiff1d(patch[middle], [0])).astype(np.float32)


def _plain(landmarks: NDArray[np.float32]) -> Array:
    """Less for brows, whose hair is colour; nothing below the jaw, for its shadow and collars."""
    side = float(CROP_SIZE)
    below = np.concatenate([landmarks[JAW, :2], [[side, side], [0.0, side]]]).astype(np.float32)
    brows = np.float32(BROW_DAMPED) * _brows(landmarks, BROW)
    return (1.0 - _blurred(_filled([below]), 2.0)) * (1.0 - brows)


def _brows(landmarks: NDArray[np.float32], width: float) -> Array:
    mask = np.zeros((CROP_SIZE * MASK_CELLS,) * 2, np.uint8)
    lines = [(landmarks[brow, :2] * MASK_CELLS).astype(np.int32) for brow in BROWS]
    cv2.polylines(mask, lines, False, 1, round(width * MASK_CELLS))
    return _blurred(mask.astype(np.float32), 1.0)


def _filled(outlines: list[NDArray[np.float32]]) -> Array:
    """One inside any of some outlines (N, 2 or 3), else nought."""
    mask = np.zeros((CROP_SIZE * MASK_CELLS,) * 2, np.uint8)
    for outline in outlines:
        corners = np.rint(outline[:, :2] * MASK_CELLS - 0.5).astype(np.int32)
        cv2.fillPoly(mask, [corners], 1)
    return mask.astype(np.float32)


def _smoothly_filled(picture: Array, known: Array) -> Array:
    """Carry a picture on into what is not known of it, so that no edge is left there."""
    known = np.maximum(known, np.float32(1e-4))
    sigma = 2.0 * CELLS
    around = cv2.GaussianBlur(picture * known, (0, 0), sigma)
    around /= cv2.GaussianBlur(known, (0, 0), sigma)
    return around + known * (picture - around)


def _creases(brightness: Array, weight: Array) -> Array:
    """Height (H, W) in voxels, of one sign with contrast, from logarithms of brightness."""
    octaves = []
    picture, trust = brightness, weight
    for noise in NOISE:
        contrast = _along_lines(picture)
        sure = np.abs(contrast[trust > SURE])
        if not len(sure):
            return np.zeros_like(brightness)
        octaves.append((contrast, max(1.5 * noise * float(np.median(sure)), LEAST_NOISE), sure))
        picture, trust = (
            cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            for image in (picture, trust)
        )
    strong = float(np.percentile(octaves[1][2], 97))
    adapted = float(np.clip(CONTRAST / max(strong, 1e-6), 1.0 / ADAPTATION, ADAPTATION))
    height = np.zeros_like(brightness)
    size = brightness.shape[::-1]
    for octave, (gain, (contrast, noise, _)) in enumerate(zip(GAINS, octaves, strict=True)):
        width = WIDTH / CELLS * 2.0**octave
        believed = contrast**5 / (contrast**4 + np.float32(noise**4))
        slope = gain * adapted * np.where(believed > 0.0, RIDGES * believed, believed)
        bounded = (STEEPEST * width * np.tanh(slope / STEEPEST)).astype(np.float32)
        height += cv2.resize(bounded, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(LIMIT * np.tanh(height / LIMIT), np.float32)


def _along_lines(picture: Array) -> Array:
    """Contrast of each cell with what lies to both sides of the line through it that has most."""
    total, weights = np.zeros_like(picture), np.full_like(picture, 1e-12)
    for kernel in _line_kernels():
        contrast = cv2.filter2D(picture, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
        weight = np.abs(contrast) ** SHARPNESS
        total += weight * contrast
        weights += weight
    return total / weights


def _line_kernels() -> list[Array]:
    reach = int(np.ceil(3.0 * LENGTH * WIDTH))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernels = []
    for angle in np.arange(DIRECTIONS) * np.pi / DIRECTIONS:
        across = x * np.cos(angle) + y * np.sin(angle)
        along = y * np.cos(angle) - x * np.sin(angle)
        line, band = (
            np.exp(-0.5 * (across / width) ** 2 - 0.5 * (along / (LENGTH * WIDTH)) ** 2)
            for width in (WIDTH, 2.0 * WIDTH)
        )
        kernels.append((line / line.sum() - band / band.sum()).astype(np.float32))
    return kernels


def _raised(vertices: Array, relief: Relief, strength: float) -> Array:
    behind = vertices[:, 2] - _looked_up(relief.depth, vertices)
    share = np.float32(strength) * (1.0 - _step(behind, *BEHIND))
    raised = vertices.copy()
    raised[:, 2] -= share * _looked_up(relief.rise, vertices)
    return raised


@dataclass(frozen=True)
class _Finer:
    """Triangles of which some are cut.

    Attributes
    ----------
    vertices : (V + E, 3) float32
        The old ones, then one for each edge that is cut.
    faces : (F, 3) int32
    ends : (E, 2) int32
        Of each edge that is cut.
    parents : (F,) int32
        The triangle that each was cut from.
    corners : (F, 3, 3) float32
        Barycentric coordinates of each corner in it.
    """

    vertices: Array
    faces: NDArray[np.int32]
    ends: NDArray[np.int32]
    parents: NDArray[np.int32]
    corners: Array


# Corners 0 to 2 of a triangle, and the middles 3 to 5 of the edges from each to the next.
_WHOLE = np.array([[0, 1, 2]])
_FOUR = np.array([[0, 3, 5], [3, 1, 4], [5, 4, 2], [3, 4, 5]])
_TWO = [np.array([[k, k + 3, (k + 2) % 3], [k + 3, (k + 1) % 3, (k + 2) % 3]]) for k in range(3)]
_PLACES = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]], np.float32
)


def _refine(vertices: Array, faces: NDArray[np.int32], relief: Relief) -> _Finer:
    """Cut the edges that the camera sees, so that triangles become four, or two at the border.

    New vertices lie on the curve that leaves both ends at right angles to their normals [1]_.

    References
    ----------
    .. [1] A. Vlachos et al., "Curved PN triangles", I3D 2001.
    """
    behind = vertices[:, 2] - _looked_up(relief.depth, vertices)
    chosen = (_looked_up(relief.seen, vertices) > 0.02) & (behind < BEHIND[1])
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2)
    # A triangle with two chosen corners has one such edge, one with three has three.
    split = chosen[edges].all(axis=2)
    ends, number = np.unique(np.sort(edges[split], axis=1), axis=0, return_inverse=True)
    middles = np.zeros(faces.shape, np.int32)
    middles[split] = len(vertices) + number.ravel()
    six = np.concatenate([faces, middles], axis=1)

    normals = vertex_normals(vertices, faces)
    start, end = vertices[ends[:, 0]], vertices[ends[:, 1]]
    way = end - start
    lift = [
        (way * normals[ends[:, k]]).sum(axis=1, keepdims=True) * normals[ends[:, k]] for k in (0, 1)
    ]
    between = (start + end) / 2 + (lift[1] - lift[0]) / 8

    cuts = split.sum(axis=1)
    kinds = [(cuts == 0, _WHOLE), (cuts == 3, _FOUR)]
    kinds += [((cuts == 1) & split[:, k], _TWO[k]) for k in range(3)]
    finer, parents, corners = [], [], []
    for are, pattern in kinds:
        which = np.flatnonzero(are)
        finer.append(six[which][:, pattern].reshape(-1, 3))
        parents.append(np.repeat(which, len(pattern)))
        corners.append(np.tile(_PLACES[pattern], (len(which), 1, 1)))
    return _Finer(
        np.concatenate([vertices, between]).astype(np.float32),
        np.concatenate(finer).astype(np.int32),
        ends.astype(np.int32),
        np.concatenate(parents).astype(np.int32),
        np.concatenate(corners),
    )


def _looked_up(picture: Array, vertices: Array) -> Array:
    """Bilinear values (V,) of a square picture of the crop where vertices lie in it."""
    x, y = vertices[:, :2].T * (len(picture) / CROP_SIZE) - 0.5
    return np.asarray(map_coordinates(picture, [y, x], order=1, mode="nearest"), np.float32)


def _enlarged(picture: Array) -> Array:
    """From `MASK_CELLS` a voxel to `CELLS`."""
    side = CROP_SIZE * CELLS
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)


def _blurred(picture: Array, voxels: float) -> Array:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), voxels * MASK_CELLS), np.float32)


def _disc(voxels: float) -> NDArray[np.uint8]:
    """Neighbourhood of a cell, this many voxels each way."""
    side = 2 * round(voxels * MASK_CELLS) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _step(value: Array, low: float, high: float) -> Array:
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share), np.float32)
