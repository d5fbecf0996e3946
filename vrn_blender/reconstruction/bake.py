# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The photo is baked into a head's atlas.

Each texel takes the photo where the camera saw it, the texel of the head's other side where the
camera saw only that, and a smooth colour where nobody saw anything. The atlas is symmetric: the
other side of (u, v) is (1 - u, v). `mirrored` is the one place that knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .crop import CROP_SIZE, Crop
from .fill import SurfaceFill, push_pull
from .hair import (
    CORE,
    Hair,
    Outline,
    Sides,
    bare_neck,
    cut_out,
    draw_strands,
    find_hair,
    find_sides,
    outline_head,
    usual_hairline,
)
from .light import skin_shading
from .mesh import REGIONS, Mesh
from .normals import vertex_normals
from .photo import Photo
from .raster import Grid, draw, split_quads

Array = NDArray[np.float32]

# The geometry is drawn at no more than this many texels a side, and interpolated from there: it is
# smooth, the photo is not. What is smooth in the colours, too, is computed there or coarser.
GRID_SIDE = 1024
MATCH_SIDE = 256

SMALLEST = 512
"""Texels a side below which a texture saves nothing."""

ENLARGED = 1.1
"""How much finer than a texel the photo may be before the next larger size is chosen."""

DEPTH_CELLS = 4
"""Cells of the depth buffer, and of the silhouette, a voxel."""

# Cosines of the angle at which the camera sees the surface: below the first the photo is too
# stretched to be of use, above the second it is taken as it is.
GRAZING, FACING = 0.15, 0.4

# What hides something is taken to be this many voxels wider all round, because network and photo
# disagree by so much; and a surface hides nothing that lies less than this behind it.
OCCLUDER = 1.5
BEHIND = 1.0

# Where the surface ends before one that lies so many voxels farther away, the photo may show that
# one, or background in between, so many voxels before the end.
LIMB_GAP = 8.0
LIMB = 3.0

# Nostrils and the corners of the mouth lie in crevices that neither side sees well. Their colour in
# the photo is still the best there is, so what is as little hidden as this comes last but one.
CREVICE_GRAZING, CREVICE_FACING = -0.3, 0.1
CREVICE = 8.0

# Hair stands off the mesh, so where hair usually grows, skin is believed only to where the camera
# sees it so squarely.
ASLANT, SQUARE = 0.5, 0.8

# Shares of the head's width: how far inside the silhouette the photo may show background, and how
# far from there it is faded in.
TRIM = 0.03
FADE = 0.03

OUTSIDE = 0.04
"""Share of the head's width so far outside the silhouette there is no skin."""

SEEN, MIRRORED = 255, 128
"""Values of `Texture.seen`."""

HAIR_EDGE = 0.3
"""Half the step of hair's share over which it sets in."""

FRAYED, STUBBLY = 0.03, 0.05
"""By how much of that share strands and short hair set in sooner and later."""

LINE_PULL = 0.08
"""How soon, where nobody saw it, the hairline comes to where it usually is."""

PULLED_EDGE = 2.0
"""Voxels of an edge for which hair's pulls hold as they are."""

COLOURFUL = ("scalp", "neck", "ears", "brows", "eyes", "eyelids", "lips", "chin", "jaw")
"""Regions that need not show plain skin: hair, beard, collars."""

LIGHT_DIFFERENCE = 0.5
"""Natural logarithm by which the light of both sides may differ."""

TINT_DIFFERENCE = 0.1
"""The same for what red, green and blue differ by from each other."""

PALE, PAINT = 0.04, (0.15, 0.25)
"""The same by which skin is less red, and brighter, than the other side's if light is the cause:
from the first it counts in full, and what differs as much as the others is make-up or a beard."""

OWN_TINT = ("scalp", "neck", "ears", "brows", "eyes", "eyelids", "lips", "nose", "chin")
"""Regions whose skin is no measure for others' tint."""

USUAL_SKIN = 0.005
"""Weight of the whole face's skin where the skin nearby tells nothing."""

HAIR_PULL, SKIN_PULL = 0.02, 0.004
"""How soon unseen scalp comes to the colour of hair, and all else to that of skin."""


@dataclass(frozen=True)
class _View:
    """What the camera saw.

    Attributes
    ----------
    grid : Grid
        The mesh in the crop, `DEPTH_CELLS` cells a pixel.
    inside : (H, W) float32
        How deep in the silhouette each cell lies, as a share of the head's width.
    face : (192, 192) float32
        How far, 0..1, each pixel of the crop has the face's colours rather than those of the
        background, or of what is worn round the neck.
    head : (192, 192) float32
        How far, 0..1, it has the head's, with its hair.
    hair : Hair or None
        What there is of it.
    sides : Sides
    usual : (V,) float32
        How far hair usually grows on each vertex.
    """

    grid: Grid
    inside: Array
    face: Array
    head: Array
    hair: Hair | None
    sides: Sides
    usual: Array


@dataclass(frozen=True)
class Texture:
    """A head's picture.

    Attributes
    ----------
    image : (S, S, 3) uint8
        sRGB, row 0 on top (v = 1); filled beyond the borders of the islands.
    seen : (S, S) uint8
        255 where the camera saw the texel, 128 where it saw only its mirror image, 0 where neither;
        in between where they are blended.
    """

    image: NDArray[np.uint8]
    seen: NDArray[np.uint8]


def fitting_size(crop: Crop, mesh: Mesh, largest: int) -> int:
    """Size of texture that keeps the photo's resolution on the face.

    Parameters
    ----------
    crop : Crop
    mesh : Mesh
    largest : int
        No larger size is given.

    Returns
    -------
    int
        Texels a side: a power of two, if ``largest`` allows.
    """
    needed = _photo_pixels(crop, mesh) / ENLARGED
    size = SMALLEST
    while size < needed:
        size *= 2
    return min(size, largest)


def bake(
    photo: Photo,
    crop: Crop,
    mesh: Mesh,
    *,
    size: int,
    even_light: bool = False,
    symmetric: bool = False,
) -> Texture:
    """Paint a head's atlas from its photo.

    Parameters
    ----------
    photo : Photo
    crop : Crop
        Tells where the volume frame lies in the photo.
    mesh : Mesh
        Its atlas is symmetric about u = 0.5.
    size : int
        Texels a side.
    even_light : bool
        Take the light out, so that the skin keeps its own colour.
    symmetric : bool
        Make both sides the same: the better seen one's detail, the mean of their colours.

    Returns
    -------
    Texture
    """
    side = min(size, GRID_SIDE)
    faces = split_quads(mesh.faces)
    uv = split_quads(mesh.uv).astype(np.float64)
    corners = np.stack([uv[..., 0], 1.0 - uv[..., 1]], axis=-1) * side
    atlas = draw(corners, faces, len(mesh.vertices), (side, side))
    normals = vertex_normals(mesh.vertices, mesh.faces)
    places = atlas.spread(mesh.vertices)
    view = _look(crop, mesh, faces)
    well, barely = _trust(photo, crop, mesh, view, normals, atlas, places)
    direct, other = _shares(well, barely, atlas.spread(1.0 - _regions(mesh, "neck")))
    picture = _take(photo, crop, mesh, places, size)
    if even_light:
        shading = _shading(picture, direct, mesh, normals)
        picture = _multiplied(picture, atlas.spread(1.0 / shading))

    reflection = mirrored(picture)
    if other.max() > 0.0:
        skin = np.clip(atlas.spread(1.0 - _regions(mesh, *OWN_TINT)), 0.0, 1.0)
        coarse, trust, skin = (_reduced(part, MATCH_SIDE) for part in (picture, well, skin))
        ratio = _unlit(coarse, trust, skin, _likeness(coarse, trust))
        reflection = _multiplied(reflection, ratio)
    known = direct + other
    small = (
        _reduced(picture, side) * direct[..., None] + _reduced(reflection, side) * other[..., None]
    )
    known_colours = small / np.maximum(known, np.float32(1e-6))[..., None]
    fill = _fill(known_colours, direct, other, mesh, faces, view, atlas, places)
    rest = np.maximum(1.0 - direct, np.float32(1e-6))
    image = _laid_over(reflection, _enlarged(fill, size), other / rest)
    image = _laid_over(picture, image, direct)
    if symmetric:
        image = _made_symmetric(image, direct)
    seen = _enlarged(SEEN * direct + MIRRORED * other, size)
    return Texture(image, np.clip(seen.round(), 0, 255).astype(np.uint8))


def sample_corners(image: NDArray[np.uint8], uv: Array) -> NDArray[np.uint8]:
    """Colours of a picture at the corners of faces, for those who want them without a texture.

    Parameters
    ----------
    image : (H, W, 3) uint8
        Row 0 on top.
    uv : (F, C, 2) float32
        0..1, v up.

    Returns
    -------
    (F, C, 3) uint8
    """
    colours = _at(image, uv.reshape(-1, 2)).round().astype(np.uint8)
    return colours.reshape(*uv.shape[:2], 3)


def mirrored(picture: NDArray[Any]) -> NDArray[Any]:
    """Give each texel of an atlas what the head's other side has in its place.

    This takes the atlas to be symmetric: the mirror image of (u, v) lies at (1 - u, v).

    Parameters
    ----------
    picture : (S, S, ...) array

    Returns
    -------
    (S, S, ...) array
    """
    return np.ascontiguousarray(picture[:, ::-1])


def _photo_pixels(crop: Crop, mesh: Mesh) -> float:
    """Photo pixels a side of the atlas, where it shows the face."""
    faces, uv = split_quads(mesh.faces), split_quads(mesh.uv).astype(np.float64)
    a, b, c = mesh.vertices[faces].astype(np.float64).transpose(1, 0, 2)
    across = np.cross(b - a, c - a)
    u, v = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    spent = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    face = 1.0 - _regions(mesh, "scalp", "neck", "ears")[faces].mean(axis=1)
    weight = np.maximum(-across[:, 2], 0.0) * (face > 0.5) * (spent > 0.0)
    if not weight.any():
        return 0.0
    needed = np.sqrt(np.maximum(-across[:, 2], 0.0) / np.maximum(spent, 1e-12)) / crop.scale
    order = np.argsort(needed)
    total = np.cumsum(weight[order])
    return float(needed[order][np.searchsorted(total, 0.75 * total[-1])])


def _regions(mesh: Mesh, *names: str) -> Array:
    """How far each vertex belongs to any of some regions."""
    columns = [REGIONS.index(name) for name in names]
    return np.minimum(mesh.regions[:, columns].sum(axis=1), 1.0).astype(np.float32)


def _shares(well: Array, barely: Array, sided: Array) -> tuple[Array, Array]:
    """How much of each texel comes from the photo's own place and how much from the other side's.

    What the camera saw well goes first, then what it saw well on the other side, then what it
    barely saw, and last what it barely saw on the other side. Necks, ``sided`` of 0, take nothing
    from the other side: collars and shadows are not symmetric.
    """
    sided = np.clip(sided, 0.0, 1.0)
    direct = well
    other = (1.0 - direct) * sided * mirrored(well)
    direct = direct + (1.0 - direct - other) * barely
    other = other + (1.0 - direct - other) * sided * mirrored(barely)
    return direct, other


def _look(crop: Crop, mesh: Mesh, faces: NDArray[np.int32]) -> _View:
    front = faces[_faces_camera(mesh.vertices, faces)]
    cells = CROP_SIZE * DEPTH_CELLS
    corners = mesh.vertices[front, :2].astype(np.float64) * DEPTH_CELLS
    grid = draw(corners, front, len(mesh.vertices), (cells, cells), mesh.vertices[:, 2])
    inside = cv2.distanceTransform(grid.covered.astype(np.uint8), cv2.DIST_L2, 5)
    # The outermost cells have a depth of one, and part of them is background.
    inside = (inside - 1.0) / DEPTH_CELLS / float(np.ptp(mesh.vertices[:, 0]))
    outline = _outline(mesh, grid, inside)
    head = outline_head(crop.rgb, outline)
    face = _face_mask(crop, outline)
    neck = np.clip(2.0 * outline.neck, 0.0, 1.0)
    skin = (1.0 - neck) * _softened(face) + neck * bare_neck(crop.rgb, outline, face)
    sides = find_sides(mesh)
    return _View(
        grid,
        inside,
        skin,
        _softened(head),
        find_hair(crop.rgb, outline, head),
        sides,
        usual_hairline(mesh, sides),
    )


def _outline(mesh: Mesh, grid: Grid, inside: Array) -> Outline:
    outside = cv2.distanceTransform((~grid.covered).astype(np.uint8), cv2.DIST_L2, 5)
    outside = _to_crop(outside) / DEPTH_CELLS / float(np.ptp(mesh.vertices[:, 0]))
    middles = np.arange(CROP_SIZE) * DEPTH_CELLS + DEPTH_CELLS // 2
    cells = (middles[:, None] * len(grid.covered) + middles).ravel()
    values = [_regions(mesh, "scalp"), _regions(mesh, "neck"), 1.0 - _regions(mesh, *COLOURFUL)]
    regions = grid.weights[cells] @ np.stack(values, axis=1)
    scalp, neck, plain = np.clip(regions, 0.0, 1.0).T.reshape(-1, CROP_SIZE, CROP_SIZE)
    return Outline(_to_crop(inside), outside, scalp, neck, plain)


def _trust(
    photo: Photo,
    crop: Crop,
    mesh: Mesh,
    view: _View,
    normals: Array,
    atlas: Grid,
    places: Array,
) -> tuple[Array, Array]:
    """How far, 0..1, the camera saw each texel well, and how far at least barely.

    Where it saw nothing well, everything is trusted.
    """
    x, y = places[..., 0], places[..., 1]
    cell = x * DEPTH_CELLS - 0.5, y * DEPTH_CELLS - 0.5
    inside = _looked_up(view.inside, *cell)
    scalp = np.clip(atlas.spread(_regions(mesh, "scalp")), 0.0, 1.0)
    face, head = (_looked_up(mask, x - 0.5, y - 0.5) for mask in (view.face, view.head))
    trimmed = np.clip((inside - TRIM) / FADE, 0.0, 1.0)
    trimmed *= (scalp * head + (1.0 - scalp) * face) * _inside_photo(photo, crop, places)

    facing = np.clip(atlas.spread(-normals[:, 2]), -1.0, 1.0)
    steep = np.sqrt(1.0 - facing**2) / np.maximum(facing, GRAZING)
    nearest = view.grid.spread(mesh.vertices[:, 2])
    farthest = cv2.dilate(np.where(view.grid.covered, nearest, 0.0), _square(LIMB))
    nearest[~view.grid.covered] = np.inf
    before = cv2.erode(nearest, _square(OCCLUDER))
    hidden = places[..., 2] - _looked_up(before, *cell, cv2.INTER_NEAREST)
    hides = _looked_up(farthest, *cell, cv2.INTER_NEAREST) - places[..., 2]
    visible = _feathered(
        (hidden <= BEHIND + 1.5 * OCCLUDER * steep) & (hides <= LIMB_GAP + 1.5 * LIMB * steep)
    )
    well = trimmed * visible * _step(facing, GRAZING, FACING)
    if view.hair is not None:
        bare = atlas.spread(view.usual) * (1.0 - _looked_up(view.hair.share, x - 0.5, y - 0.5))
        well *= 1.0 - np.clip(bare, 0.0, 1.0) * (1.0 - _step(facing, ASLANT, SQUARE))

    # Below the chin there is no crevice, but what lies far behind it.
    neck = atlas.spread(_regions(mesh, "neck"))
    hidden = places[..., 2] - _looked_up(nearest, *cell, cv2.INTER_NEAREST)
    visible = (
        (1.0 - np.clip(neck, 0.0, 1.0))
        * _feathered(hidden <= CREVICE)
        * _step(inside, CORE, 2 * CORE)
    )
    barely = trimmed * visible * _step(facing, CREVICE_GRAZING, CREVICE_FACING)
    if well.max() < 0.5:
        return np.ones_like(well), np.ones_like(well)
    return well.astype(np.float32), barely.astype(np.float32)


def _faces_camera(vertices: Array, faces: NDArray[np.int32]) -> NDArray[np.bool_]:
    a, b, c = vertices[faces, :2].transpose(1, 0, 2)
    u, v = b - a, c - a
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0.0)


def _square(reach: float) -> NDArray[np.uint8]:
    """Neighbourhood of a cell, this many voxels each way."""
    side = 2 * round(reach * DEPTH_CELLS) + 1
    return np.ones((side, side), np.uint8)


def _feathered(visible: NDArray[np.bool_]) -> Array:
    """Fade out before the border of what is visible."""
    reach = 2 * max(1, round(3 * len(visible) / GRID_SIDE)) + 1
    eroded = cv2.erode(visible.astype(np.float32), np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.blur(eroded, (reach, reach)), np.float32)


def _face_mask(crop: Crop, outline: Outline) -> NDArray[np.bool_]:
    """Which pixels of the crop have the face's colours rather than the background's.

    Near the silhouette and on the neck network and photo disagree, and collars are no skin.
    """
    label = np.full(outline.depth.shape, cv2.GC_PR_BGD, np.uint8)
    label[(outline.depth > CORE) & (outline.neck < 0.1)] = cv2.GC_FGD
    label[outline.outside > OUTSIDE] = cv2.GC_BGD
    return cut_out(crop.rgb, label, 5)


def _softened(mask: NDArray[np.bool_]) -> Array:
    return np.asarray(cv2.blur(mask.astype(np.float32), (3, 3)), np.float32)


def _to_crop(cells: Array) -> Array:
    """Average cells down to pixels of the crop."""
    small = (CROP_SIZE, CROP_SIZE)
    return np.asarray(cv2.resize(cells, small, interpolation=cv2.INTER_AREA), np.float32)


def _inside_photo(photo: Photo, crop: Crop, places: Array) -> Array:
    """One well inside the photo, falling to nought a few crop pixels before its border."""
    matrix = crop.crop_to_photo.astype(np.float32)
    x, y = cv2.split(places[..., :2] @ matrix[:, :2].T + matrix[:, 2])
    height, width = photo.rgb.shape[:2]
    border = np.minimum(np.minimum(x, width - x), np.minimum(y, height - y))
    return np.clip(border * np.float32(crop.scale) / 3.0, 0.0, 1.0)


def _step(value: Array, low: float, high: float) -> Array:
    share = np.clip((value - low) / (high - low), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _looked_up(
    picture: NDArray[Any], x: Array, y: Array, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[Any]:
    """Look a picture up at places in pixels, whose centres lie at whole numbers."""
    return np.asarray(
        cv2.remap(
            picture,
            np.asarray(x, np.float32),
            np.asarray(y, np.float32),
            interpolation,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _take(photo: Photo, crop: Crop, mesh: Mesh, places: Array, size: int) -> NDArray[np.uint8]:
    """Look each texel up in the photo, averaged first where texels are larger than its pixels."""
    to_photo = crop.crop_to_photo
    points = mesh.vertices[:, :2] @ to_photo[:, :2].T + to_photo[:, 2]
    photo_size = np.array(photo.rgb.shape[1::-1])
    low = np.clip(np.floor(points.min(axis=0)) - 4, 0, photo_size - 1).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 4, low + 1, photo_size).astype(int)
    part = photo.rgb[low[1] : high[1], low[0] : high[0]]
    shrink = max(1.0, _photo_pixels(crop, mesh) / size)
    reduced = np.maximum(np.round((high - low) / shrink), 1).astype(int)
    if shrink > 1.0:
        part = cv2.resize(part, tuple(reduced.tolist()), interpolation=cv2.INTER_AREA)
    scale = reduced / (high - low)
    matrix = (to_photo * scale[:, None]).astype(np.float32)
    matrix[:, 2] -= low * scale + 0.5
    x, y = np.moveaxis(places[..., :2] @ matrix[:, :2].T + matrix[:, 2], -1, 0)
    return np.asarray(
        _looked_up(
            np.ascontiguousarray(part), _enlarged(x, size), _enlarged(y, size), cv2.INTER_CUBIC
        ),
        np.uint8,
    )


def _reduced(picture: NDArray[Any], side: int) -> Array:
    """Average a square picture down to at most so many pixels a side."""
    if len(picture) > side:
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.float32)


def _enlarged(picture: NDArray[Any], size: int) -> NDArray[Any]:
    if len(picture) == size:
        return picture
    return np.asarray(
        cv2.resize(np.ascontiguousarray(picture), (size, size), interpolation=cv2.INTER_LINEAR)
    )


def _multiplied(picture: NDArray[np.uint8], factors: Array) -> NDArray[np.uint8]:
    """Multiply a picture by factors that are given on a grid."""
    return np.asarray(cv2.multiply(picture, _enlarged(factors, len(picture)), dtype=cv2.CV_8U))


def _laid_over(
    upper: NDArray[np.uint8], lower: NDArray[np.uint8], weight: Array
) -> NDArray[np.uint8]:
    """Lay one picture over another; the weight is given on a grid."""
    fine = np.clip(_enlarged(weight, len(upper)), 0.0, 1.0).astype(np.float32)
    return np.asarray(cv2.blendLinear(upper, lower, fine, 1.0 - fine), np.uint8)


def _likeness(picture: Array, direct: Array) -> Array:
    """Factors that make the mirrored picture's colours meet the picture's own.

    Where both sides were seen their low frequencies are compared, and from there the ratio is
    carried on into what only the other side saw: light differs from left to right.
    """
    both = direct * mirrored(direct)
    blur = len(picture) / 32.0
    weight = cv2.GaussianBlur(both, (0, 0), blur)
    ours = cv2.GaussianBlur(picture * both[..., None], (0, 0), blur)
    floor = np.float32(1e-4)
    mean = ours / np.maximum(weight, floor)[..., None]
    ratio = np.log((mean + 16.0) / (mirrored(mean) + 16.0))
    ratio = cv2.GaussianBlur(push_pull(ratio, both), (0, 0), blur / 4.0)
    bright = ratio.mean(axis=-1, keepdims=True)
    tint = np.clip(ratio - bright, -TINT_DIFFERENCE, TINT_DIFFERENCE)
    return np.exp(np.clip(bright, -LIGHT_DIFFERENCE, LIGHT_DIFFERENCE) + tint)


def _unlit(picture: Array, direct: Array, skin: Array, ratio: Array) -> Array:
    """Take out of the mirrored picture's factors the light that has tinted one side's skin.

    Skin that is redder here than there mostly is so on both sides. What is less red than the skin
    nearby on the own side is lit otherwise, by a window or a lamp that the other side did not see.
    """
    weight = direct * skin
    blur = len(picture) / 64.0
    near = np.maximum(cv2.GaussianBlur(weight, (0, 0), blur), np.float32(1e-4))
    mean = cv2.GaussianBlur(picture * weight[..., None], (0, 0), blur) / near[..., None]
    colour = np.log(mean + 16.0)
    share = (weight / (weight + np.float32(USUAL_SKIN)))[..., None]
    usual = _median(colour.reshape(-1, 3), weight.ravel())
    usual = share * colour + (1.0 - share) * usual
    expected = push_pull(usual, np.minimum(weight + np.float32(USUAL_SKIN), np.float32(1.0)))
    excess = mirrored(colour) + np.log(ratio) - cv2.GaussianBlur(expected, (0, 0), blur)
    bright = excess.mean(axis=-1, keepdims=True)
    tint = excess - bright
    pale = np.clip((tint[..., 1] - tint[..., 0]) / np.float32(PALE), 0.0, 1.0)
    light = pale * (1.0 - _step(np.linalg.norm(tint, axis=-1), *PAINT))
    light *= np.clip(bright[..., 0] / np.float32(PALE), 0.0, 1.0)
    light = cv2.GaussianBlur(light * skin * mirrored(direct), (0, 0), blur / 2.0)[..., None]
    taken = np.clip(excess, -LIGHT_DIFFERENCE, LIGHT_DIFFERENCE)
    return np.asarray(ratio * np.exp(-light * taken), np.float32)


def _shading(picture: NDArray[np.uint8], direct: Array, mesh: Mesh, normals: Array) -> Array:
    uv = _vertex_uv(mesh)
    side = len(direct)
    colours = _at(_reduced(picture, side), uv)
    skin = _step(_at(direct, uv), 0.5, 1.0) * _regions(mesh, "nose", "chin", "jaw", "cheeks")
    return skin_shading(normals, colours, skin)


def _vertex_uv(mesh: Mesh) -> Array:
    """Place in the atlas of each vertex; of several the last."""
    uv = np.zeros((len(mesh.vertices), 2), np.float32)
    uv[mesh.faces.ravel()] = mesh.uv.reshape(-1, 2)
    return uv


def _at(picture: NDArray[Any], uv: Array) -> Array:
    """Bilinear values of a picture at places in the atlas; OpenCV takes no lists this long."""
    height, width = picture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0.0, width - 1.0)
    y = np.clip((1.0 - uv[:, 1]) * height - 0.5, 0.0, height - 1.0)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    extra = (len(uv),) + (1,) * (picture.ndim - 2)
    x, y = (x - left).reshape(extra), (y - top).reshape(extra)
    upper = picture[top, left] * (1 - x) + picture[top, right] * x
    lower = picture[bottom, left] * (1 - x) + picture[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y, np.float32)


def _fill(
    colours: Array,
    direct: Array,
    other: Array,
    mesh: Mesh,
    faces: NDArray[np.int32],
    view: _View,
    atlas: Grid,
    places: Array,
) -> NDArray[np.uint8]:
    """Colours for what nobody saw, on the grid: hair on the scalp where there is any, else skin."""
    uv = _vertex_uv(mesh)
    known = direct + other
    seen, colour = np.clip(_at(known, uv), 0.0, 1.0) ** 2, _at(colours, uv)
    scalp = _regions(mesh, "scalp")
    covered = np.zeros_like(scalp)
    if view.hair is not None:
        here = _looked_up(view.hair.share, places[..., 0] - 0.5, places[..., 1] - 0.5)
        here = (here * direct + mirrored(here) * other) / np.maximum(known, np.float32(1e-6))
        covered = np.clip(_at(here, uv), 0.0, 1.0)
    other_regions = _regions(mesh, "scalp", "neck", "eyes", "brows", "lips")
    skin = _median(colour, seen * (1.0 - other_regions) * (1.0 - covered))
    if view.hair is None:
        bald = _median(colour, seen * scalp)
        skin = scalp[:, None] * bald + (1.0 - scalp[:, None]) * skin
    pull = (scalp * HAIR_PULL + (1.0 - scalp) * SKIN_PULL).astype(np.float32)
    surface = SurfaceFill(mesh.vertices, faces)
    guess = np.broadcast_to(skin, colour.shape)
    filled = atlas.spread(surface.spread(colour, seen * (1.0 - covered) ** 2, guess, pull))
    if view.hair is not None:
        on_scalp = covered * np.minimum(2.0 * scalp, 1.0)
        # Long edges are pulled more: the way to what is usual is as long on coarse meshes.
        edges = mesh.vertices[faces[:, 0]] - mesh.vertices[faces[:, 1]]
        longer = max(1.0, float(np.square(edges).sum(axis=1).mean()) / PULLED_EDGE**2)
        line_pull = np.full_like(pull, LINE_PULL * longer)
        share = surface.spread(on_scalp[:, None], seen, view.usual[:, None], line_pull)
        guess = np.broadcast_to(view.hair.colour, colour.shape)
        strong = np.full_like(pull, HAIR_PULL * longer)
        hair = surface.spread(colour, seen * on_scalp**2, guess, strong)
        strands, stubble = draw_strands(places, view.sides)
        start = atlas.spread(share[:, 0]) + FRAYED * strands + STUBBLY * stubble
        start = _step(start, 0.5 - HAIR_EDGE, 0.5 + HAIR_EDGE)[..., None]
        lively = 1.0 + view.hair.contrast * strands[..., None]
        filled += start * (atlas.spread(hair) * lively - filled)
    return np.clip(filled.round(), 0, 255).astype(np.uint8)


def _median(colours: Array, weight: Array) -> Array:
    """Median colour of what has weight, or of everything where nothing has."""
    chosen = colours[weight > 0.5]
    return np.asarray(np.median(chosen if len(chosen) else colours, axis=0), np.float32)


def _made_symmetric(image: NDArray[np.uint8], direct: Array) -> NDArray[np.uint8]:
    half = direct.shape[1] // 2
    better = mirrored(image) if direct[:, half:].sum() > direct[:, :half].sum() else image
    both = _doubled(better)
    blur = MATCH_SIDE / 32.0
    light = cv2.GaussianBlur(_reduced(image, MATCH_SIDE), (0, 0), blur)
    now = cv2.GaussianBlur(_reduced(both, MATCH_SIDE), (0, 0), blur)
    weight = cv2.GaussianBlur(_reduced(direct, MATCH_SIDE) + np.float32(0.01), (0, 0), blur)
    share = (weight / (weight + mirrored(weight)))[..., None]
    mean = share * light + (1.0 - share) * mirrored(light)
    return _doubled(_multiplied(both, (mean + 8.0) / (now + 8.0)))


def _doubled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Left half of an atlas and its mirror image."""
    left = np.arange(image.shape[1]) < image.shape[1] / 2
    return np.where(left[None, :, None], image, mirrored(image))
