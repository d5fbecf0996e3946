# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Hair that a photo shows, and hair to draw where it shows none.

The meshes are of bald heads, and hair stands off them: it lies inside and outside of the
silhouette, and the scalp of a mesh begins on the forehead. So the photo is asked: what belongs to
the head, what of that looks unlike its skin, and is that enough to be hair?
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .mesh import REGIONS, Mesh

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Shares of the head's width. So far inside the silhouette there is nothing but head, on the scalp
# sooner, because hair stands off it; and so far outside of it there is no more hair.
CORE = 0.15
SCALP_CORE = 0.05
FAR = 0.25

STANDS_OFF = 0.08
"""Share of the head's width round the scalp that may be hair as well as background."""

ROUNDS = 2
"""Of GrabCut; a third moves no border that can be seen."""

MISFIT = 0.08
"""Share of the head's width up to which the silhouette may reach into the background."""

ALIKE = 12.0
"""CIELAB units by which what lies there must differ from the background to be hair."""

PLAIN_DEPTH = 0.08
LEAST_SKIN = 40
"""Pixels of plain skin without which nobody can say what looks unlike it."""
LEAST_INNER = 30
"""Pixels of hair away from its edges that tell its colour better than all of it."""

# How unlike skin a pixel is counts in these units: standard deviations of skin's hue and natural
# logarithms of brightness, beyond what differs among the skin anyway.
HUE_UNIT, DARK_UNIT = 3.0, 0.5
HUE_FLOOR = 0.04

SURELY_SKIN, SURELY_HAIR = 0.4, 0.8
"""Bounds of that measure between which the photo itself tells where hair begins."""

RIM = 0.1
LEAST_HAIR = 0.35
"""Share of the scalp's rim, so far into the head's width and all that stands off, that must look
unlike skin, over and above the share of the face that does: the rest is highlights and shadows."""
LEAST_DEEP = 0.6
"""The same of what lies next to that, where the photo shows hair that the background hides."""

# On the neck, what is less unlike skin than the first is bare, and what is more than the second is
# worn. It mostly lies in the shadow of the chin, so that much darker than the face is still bare.
BARE, WORN = 0.8, 1.1
NECK_SHADE = 0.35

# Shares of a neck that must be bare: below the first what the photo shows of it is but slivers
# above a collar, above the second it is believed.
SLIVERS, OPEN = 0.7, 0.9

NECK_FADE = 2.0
"""Standard deviation in pixels of the way from bare skin to what is worn."""

LARGEST_CONTRAST = 0.1
"""Of what is drawn in place of unseen hair: less is better than noise."""

AHEAD = (-1.2, -0.6, -0.3, 0.0, 0.6, 1.2, 1.45, 2.3)
ABOVE = (-0.9, -0.6, 0.35, 0.55, 0.45, 0.55, 1.3, 1.95)
"""Where hair usually begins: so far ahead of the ears' middle and above it, in ears' heights."""
HAIRLINE_EDGE = 0.2

# A picture of strands: columns round the whorl, rows away from it. Widths and lengths in pixels,
# and weights.
ROUND, AWAY = 1024, 256
STRANDS = ((1.0, 4.5, 1.0), (4.0, 11.0, 0.7))
STUBBLE = ((0.9, 1.3, 1.0), (2.5, 2.5, 0.8))
SWIRL = 0.5
"""Radians by which strands turn about the whorl for each that they lead away from it."""
WHORL_BEHIND = 0.6
"""Tangent of the angle between the crown and the whorl behind it."""
WHORL = 0.35
"""Sine of the angle to the whorl below which strands would become finer than texels."""


@dataclass(frozen=True)
class Outline:
    """Where a head lies in its crop; all pictures have the crop's size.

    Attributes
    ----------
    depth, outside : (H, W) float32
        How far each pixel lies inside and outside the silhouette, as a share of the head's width.
    scalp, neck, plain : (H, W) float32
        How far, 0..1, the surface there is of these; ``plain`` is what nearly always is bare skin.
        Outside of the silhouette, what its nearest pixel has.
    """

    depth: Array
    outside: Array
    scalp: Array
    neck: Array
    plain: Array


@dataclass(frozen=True)
class Hair:
    """The hair that a photo shows.

    Attributes
    ----------
    share : (H, W) float32
        How far, 0..1, each pixel of the crop shows hair, on the scalp or hanging from it.
    colour : (3,) float32
        sRGB, 0..255.
    contrast : float
        Of its strands: standard deviation of the brightness as a share of it.
    """

    share: Array
    colour: Array
    contrast: float


def outline_head(rgb: NDArray[np.uint8], outline: Outline) -> Mask:
    """Which pixels of a crop show the head with its hair.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    outline : Outline

    Returns
    -------
    (H, W) bool
        Without a border of mixed colours.

    References
    ----------
    .. [1] C. Rother, V. Kolmogorov and A. Blake, "GrabCut: interactive foreground extraction using
       iterated graph cuts", SIGGRAPH 2004.
    """
    body = outline.neck < 0.1
    core = (outline.depth > CORE) | ((outline.scalp > 0.5) & (outline.depth > SCALP_CORE))
    label = np.full(outline.depth.shape, cv2.GC_PR_BGD, np.uint8)
    label[(outline.depth > 0.0) & body] = cv2.GC_PR_FGD
    label[(outline.scalp > 0.5) & (outline.outside < STANDS_OFF)] = cv2.GC_PR_FGD
    label[core & body] = cv2.GC_FGD
    label[outline.outside > FAR] = cv2.GC_BGD
    return cut_out(rgb, label, 3)


def cut_out(rgb: NDArray[np.uint8], label: NDArray[np.uint8], shrink: int) -> Mask:
    """Foreground by GrabCut that hangs together with what is surely foreground.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
    label : (H, W) uint8
        OpenCV's GC constants.
    shrink : int
        Side in pixels of the square that the result is eroded by.

    Returns
    -------
    (H, W) bool
        True everywhere where nothing is surely foreground, or nothing surely background.
    """
    sure = label == cv2.GC_FGD
    if not (sure.any() and (label == cv2.GC_BGD).any()):
        return np.ones(label.shape, np.bool_)
    cv2.setRNGSeed(0)
    models = np.zeros((2, 1, 65))
    part = _surroundings(label != cv2.GC_BGD)
    found = label[part].copy()
    cv2.grabCut(rgb[part], found, None, models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    cut = np.zeros_like(label)
    cut[part] = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    cut = cv2.erode(cut, np.ones((shrink, shrink), np.uint8))
    _, part = cv2.connectedComponents(cut)
    return np.isin(part, np.unique(part[sure & (cut > 0)]))


def find_hair(rgb: NDArray[np.uint8], outline: Outline, head: Mask) -> Hair | None:
    """Find the hair that a photo shows.

    Hair is what belongs to the head's scalp and has another hue than the skin, as white and grey
    hair has, or is darker. What the silhouette may wrongly contain must also look unlike the
    background.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The crop.
    outline : Outline
    head : (H, W) bool
        Pixels that show the head, as `outline_head` gives them.

    Returns
    -------
    Hair or None
        None of a bald head.
    """
    skin = (outline.plain > 0.7) & (outline.depth > PLAIN_DEPTH) & head
    zone = head & (outline.scalp > 0.5)
    if np.count_nonzero(skin) < LEAST_SKIN or not zone.any():
        return None
    unlike = _unlike_skin(rgb, skin)
    levels = np.clip(100.0 * unlike[zone | skin], 0.0, 255.0).astype(np.uint8)
    level, _ = cv2.threshold(levels.reshape(-1, 1), 0, 255, cv2.THRESH_OTSU)
    least = float(np.clip(level / 100.0, SURELY_SKIN, SURELY_HAIR))
    looks = head & (unlike > least)
    shows = looks & ~_like_background(rgb, outline, head)
    rim = zone & (outline.depth < RIM)
    if _share(shows, rim) - _share(shows, skin) < LEAST_HAIR:
        # Hair of the background's colour is known by what lies too deep to be background.
        deep = zone & (outline.depth > MISFIT) & (outline.depth < 2 * MISFIT)
        if _share(looks, deep) - _share(looks, skin) < LEAST_DEEP:
            return None
        shows = looks
    hair = shows & zone
    share = cv2.GaussianBlur(shows.astype(np.float32), (0, 0), 1.0)
    inner = cv2.erode(hair.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    # At its edges it is mixed with skin and background.
    hair = inner if np.count_nonzero(inner) >= LEAST_INNER else hair
    colour = np.median(rgb[hair], axis=0).astype(np.float32)
    return Hair(np.asarray(share, np.float32), colour, _contrast(rgb, hair))


def bare_neck(rgb: NDArray[np.uint8], outline: Outline, face: Mask) -> Array:
    """How far, 0..1, what a photo shows of a neck is bare skin.

    Collars, ties and what else is worn there look unlike the face's skin; beards do too, and where
    they reach down the neck they end softly.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The crop.
    outline : Outline
    face : (H, W) bool
        Pixels that have the face's colours rather than the background's, above the neck.

    Returns
    -------
    (H, W) float32
        One everywhere if no skin is seen to compare with.
    """
    skin = (outline.plain > 0.7) & (outline.depth > PLAIN_DEPTH) & face
    if np.count_nonzero(skin) < LEAST_SKIN:
        return np.ones(outline.depth.shape, np.float32)
    unlike = np.hypot(_unlike_skin(rgb, skin, NECK_SHADE), _glare(rgb, skin))
    bare = np.clip((WORN - unlike) / (WORN - BARE), 0.0, 1.0)
    neck = np.clip(2.0 * outline.neck, 0.0, 1.0)
    shown = np.where(outline.depth > 0.0, neck, 0.0)
    share = float((shown * bare).sum()) / max(1.0, float(shown.sum()))
    believed = np.clip((share - SLIVERS) / (OPEN - SLIVERS), 0.0, 1.0)
    # The edges of what is worn are mixed with it, and it throws a shadow.
    bare = cv2.erode(1.0 - neck * (1.0 - believed * bare), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.GaussianBlur(bare.astype(np.float32), (0, 0), NECK_FADE), np.float32)


@dataclass(frozen=True)
class Sides:
    """How a head is turned, and how large its ears are.

    Attributes
    ----------
    middle : (3,) float32
        Of the scalp.
    up, ahead : (3,) float32
        Directions at right angles, of unit length.
    ear : (3,) float32 or None
        Middle of the ears, in the plane between them; None of a head without.
    ear_height : float
        Voxels.
    """

    middle: Array
    up: Array
    ahead: Array
    ear: Array | None
    ear_height: float


def find_sides(mesh: Mesh) -> Sides:
    """Tell from its regions how a head is turned.

    Parameters
    ----------
    mesh : Mesh

    Returns
    -------
    Sides
        What the regions do not tell is taken to be as in a photo from the front.
    """
    scalp, neck, face, ear = (
        _middle_of(mesh, *names)
        for names in (("scalp",), ("neck",), ("nose", "lips", "eyes"), ("ears",))
    )
    up = np.array([0.0, -1.0, 0.0]) if scalp is None or neck is None else scalp - neck
    ahead = np.array([0.0, 0.0, -1.0]) if scalp is None or face is None else face - scalp
    up = up / np.linalg.norm(up)
    ahead = ahead - (ahead @ up) * up
    ahead = ahead / np.linalg.norm(ahead)
    height = 0.0
    if ear is not None:
        ears = mesh.vertices[mesh.regions[:, REGIONS.index("ears")] > 0.5] @ up
        height = float(np.ptp(ears)) if len(ears) else 0.0
    return Sides(
        np.asarray(mesh.vertices.mean(axis=0) if scalp is None else scalp, np.float32),
        up.astype(np.float32),
        ahead.astype(np.float32),
        None if ear is None or height <= 0.0 else ear.astype(np.float32),
        height,
    )


def usual_hairline(mesh: Mesh, sides: Sides) -> Array:
    """How far each vertex lies where hair usually grows, (V,), 0..1.

    The region of the scalp begins on the forehead and reaches below the ears; hair grows above a
    line from the nape over the ears to the temples.

    Parameters
    ----------
    mesh : Mesh
    sides : Sides

    Returns
    -------
    (V,) float32
    """
    scalp = np.clip(2.0 * mesh.regions[:, REGIONS.index("scalp")] - 0.5, 0.0, 1.0)
    if sides.ear is None:
        return np.asarray(scalp, np.float32)
    away = (mesh.vertices - sides.ear) / np.float32(sides.ear_height)
    line = np.interp(away @ sides.ahead, AHEAD, ABOVE)
    above = (away @ sides.up - line) / HAIRLINE_EDGE
    return np.asarray(scalp * np.clip(0.5 + 0.5 * above, 0.0, 1.0), np.float32)


def draw_strands(places: Array, sides: Sides) -> tuple[Array, Array]:
    """Noise of unit contrast like combed hair, that leads away from a whorl and has no seam.

    Parameters
    ----------
    places : (H, W, 3) float32
        Of the surface.
    sides : Sides

    Returns
    -------
    strands, stubble : (H, W) float32
        Long hair, and the short one where it ends.
    """
    lean = 1.0 / np.hypot(1.0, WHORL_BEHIND)
    whorl = lean * (sides.up - WHORL_BEHIND * sides.ahead)
    front = lean * (WHORL_BEHIND * sides.up + sides.ahead)
    ways = np.stack([whorl, front, np.cross(whorl, front)], axis=1).astype(np.float32)
    along, ahead, aside = cv2.split((places - sides.middle) @ ways)
    flat, turn = cv2.cartToPolar(ahead, aside)
    far, angle = cv2.cartToPolar(along, flat)
    turn = (turn + SWIRL * angle) * np.float32(0.5 / np.pi)
    turn = (turn - np.floor(turn)) * np.float32(ROUND)
    away = angle * np.float32(AWAY / np.pi)
    noise = cv2.remap(_combed(), turn, away, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sine = flat / np.maximum(far, np.float32(1e-6))
    strands, stubble = cv2.split(noise * np.minimum(sine / WHORL, 1.0)[..., None])
    return np.asarray(strands, np.float32), np.asarray(stubble, np.float32)


def _middle_of(mesh: Mesh, *names: str) -> NDArray[np.float64] | None:
    weight = mesh.regions[:, [REGIONS.index(name) for name in names]].sum(axis=1)
    if weight.sum() <= 0.0:
        return None
    return np.asarray(np.average(mesh.vertices, axis=0, weights=weight), np.float64)


def _share(some: Mask, of: Mask) -> float:
    return float(some[of].mean()) if of.any() else 0.0


def _surroundings(chosen: Mask) -> tuple[slice, slice]:
    """Rows and columns of some pixels, and an eighth of the picture round them."""
    parts = []
    for axis in (1, 0):
        found = np.flatnonzero(chosen.any(axis=axis))
        margin = len(chosen) // 8
        parts.append(slice(max(0, int(found[0]) - margin), int(found[-1]) + margin + 1))
    return parts[0], parts[1]


def _unlike_skin(rgb: NDArray[np.uint8], skin: Mask, shade: float = 0.0) -> Array:
    """How unlike some skin each pixel is; a shadow may darken it by that natural logarithm."""
    smooth = np.log(cv2.GaussianBlur(rgb, (0, 0), 1.0).astype(np.float32) + 8.0)
    bright = smooth[..., 1]
    hue = smooth[..., [0, 2]] - bright[..., None]
    usual = np.median(hue[skin], axis=0)
    spread = 1.5 * np.median(np.abs(hue[skin] - usual), axis=0)
    # Glasses, moles and stray hair are no skin.
    plain = hue[skin][np.all(np.abs(hue[skin] - usual) < 3.0 * spread + HUE_FLOOR, axis=1)]
    away = hue - plain.mean(axis=0)
    inverse = np.linalg.inv(np.cov(plain.T) + HUE_FLOOR**2 * np.eye(2))
    far = np.sqrt(np.einsum("...i,ij,...j->...", away, inverse, away))
    middle = np.median(bright[skin])
    darkest = middle - 1.5 * np.median(np.abs(bright[skin] - middle))
    dark = np.maximum(darkest - bright - shade, 0.0)
    unlike = np.hypot(far / HUE_UNIT, dark / DARK_UNIT).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(unlike, (0, 0), 0.8), np.float32)


def _glare(rgb: NDArray[np.uint8], skin: Mask) -> Array:
    """How much brighter than some skin each pixel is, in the units of what is unlike it."""
    bright = np.log(cv2.GaussianBlur(rgb[..., 1], (0, 0), 1.0).astype(np.float32) + 8.0)
    return np.maximum(bright - np.quantile(bright[skin], 0.9), 0.0) / np.float32(DARK_UNIT)


def _like_background(rgb: NDArray[np.uint8], outline: Outline, head: Mask) -> Mask:
    """Which pixels lie where the silhouette may be wrong, and look like the background nearby."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    behind = (~head & (outline.outside > 0.5 * SCALP_CORE)).astype(np.float32)
    reach = 0.1 * rgb.shape[0]
    weight = cv2.GaussianBlur(behind, (0, 0), reach)
    nearby = cv2.GaussianBlur(lab * behind[..., None], (0, 0), reach)
    nearby /= np.maximum(weight, np.float32(1e-3))[..., None]
    alike = np.linalg.norm(lab - nearby, axis=-1) < ALIKE
    return np.asarray(alike & (outline.depth < MISFIT) & (weight > 1e-3))


def _contrast(rgb: NDArray[np.uint8], hair: Mask) -> float:
    bright = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(bright - cv2.GaussianBlur(bright, (0, 0), 2.0))
    contrast = 1.5 * float(np.median(detail[hair]) / (np.median(bright[hair]) + 8.0))
    return min(contrast, LARGEST_CONTRAST)


def _combed() -> Array:
    """Noise (AWAY, ROUND + 1, 2) of strands and stubble, whose last column is its first again."""
    rng = np.random.default_rng(0)
    kinds = []
    for kind in (STRANDS, STUBBLE):
        total = np.zeros((AWAY, ROUND), np.float32)
        for width, length, weight in kind:
            margin = int(4 * width)
            noise = np.pad(
                rng.standard_normal((AWAY, ROUND), np.float32), ((0, 0), (margin, margin)), "wrap"
            )
            noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=width, sigmaY=length)
            total += weight * (noise / noise.std())[:, margin:-margin]
        kinds.append(total / total.std())
    combed = np.stack(kinds, axis=-1)
    return np.concatenate([combed, combed[:, :1]], axis=1)
