# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Make the mean head's quads, their atlas and their regions, and write ``topology.npz``.

    python -m models.training.topology

The decoder's mean head is mapped to a sphere, and so is a lattice on a cube with rings of quads
round eyes, mouth and ears (`lattice`). There the lattice is relaxed: what has a name stays on its
landmarks, the rest spreads evenly over the head. Blender unwraps the quads by minimum stretch,
needs bpy 4.3 or later for it, and a few minutes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.sparse import coo_array, csc_array, diags_array
from scipy.sparse.linalg import cg, splu, spsolve
from scipy.spatial import cKDTree

from vrn_blender.reconstruction import topology
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.mesh import REGIONS
from vrn_blender.reconstruction.neck import HEIGHT, SLOPE
from vrn_blender.reconstruction.surface import extract_surface
from vrn_blender.reconstruction.wrap import fill, with_even_border

from .correspond import to_head_frame
from .decoder import TEMPLATE_BOX, Box, Decoder
from .lattice import (
    BACK,
    BLOCKS,
    FAR,
    HALF,
    LEFT,
    THROAT,
    TOP,
    Key,
    Lattice,
    border_of_face,
    build,
    edges,
    subdivide,
)
from .pictures import write_whole

# A grid finer than the template's, so that marching cubes leaves no steps.
BOX = Box((-11.2, -14.8, -11.6), (11.2, 16.0, 14.4), 0.16)

FLIP = np.array([-1.0, 1.0, 1.0])

# Multi-PIE's landmarks on the other side of the face.
OPPOSITE = np.concatenate(
    [
        np.arange(17)[::-1],
        np.arange(17, 27)[::-1],
        [27, 28, 29, 30, 35, 34, 33, 32, 31],
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],
        [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65],
    ]
)

# Metres of the mean head that have no landmark. The left nostril's middle and size; places of the
# nose by (column from the middle, row); the line along which the left ear grows out of the skull,
# from its lower front corner, by side of the lattice's block.
NOSTRIL, NOSTRIL_RADIUS = np.array([0.0095, -0.112, -0.004]), 0.011
NOSE = {
    (3, 14): (0.019, -0.105, -0.010),
    (0, 15): (0.000, -0.124, -0.007),
    (1, 15): (0.005, -0.118, -0.007),
    (2, 15): (0.016, -0.112, -0.0065),
    (3, 15): (0.020, -0.104, -0.005),
    (1, 16): (0.0065, -0.127, 0.003),
    (2, 16): (0.015, -0.117, 0.001),
    (3, 16): (0.0205, -0.103, 0.000),
    (1, 17): (0.0055, -0.122, 0.012),
    (2, 17): (0.013, -0.112, 0.009),
    (3, 17): (0.020, -0.101, 0.008),
}
EAR = (
    ((0.069, -0.017, -0.021), (0.066, -0.008, -0.026), (0.064, 0.004, -0.021)),
    (
        (0.064, 0.004, -0.021),
        (0.0655, 0.008, -0.008),
        (0.0705, 0.0145, 0.010),
        (0.075, 0.010, 0.030),
        (0.074, 0.007, 0.042),
    ),
    ((0.074, 0.007, 0.042), (0.076, -0.003, 0.046), (0.076, -0.012, 0.041)),
    (
        (0.076, -0.012, 0.041),
        (0.077, -0.016, 0.030),
        (0.0725, -0.021, 0.010),
        (0.0705, -0.019, -0.008),
        (0.069, -0.017, -0.021),
    ),
)

# The loop in which the face alone ends, from the hairline over temple and jaw to the throat.
BORDER = (
    (0.000, -0.089, 0.090),
    (0.025, -0.085, 0.089),
    (0.047, -0.069, 0.084),
    (0.062, -0.050, 0.071),
    (0.071, -0.036, 0.052),
    (0.075, -0.028, 0.030),
    (0.073, -0.026, 0.005),
    (0.068, -0.026, -0.020),
    (0.062, -0.036, -0.042),
    (0.052, -0.052, -0.060),
    (0.036, -0.069, -0.073),
    (0.018, -0.081, -0.080),
    (0.000, -0.085, -0.082),
)

# Below this line (y, z) is the neck: before and behind the ear, and across the nape.
HAIRLINE = ((-0.020, 0.035), (-0.005, 0.030), (0.008, 0.000), (0.016, -0.022), (0.090, -0.038))

# Where the neck's rim is looked for, metres above its plane: marching cubes rounds it a little.
RIM = 0.001

# Least sine of a quad's corner on the sphere.
SHARPEST = 0.25

# From here the atlas is seen, metres before the face: what is nearer becomes larger.
EYE = np.array([0.0, -0.7, -0.02])
# How much the stretch of what is no face counts against that of the face.
NO_FACE = 0.7
ITERATIONS = 200
MARGIN, CAP = 0.008, 0.11
"""Shares of the atlas: its free border, and the size of the neck's underside."""


def mean_head(decoder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Give the decoder's mean head, mirrored onto itself.

    Returns
    -------
    vertices : (V, 3) float64
        Head frame, metres.
    triangles : (T, 3) int32
    """
    state = torch.load(decoder, map_location="cpu")
    rank, coefficients = state["decoder"]["straight.weight"].shape
    shapes = Decoder(coefficients, rank)
    shapes.load_state_dict(state["decoder"])
    nodes = torch.from_numpy(BOX.nodes())[None]
    with torch.no_grad():
        moved = nodes + shapes.displacement(shapes.fields(torch.zeros(1, coefficients)), nodes)
        distance = TEMPLATE_BOX.sample(state["template"][None, None].float(), moved)[0, 0].numpy()
    distance = (distance + distance[:, :, ::-1]) / 2
    above = 100 * _above_cut(to_head_frame(BOX.nodes().reshape(-1, 3))) / np.hypot(1.0, SLOPE)
    distance = np.minimum(distance, above.reshape(distance.shape))
    volume = np.clip(127.5 + 60.0 * distance / BOX.spacing, 0, 255).astype(np.uint8)
    surface = extract_surface(volume, smoothing=12)
    places = (surface.vertices - 0.5) * BOX.spacing + np.array(BOX.low)
    return to_head_frame(places).astype(np.float64), surface.faces


def unit(places: np.ndarray) -> np.ndarray:
    """Scale vectors (N, 3) to length one."""
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def _cotangents(vertices: np.ndarray, triangles: np.ndarray) -> csc_array:
    """Laplacian (V, V), positive semidefinite."""
    rows, columns, values = [], [], []
    for k in range(3):
        a, b, c = triangles[:, k], triangles[:, (k + 1) % 3], triangles[:, (k + 2) % 3]
        one, two = vertices[b] - vertices[a], vertices[c] - vertices[a]
        area = np.linalg.norm(np.cross(one, two), axis=1)
        weight = np.clip(np.einsum("ij,ij->i", one, two) / np.maximum(area, 1e-14) / 2, -5, 5)
        rows += [b, c]
        columns += [c, b]
        values += [weight, weight]
    where = (np.concatenate(rows), np.concatenate(columns))
    links = csc_array((np.concatenate(values), where), shape=(len(vertices),) * 2)
    return csc_array(diags_array(links.sum(axis=1)) - links)


def _masses(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 6
    return np.bincount(triangles.ravel(), np.repeat(area, 3), len(vertices))


def to_sphere(vertices: np.ndarray, triangles: np.ndarray, steps: int = 10) -> np.ndarray:
    """Places (V, 3) on the unit sphere, without folds, angles about kept.

    References
    ----------
    Kazhdan, Solomon and Ben-Chen, "Can mean-curvature flow be modified to be non-singular?",
    SGP 2012.
    """
    laplacian = _cotangents(vertices, triangles)
    places = vertices - vertices.mean(axis=0)
    places /= np.sqrt(_masses(places, triangles).sum())
    for step in range(steps):
        mass = _masses(places, triangles)
        system = diags_array(mass) + min(4e-3 * 1.5**step, 0.5) * laplacian
        solver = splu(
            csc_array(system),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        places = solver.solve(mass[:, None] * places)
        mass = _masses(places, triangles)
        places -= mass @ places / mass.sum()
        places /= np.sqrt(mass.sum())
    return unit(places)


def smoothed(vertices: np.ndarray, triangles: np.ndarray, reach: float) -> np.ndarray:
    """Vertices (V, 3) without what is smaller than about ``reach`` metres."""
    mass = _masses(vertices, triangles)
    system = (diags_array(mass) + reach**2 * _cotangents(vertices, triangles)).tocsr()
    jacobi = diags_array(1.0 / system.diagonal())
    columns = [
        cg(system, mass * column, x0=column, M=jacobi, rtol=1e-6, maxiter=400)[0]
        for column in vertices.T
    ]
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Ball:
    """A head and its image on the sphere.

    Attributes
    ----------
    vertices, sphere : (V, 3) float64
    triangles : (T, 3) int
    """

    vertices: np.ndarray
    sphere: np.ndarray
    triangles: np.ndarray

    def pull(self, directions: np.ndarray) -> np.ndarray:
        """Places (N, 3) on the head of places on the sphere."""
        triangles = self._candidates(self.sphere, directions, 4)
        corners = self.sphere[self.triangles[triangles]].transpose(0, 1, 3, 2)
        weights = np.linalg.solve(corners, directions[:, None, :, None])[..., 0]
        weights /= weights.sum(axis=2, keepdims=True)
        rows = np.arange(len(directions))
        best = weights.min(axis=2).argmax(axis=1)
        chosen = np.maximum(weights[rows, best], 0.0)
        chosen /= chosen.sum(axis=1, keepdims=True)
        return np.einsum("nk,nkc->nc", chosen, self.vertices[self.triangles[triangles[rows, best]]])

    def push(self, places: np.ndarray) -> np.ndarray:
        """Places (N, 3) on the sphere of the head's nearest to places."""
        triangles = self._candidates(self.vertices, places, 3)
        corners = self.vertices[self.triangles[triangles]]
        ways = corners[:, :, 1:] - corners[:, :, :1]
        two = np.einsum(
            "ntkc,ntc->ntk",
            np.linalg.pinv(ways).transpose(0, 1, 3, 2),
            places[:, None] - corners[:, :, 0],
        )
        weights = np.maximum(np.concatenate([1 - two.sum(2, keepdims=True), two], axis=2), 0.0)
        weights /= weights.sum(axis=2, keepdims=True)
        reached = np.einsum("ntk,ntkc->ntc", weights, corners)
        best = np.square(reached - places[:, None]).sum(axis=2).argmin(axis=1)
        rows = np.arange(len(places))
        chosen = self.sphere[self.triangles[triangles[rows, best]]]
        return unit(np.einsum("nk,nkc->nc", weights[rows, best], chosen))

    def _candidates(self, points: np.ndarray, queries: np.ndarray, count: int) -> np.ndarray:
        """Triangles (N, K) round the nearest few points."""
        _, nearest = cKDTree(points).query(queries, k=count)
        order = np.argsort(self.triangles.ravel(), kind="stable")
        number = np.bincount(self.triangles.ravel())
        place = np.minimum(np.arange(number.max()), number[:, None] - 1)
        around = order[(np.cumsum(number) - number)[:, None] + place] // 3
        return around[nearest].reshape(len(queries), -1)


def relax(
    ball: Ball,
    places: np.ndarray,
    quads: np.ndarray,
    fixed: np.ndarray,
    steps: int,
    *,
    share: float = 0.6,
    even: bool = True,
) -> np.ndarray:
    """Move a net's places (N, 3) on the sphere to the means of their neighbours.

    Neighbours count as their sides are long on the head, so that the net becomes even there, or
    all alike where ``even`` is false.
    """
    pairs, _ = edges(quads)
    start, end = np.concatenate([pairs, pairs[:, ::-1]]).T
    for _ in range(steps):
        weight = np.ones(len(start))
        if even:
            on_head = ball.pull(places)
            long = np.linalg.norm(on_head[start] - on_head[end], axis=1)
            short = np.linalg.norm(places[start] - places[end], axis=1) + 1e-6
            weight = (long / short) ** 2 + 1e-9
        total = np.bincount(start, weight, len(places))
        sums = [np.bincount(start, weight * places[end, k], len(places)) for k in range(3)]
        moved = unit(places + share * (np.stack(sums, axis=1) / total[:, None] - places))
        moved[fixed] = places[fixed]
        places = moved
    return places


def evenly(path: np.ndarray, count: int) -> np.ndarray:
    """Divide a smooth curve through places into ``count`` equal parts: places (count + 1, 3)."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    dense = CubicSpline(length, path)(np.linspace(0, length[-1], 4000))
    return dense[_cuts(dense, np.ones(count))]


def _cuts(curve: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Where in a dense curve (N, 3) its length is divided as ``parts`` (K,): indices (K + 1,)."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    wanted = np.concatenate([[0], np.cumsum(parts)]) / parts.sum() * length[-1]
    return np.searchsorted(length, wanted - 1e-12).clip(0, len(curve) - 1)


def landmarks_of_keys(marks: np.ndarray) -> dict[Key, np.ndarray]:
    """Places of the mean head for what has a name, on the left half and in the middle."""
    places: dict[Key, np.ndarray] = {}
    contours = {
        "eye_l": ([42, 43, 44, 45], [42, 47, 46, 45]),
        "mouth": ([*range(48, 55)], [48, 59, 58, 57, 56, 55, 54]),
    }
    for block in BLOCKS:
        if block.name not in contours:
            continue
        middle = (block.v0 + block.v1) // 2
        for end, way, contour in zip(
            (block.v1, block.v0), (1, -1), contours[block.name], strict=True
        ):
            path = [(block.u0, v) for v in range(middle, end, way)]
            path += [(u, end) for u in range(block.u0, block.u1)]
            path += [(block.u1, v) for v in range(end, middle - way, -way)]
            for (u, v), place in zip(path, evenly(marks[contour], len(path) - 1), strict=True):
                places[(block.name, block.rings, u, v)] = place
    lips = next(block for block in BLOCKS if block.name == "mouth")
    between = [(marks[a] + marks[b]) / 2 for a, b in ((61, 67), (62, 66), (63, 65))]
    slit = evenly(np.stack([marks[48], marks[60], *between, marks[64], marks[54]]), 8)
    for u, place in zip(range(lips.u0, lips.u1 + 1), slit, strict=True):
        places[("mouth", lips.rings, u, (lips.v0 + lips.v1) // 2)] = place
    for column, place in zip(range(2, 8), evenly(marks[22:27], 5), strict=True):
        places[(HALF + column, 0, 23)] = place
    bridge = {17: (29, 30, 0.15), 18: (29, 28, 0.35), 19: (28, 27, 0.2)}
    for row, (one, two, share) in bridge.items():
        places[(HALF, 0, row)] = marks[one] + share * (marks[two] - marks[one])
    named = {(0, 14): 33, (1, 14): 34, (2, 14): 35, (0, 16): 30, (0, 20): 27, (0, 7): 8}
    for (column, row), mark in named.items():
        places[(HALF + column, 0, row)] = marks[mark]
    for (column, row), place in NOSE.items():
        places[(HALF + column, 0, row)] = np.array(place)
    return places


def _meridian(ball: Ball, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the sphere's places in the plane of symmetry by angle, and the head's there."""
    sphere = np.stack([0 * angles, -np.cos(angles), np.sin(angles)], axis=1)
    return sphere, ball.pull(sphere) * (0.0, 1.0, 1.0)


def _angle(direction: np.ndarray) -> float:
    return float(np.arctan2(direction[2], -direction[1]))


def _above_cut(places: np.ndarray) -> np.ndarray:
    """Metres (N,) above the plane that cuts the neck."""
    height: np.ndarray = places[:, 2] - (HEIGHT + SLOPE * places[:, 1])
    return height


def _rim(ball: Ball, count: int) -> np.ndarray:
    """Divide the left half of the neck's rim evenly: places (count + 1, 3) on the sphere."""
    around = np.linspace(0, np.pi, 2000)
    low, high = np.full(2000, -np.pi / 2), np.full(2000, -0.2)
    for _ in range(40):
        up = (low + high) / 2
        sphere = np.stack(
            [np.sin(around) * np.cos(up), -np.cos(around) * np.cos(up), np.sin(up)], axis=1
        )
        head = ball.pull(sphere)
        below = _above_cut(head) < RIM
        low, high = np.where(below, up, low), np.where(below, high, up)
    places = sphere[_cuts(head, np.ones(count))]
    places[[0, -1], 0] = 0.0
    return unit(places)


def loops(ball: Ball) -> list[tuple[list[Key], np.ndarray]]:
    """Give the left halves of the neck's rim and of the face's border.

    Each is its vertices and, on the sphere, their places and those of the middles between them.
    """
    rim: list[Key] = [(HALF + i, 0, 0) for i in range(HALF + 1)]
    rim += [(LEFT, j, 0) for j in range(1, FAR + 1)]
    rim += [(i, FAR, 0) for i in range(LEFT - 1, HALF - 1, -1)]
    border = border_of_face()
    way = np.array(BORDER)
    # A turn and a half, so that the half in between has no ends of its own.
    whole = np.concatenate([way[1:][::-1] * FLIP, way, way[:-1][::-1] * FLIP])
    count = 2 * len(border) - 2
    half = evenly(whole, 3 * count)[count : 2 * count + 1]
    return [(rim, _rim(ball, 2 * len(rim) - 2)), (border, ball.push(half))]


def anchors(ball: Ball, net: Lattice, marks: np.ndarray) -> tuple[dict[int, np.ndarray], set[int]]:
    """Where vertices of the lattice belong on the sphere, and which of them only to begin with."""
    named = landmarks_of_keys(marks)
    on_sphere = dict(zip(named, ball.push(np.stack(list(named.values()))), strict=True))
    loose: set[Key] = {(HALF + column, 0, 23) for column in range(2, 8)}

    for keys, places_of_loop in loops(ball):
        on_sphere |= dict(zip(keys, places_of_loop[::2], strict=True))

    front, back = (_angle(on_sphere[(HALF, j, 0)]) % (2 * np.pi) for j in (0, FAR))
    front -= 2 * np.pi
    hairline, throat = (_angle(on_sphere[(HALF, 0, k)]) for k in (TOP, THROAT))
    brow = ball.push((marks[[21, 22]].mean(axis=0) + np.array([0, 0, 0.002]))[None])[0]
    nasion, brows = _angle(on_sphere[(HALF, 0, 20)]), _angle(brow)
    forehead: list[Key] = [(HALF, 0, k) for k in range(24, TOP)]
    over: list[Key] = [(HALF, j, TOP) for j in range(1, FAR + 1)]
    over += [(HALF, FAR, k) for k in range(TOP - 1, 0, -1)]
    lines: list[tuple[float, float, list[Key], float]] = [
        (front, throat, [(HALF, 0, k) for k in range(1, THROAT)], 1.0),
        (nasion, brows, [(HALF, 0, k) for k in (21, 22)], 1.0),
        (brows, hairline, [*forehead, ("face", 0, HALF, TOP)], 1.0),
        (hairline, back, over, 1.5),
        (back, front % (2 * np.pi), [(HALF, FAR - j, 0) for j in range(1, FAR)], 1.0),
    ]
    for start, end, keys, grow in lines:
        sphere, head = _meridian(ball, np.linspace(start, end, 2000))
        parts = grow ** np.linspace(0, 1, len(keys) + 1)
        on_sphere |= dict(zip(keys, sphere[_cuts(head, parts)][1:-1], strict=True))
    on_sphere[(HALF, 0, 23)] = brow
    loose |= {(HALF, 0, 23), *forehead, *over, ("face", 0, HALF, TOP)}

    ear = next(block for block in BLOCKS if block.name == "ear_l")
    border = ear.border()
    for side, path in enumerate(EAR):
        count = ear.u1 - ear.u0 if side % 2 == 0 else ear.v1 - ear.v0
        first = side // 2 * len(border) // 2 + (side % 2) * (ear.u1 - ear.u0)
        keys = [(LEFT, *border[(first + n) % len(border)]) for n in range(count + 1)]
        on_sphere |= dict(zip(keys, ball.push(evenly(np.array(path), count)), strict=True))

    places: dict[int, np.ndarray] = {}
    for key, place in on_sphere.items():
        vertex, other = net.numbers[key], net.opposite[net.numbers[key]]
        if vertex == other:
            place = unit((place * (0.0, 1.0, 1.0))[None])[0]
        places[vertex], places[other] = place, place * FLIP
    freed = {net.numbers[key] for key in loose}
    return places, freed | {int(net.opposite[n]) for n in freed}


def _spread(quads: np.ndarray, count: int, fixed: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Fill a net (count, 3) in between fixed places by its Laplacian."""
    pairs, _ = edges(quads)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(count, count)).tocsr()
    links = links + links.T
    laplacian = (diags_array(links.sum(axis=1)) - links).tocsr()
    free = np.setdiff1d(np.arange(count), fixed)
    filled = np.zeros((count, 3))
    filled[fixed] = places
    right = -(laplacian[free][:, fixed] @ places)
    filled[free] = spsolve(laplacian[free][:, free].tocsc(), right)
    return unit(filled)


def _symmetric(places: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    return unit(places + places[opposite] * FLIP)


def _sharp(places: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Vertices of quads that are folded, or nearly, on the sphere."""
    corners = places[quads]
    outwards = unit(corners.sum(axis=1))
    after = unit((np.roll(corners, -1, axis=1) - corners).reshape(-1, 3)).reshape(corners.shape)
    before = unit((np.roll(corners, 1, axis=1) - corners).reshape(-1, 3)).reshape(corners.shape)
    sine = np.einsum("nkc,nc->nk", np.cross(after, before), outwards)
    return np.unique(quads[(sine < SHARPEST).any(axis=1)])


def make_quads(
    vertices: np.ndarray, triangles: np.ndarray, marks: np.ndarray, net: Lattice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay the lattice onto the head.

    Returns
    -------
    vertices : (V, 3) float64
        Head frame, metres, symmetric; the lattice's own come first.
    quads : (Q, 4) int64
        Four in a row for each of the lattice's.
    opposite : (V,) int64
        Each vertex's mirror image.
    """
    sphere = to_sphere(vertices, triangles)
    fine, coarse = smoothed(vertices, triangles, 0.003), smoothed(vertices, triangles, 0.006)
    # The net must not creep into the nostrils, nor crowd in the folds of lips and eyelids.
    away = np.linalg.norm(vertices * np.sign(vertices * (1, 0, 0) + (0, 1, 1)) - NOSTRIL, axis=1)
    nostril = np.clip((NOSTRIL_RADIUS - away) / 0.003, 0, 1)[:, None]
    face = np.clip((-0.06 - vertices[:, 1]) / 0.02, 0, 1)[:, None]
    real = Ball(vertices, sphere, triangles)
    bare = Ball(vertices + nostril * (coarse - vertices), sphere, triangles)
    soft = Ball(coarse, sphere, triangles)
    middle = Ball(fine + np.maximum(nostril, face) * (coarse - fine), sphere, triangles)

    fixed, freed = anchors(real, net, marks)
    count = len(net.opposite)
    numbers = np.array(list(fixed))
    places = _spread(net.quads, count, numbers, np.stack(list(fixed.values())))
    for _ in range(3):
        places = _symmetric(relax(soft, places, net.quads, numbers, 25), net.opposite)
    numbers = np.setdiff1d(numbers, list(freed))
    for _ in range(4):
        places = _symmetric(relax(middle, places, net.quads, numbers, 25), net.opposite)

    quads, parents = subdivide(net.quads, count)
    middles = [unit(places[pair].mean(axis=1)) for pair in (parents, net.quads)]
    places = np.concatenate([places, *middles])
    numbered = {tuple(sorted(pair)): count + n for n, pair in enumerate(parents.tolist())}
    numbered |= {
        tuple(sorted(quad)): count + len(parents) + n for n, quad in enumerate(net.quads.tolist())
    }
    opposite = np.concatenate([
        net.opposite,
        [numbered[tuple(sorted(net.opposite[pair]))] for pair in parents],
        [numbered[tuple(sorted(net.opposite[quad]))] for quad in net.quads],
    ])  # fmt: skip
    for keys, loop in loops(real):
        ends = zip(pairwise([net.numbers[key] for key in keys]), loop[1::2], strict=True)
        for pair, place in ends:
            half = numbered[tuple(sorted(pair))]
            places[half], places[opposite[half]] = place, place * FLIP
            numbers = np.append(numbers, [half, opposite[half]])
    for _ in range(4):
        places = _symmetric(relax(middle, places, quads, numbers, 12), opposite)
    while len(near := _sharp(places, quads)):
        for _ in range(2):
            near = np.unique(quads[np.isin(quads, near).any(axis=1)])
        rest = np.setdiff1d(np.arange(len(places)), near)
        for _ in range(6):
            moved = relax(soft, places, quads, rest, 1, share=0.5, even=False)
            places = _symmetric(moved, opposite)
    head = bare.pull(places)
    head = (head + head[opposite] * FLIP) / 2
    under = quads[np.repeat(net.underside(), 4)]
    head[np.unique(under), 2] -= _above_cut(head[np.unique(under)])
    head = with_even_border(fill(head, under), quads[np.repeat(net.mask(), 4)])
    return head, quads, opposite


def seams(net: Lattice) -> list[tuple[int, int]]:
    """Edges of the fine quads along which the atlas is cut: down the back, and round the neck."""
    _, parents = subdivide(net.quads, len(net.opposite))
    between = {tuple(pair): len(net.opposite) + n for n, pair in enumerate(parents.tolist())}
    back: list[Key] = [(HALF, FAR, k) for k in range(BACK, -1, -1)]
    rim: list[Key] = [(i, 0, 0) for i in range(LEFT + 1)]
    rim += [(LEFT, j, 0) for j in range(1, FAR + 1)]
    rim += [(i, FAR, 0) for i in range(LEFT - 1, -1, -1)]
    rim += [(0, j, 0) for j in range(FAR - 1, -1, -1)]
    cut = []
    for path in (back, rim):
        numbers = [net.numbers[key] for key in path]
        for a, b in pairwise(numbers):
            middle = between[(min(a, b), max(a, b))]
            cut += [(a, middle), (b, middle)]
    return cut


def unwrap(vertices: np.ndarray, quads: np.ndarray, cut: list[tuple[int, int]]) -> np.ndarray:
    """Places (Q, 4, 2) float64 in the plane by Blender's minimum stretch, islands side by side.

    The head is seen through an inversion, which keeps angles and enlarges the face.
    """
    import bpy

    away = vertices - EYE
    seen = EYE + away * (0.36 / np.square(away).sum(axis=1, keepdims=True))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = bpy.data.meshes.new("head")
    # The inversion turns the head inside out, and the mirror turns it back.
    mesh.from_pydata((seen * FLIP * 10).tolist(), [], quads.tolist())
    thing = bpy.data.objects.new("head", mesh)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    pairs = {tuple(sorted(pair)) for pair in cut}
    for edge in mesh.edges:
        edge.use_seam = tuple(sorted(edge.vertices)) in pairs
    group = thing.vertex_groups.new(name="face")
    face = np.clip((-0.01 - vertices[:, 1]) / 0.03, 0, 1)
    face *= np.clip((vertices[:, 2] + 0.10) / 0.02, 0, 1)
    for number, share in enumerate(NO_FACE + (1 - NO_FACE) * face):
        group.add([number], float(share), "REPLACE")
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.uv.unwrap(
        method="MINIMUM_STRETCH",
        iterations=ITERATIONS,
        no_flip=True,
        use_weights=True,
        weight_group=group.name,
        weight_factor=1.0,
    )
    bpy.ops.object.mode_set(mode="OBJECT")
    flat = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers.active.data.foreach_get("uv", flat)
    return flat.reshape(-1, 4, 2).astype(np.float64)


def pack(
    flat: np.ndarray, vertices: np.ndarray, quads: np.ndarray, opposite: np.ndarray, cap: np.ndarray
) -> np.ndarray:
    """Set both islands upright and symmetric into the atlas: (Q, 4, 2) float32.

    Parameters
    ----------
    flat : (Q, 4, 2) float
    vertices : (V, 3) float
    quads : (Q, 4) int
    opposite : (V,) int
    cap : (Q,) bool
        Quads of the neck's underside.
    """
    number = {tuple(sorted(quad)): n for n, quad in enumerate(quads.tolist())}
    other = np.array([number[tuple(sorted(opposite[quad]))] for quad in quads])
    same = quads[other][:, None] == opposite[quads][:, :, None]
    corner = same.argmax(axis=2)
    packed = np.zeros_like(flat)
    for island, up in ((~cap, vertices[:, 2]), (cap, -vertices[:, 1])):
        ours, theirs = flat[island], flat[other[:, None], corner][island]
        centre = (ours + theirs).reshape(-1, 2).mean(axis=0) / 2
        a, b = (ours - centre).reshape(-1, 2), (theirs - centre).reshape(-1, 2)
        # The mirror line of the reflection that takes one half to the other.
        product = b.T @ a
        turn = np.arctan2(product[0, 1] + product[1, 0], product[0, 0] - product[1, 1]) / 2
        axis = np.array([np.cos(turn), np.sin(turn)])
        height = up[quads[island]].reshape(-1)
        axis *= np.sign((a @ axis) @ (height - height.mean()))
        packed[island] = np.stack([a @ (axis[1], -axis[0]), a @ axis], 1).reshape(ours.shape)
    packed = (packed + packed[other[:, None], corner] * (-1, 1)) / 2
    main, under = packed[~cap], packed[cap]
    main *= (1 - 2 * MARGIN) / np.ptp(main.reshape(-1, 2), axis=0).max()
    packed[~cap] = main + np.array([0.5, 1 - MARGIN - main[..., 1].max()])
    low, size = under.reshape(-1, 2).min(axis=0), np.ptp(under.reshape(-1, 2), axis=0).max()
    packed[cap] = (under - low) * CAP / size + MARGIN
    return packed.astype(np.float32)


def _fine(chosen: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Vertices of the fine quads that chosen quads (N,) bool of the lattice became."""
    return np.unique(quads[np.repeat(chosen, 4)])


def _juts_out(vertices: np.ndarray) -> np.ndarray:
    """Which vertices (N,) bool are ears: they stand out from the skull, or lie in the shell."""
    side, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    away = np.hypot((y + 0.002) / 0.032, (z - 0.009) / 0.042)
    terms = np.stack([np.ones_like(y), y, z, y * y, y * z, z * z], axis=1)
    skull = (away > 1.25) & (away < 1.9) & (side > 0.045)
    smooth = terms @ np.linalg.lstsq(terms[skull], side[skull], rcond=None)[0]
    shell = (np.hypot((y - 0.001) / 0.014, (z - 0.006) / 0.025) < 1) & (side > 0.045)
    return shell | (away < 0.85) & (side - smooth > 0.003)


def find_regions(
    vertices: np.ndarray, quads: np.ndarray, opposite: np.ndarray, net: Lattice, marks: np.ndarray
) -> np.ndarray:
    """How far (V, 11) each vertex belongs to each region; forehead and temples have none."""
    side, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]

    def beside(path: np.ndarray) -> np.ndarray:
        share = np.linspace(0, 1, len(path))
        dense = [np.interp(np.linspace(0, 1, 200), share, path[:, k]) for k in range(3)]
        distance: np.ndarray = cKDTree(np.stack(dense, axis=1)).query(vertices)[0]
        return distance

    jaw, half = beside(marks[:17]), marks[:9]
    order = np.argsort(half[:, 1])
    below = z < np.interp(y, half[order, 1], half[order, 2])
    face = np.zeros(len(vertices), bool)
    face[_fine(net.mask(), quads)] = True
    label = np.where(z > np.interp(y, *np.transpose(HAIRLINE)), "scalp", "neck").astype("<U7")
    label[face & (z >= 0.030)] = ""
    label[(face | (y < 0.0) & (z > -0.022)) & (z < 0.030)] = "cheeks"
    label[face & below & (z < -0.028) & (jaw > 0.011)] = "neck"
    label[(jaw < 0.011) & (z < 0.012) & (y < -0.012)] = "jaw"
    label[(np.hypot(side / 0.026, (z + 0.068) / 0.022) < 1) & (y < -0.072)] = "chin"
    label[_fine(net.within(HALF - 3, HALF + 3, 14, 20), quads)] = "nose"
    for name in ("l", "r"):
        label[_fine(net.of_block(f"eye_{name}", 1, 2), quads)] = "eyelids"
        label[_fine(net.of_block(f"eye_{name}", 3), quads)] = "eyes"
        label[_fine(net.of_block(f"ear_{name}", 1, 2, 3, 4), quads)] = "ears"
    label[_juts_out(vertices)] = "ears"
    label[_fine(net.of_block("mouth", 3), quads)] = "lips"
    brows = np.minimum(beside(marks[17:22]), beside(marks[22:27])) < 0.0075
    label[brows & (label != "eyes") & (label != "eyelids")] = "brows"

    weights = (label[:, None] == np.array(REGIONS)).astype(np.float64)
    pairs, _ = edges(quads)
    links = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(vertices),) * 2).tocsr()
    links = links + links.T
    mean = diags_array(1.0 / links.sum(axis=1)) @ links
    for _ in range(6):
        weights = (weights + mean @ weights) / 2
    return (weights + weights[opposite]) / 2


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--decoder", type=Path, default=Path("models/training/runs/decoder.pt"))
    parser.add_argument("--output", type=Path, default=topology.PATH)
    arguments = parser.parse_args()
    marks = load_canonical().multipie.astype(np.float64)
    marks = (marks + marks[OPPOSITE] * FLIP) / 2
    net = build()
    vertices, quads, opposite = make_quads(*mean_head(arguments.decoder), marks, net)
    flat = unwrap(vertices, quads, seams(net))
    uv = pack(flat, vertices, quads, opposite, np.repeat(net.underside(), 4))
    regions = find_regions(vertices, quads, opposite, net, marks)
    draft = arguments.output.with_name("draft.npz")
    np.savez_compressed(
        draft,
        vertices=vertices.astype(np.float32),
        quads=quads.astype(np.int16),
        uv=uv,
        regions=np.round(regions * 255).astype(np.uint8),
        mask=np.repeat(net.mask(), 4),
        underside=np.repeat(net.underside(), 4),
    )
    write_whole(arguments.output, draft.read_bytes())
    draft.unlink()


if __name__ == "__main__":
    main()
