# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A net of quads as artists lay it round a head, without places yet.

It is the surface of a box of cubes. Blocks of the front and of the sides are replaced by rings of
quads with a smaller block inside: loops round eyes, mouth and ears, with four stars of five edges
at each one's outer corners and four of three at its inner ones. Another ring lies round the whole
face, from hairline to throat, so that the face alone ends in a loop without corners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# Cubes from right to left, from front to back, from neck to crown.
LEFT, FAR, TOP = 20, 10, 27
HALF = LEFT // 2
BACK = 25
"""Row at which the cut down the back begins, a little behind the crown."""
THROAT = 6
"""Lowest row of the face's mask."""
BEFORE_EARS = 3
"""Columns of the sides that belong to the face's mask."""

Key = tuple[int, int, int] | tuple[str, int, int, int]
"""(i, j, k) of the box; block, ring and (u, v) in its panel; or "face", j, i and k where the ring
round the face doubles the box's own."""


@dataclass(frozen=True)
class Block:
    """Part of a panel that rings replace.

    Attributes
    ----------
    name, panel : str
    u0, u1, v0, v1 : int
    rings : int
    """

    name: str
    panel: str
    u0: int
    u1: int
    v0: int
    v1: int
    rings: int

    def border(self) -> list[tuple[int, int]]:
        """(u, v) round the block, counter-clockwise from its first corner."""
        return [
            *((u, self.v0) for u in range(self.u0, self.u1)),
            *((self.u1, v) for v in range(self.v0, self.v1)),
            *((u, self.v1) for u in range(self.u1, self.u0, -1)),
            *((self.u0, v) for v in range(self.v1, self.v0, -1)),
        ]


BLOCKS = (
    Block("eye_l", "front", HALF + 3, HALF + 8, 18, 22, 3),
    Block("eye_r", "front", HALF - 8, HALF - 3, 18, 22, 3),
    Block("mouth", "front", HALF - 4, HALF + 4, 9, 13, 3),
    Block("ear_l", "left", 4, 8, 15, 21, 4),
    Block("ear_r", "right", FAR - 8, FAR - 4, 15, 21, 4),
)

# Columns, rows, and the box's place of (u, v), which runs counter-clockwise seen from outside.
PANELS: dict[str, tuple[int, int, Callable[[int, int], Key]]] = {
    "front": (LEFT, TOP, lambda u, v: (u, 0, v)),
    "back": (LEFT, TOP, lambda u, v: (LEFT - u, FAR, v)),
    "left": (FAR, TOP, lambda u, v: (LEFT, u, v)),
    "right": (FAR, TOP, lambda u, v: (0, FAR - u, v)),
    "top": (LEFT, FAR, lambda u, v: (u, v, TOP)),
    "bottom": (LEFT, FAR, lambda u, v: (LEFT - u, v, 0)),
}


@dataclass(frozen=True)
class Lattice:
    """The net.

    Attributes
    ----------
    numbers : dict of Key to int
        The vertices.
    quads : (Q, 4) int
        Counter-clockwise seen from outside.
    panels : (Q,) str
        The panel or block that each quad is part of.
    rings : (Q,) int
        Which ring of a block, from outside, each quad is part of; the inside counts as one more.
    opposite : (V,) int
        Each vertex's mirror image.
    """

    numbers: dict[Key, int]
    quads: np.ndarray
    panels: np.ndarray
    rings: np.ndarray
    opposite: np.ndarray

    def _keys(self) -> list[Key]:
        return list(self.numbers)

    def underside(self) -> np.ndarray:
        """Which (Q,) bool lie under the neck."""
        return self.panels == "bottom"

    def of_block(self, name: str, *rings: int) -> np.ndarray:
        """Which (Q,) bool are some rings of a block."""
        return (self.panels == name) & np.isin(self.rings, rings)

    def within(self, i0: int, i1: int, k0: int, k1: int) -> np.ndarray:
        """Which (Q,) bool of the front's own lie between two columns and two rows."""
        keys = self._keys()
        inside = [
            not isinstance(key[0], str) and i0 <= key[0] <= i1 and k0 <= key[2] <= k1
            for key in keys
        ]
        return np.array(inside)[self.quads].all(axis=1) & (self.panels == "front")

    def mask(self) -> np.ndarray:
        """Which (Q,) bool are the face alone, from ear to ear and from hairline to throat."""
        inside = np.array([_is_face(key) for key in self._keys()])
        return inside[self.quads].all(axis=1)


def build() -> Lattice:
    """Give the net.

    Returns
    -------
    Lattice
        Closed, genus 0, symmetric.
    """
    numbers: dict[Key, int] = {}
    quads: list[list[int]] = []
    panels: list[str] = []
    rings: list[int] = []

    def add(panel: str, ring: int, keys: list[Key]) -> None:
        quads.append([numbers.setdefault(key, len(numbers)) for key in keys])
        panels.append(panel)
        rings.append(ring)

    for panel, (columns, rows, key) in PANELS.items():
        taken = {
            (u, v)
            for b in BLOCKS
            if b.panel == panel
            for u in range(b.u0, b.u1)
            for v in range(b.v0, b.v1)
        }
        for u, v in np.ndindex(columns, rows):
            if (u, v) not in taken:
                corners = ((u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1))
                add(panel, 0, [key(*corner) for corner in corners])
    for block in BLOCKS:

        def at(ring: int, u: int, v: int, block: Block = block) -> Key:
            return (block.name, ring, u, v) if ring else PANELS[block.panel][2](u, v)

        border = block.border()
        for ring in range(block.rings):
            for a, b in zip(border, border[1:] + border[:1], strict=True):
                add(
                    block.name,
                    ring,
                    [at(ring, *a), at(ring, *b), at(ring + 1, *b), at(ring + 1, *a)],
                )
        for u in range(block.u0, block.u1):
            for v in range(block.v0, block.v1):
                corners = ((u, v), (u + 1, v), (u + 1, v + 1), (u, v + 1))
                add(block.name, block.rings, [at(block.rings, *corner) for corner in corners])

    keys = list(numbers)
    face = [n for n, quad in enumerate(quads) if all(_is_face(keys[corner]) for corner in quad)]
    sides = {side for n in face for side in pairwise([*quads[n], quads[n][0]])}
    outline = sorted((start, end) for start, end in sides if (end, start) not in sides)
    inner = {start: numbers.setdefault(_inner(keys[start]), len(numbers)) for start, _ in outline}
    for n in face:
        quads[n] = [inner.get(corner, corner) for corner in quads[n]]
    for start, end in outline:
        quads.append([start, end, inner[end], inner[start]])
        panels.append("face")
        rings.append(0)
    opposite = np.array([numbers[_mirrored(key)] for key in numbers])
    return Lattice(numbers, np.array(quads), np.array(panels), np.array(rings), opposite)


def _is_face(key: Key) -> bool:
    if isinstance(key[0], str):
        return not key[0].startswith("ear")
    i, j, k = key[:3]
    return k >= THROAT and (j == 0 or (i in (0, LEFT) and j <= BEFORE_EARS))


def _inner(key: Key) -> Key:
    return key if isinstance(key[0], str) else ("face", key[1], key[0], key[2])


def border_of_face() -> list[Key]:
    """Left half of the loop in which the face alone ends, from the hairline to the throat."""
    above: list[Key] = [(i, 0, TOP) for i in range(HALF, LEFT)]
    above += [(LEFT, j, TOP) for j in range(BEFORE_EARS)]
    beside: list[Key] = [(LEFT, BEFORE_EARS, k) for k in range(TOP, THROAT, -1)]
    below: list[Key] = [(LEFT, j, THROAT) for j in range(BEFORE_EARS, 0, -1)]
    below += [(i, 0, THROAT) for i in range(LEFT, HALF - 1, -1)]
    return above + beside + below


def _mirrored(key: Key) -> Key:
    if not isinstance(key[0], str):
        return (LEFT - key[0], key[1], key[2])
    name, ring, u, v = key
    name = name[:-1] + {"l": "r", "r": "l"}.get(name[-1], name[-1])
    return (name, ring, (FAR if name.startswith("ear") else LEFT) - u, v)


def edges(quads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (E, 2) of quads, smaller vertex first, and how many quads (E,) each has."""
    pairs = np.stack([quads, np.roll(quads, -1, axis=1)], axis=2).reshape(-1, 2)
    return np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)


def subdivide(quads: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut each quad in four.

    Parameters
    ----------
    quads : (Q, 4) int
    count : int
        Of vertices.

    Returns
    -------
    quads : (4 Q, 4) int
        Four in a row for each; the k-th corner of the k-th is its k-th corner. After the vertices
        there are come the middles of the edges, then those of the quads.
    edges : (E, 2) int
        The edges, in the order of their middles.
    """
    pairs, _ = edges(quads)
    number = {tuple(pair): count + n for n, pair in enumerate(pairs.tolist())}
    cut = []
    for index, (a, b, c, d) in enumerate(quads.tolist()):
        ab, bc, cd, da = (
            number[(min(pair), max(pair))] for pair in ((a, b), (b, c), (c, d), (d, a))
        )
        middle = count + len(pairs) + index
        cut += [[a, ab, middle, da], [ab, b, bc, middle], [middle, bc, c, cd], [da, middle, cd, d]]
    return np.array(cut), pairs
