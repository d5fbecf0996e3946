# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The occupancy volume becomes a closed triangle mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from .errors import EmptyVolumeError
from .result import DEFAULT_SMOOTHING

# Half of a uint8 occupancy. No whole number equals it, so no voxel lies on the surface.
LEVEL = 127.5
LOWEST_INSIDE = np.uint8(128)

# A vertex nearer than this to a voxel centre, in voxels, makes slivers out of all the triangles
# round it; at a tenth of a millimetre nobody sees that it was moved.
CLEARANCE = np.float32(0.03)

# Taubin's pair of steps: its pass band, 1 / SHRINK + 1 / GROW = 0.1, is the value he recommends.
SHRINK = 0.6307
GROW = -0.6732

# Corner c of a cell of 2 x 2 x 2 voxels lies at (z, y, x) = (c >> 2 & 1, c >> 1 & 1, c & 1), so
# that its three neighbours in the cell are c ^ 1, c ^ 2 and c ^ 4.
CORNERS = np.array([(c >> 2 & 1, c >> 1 & 1, c & 1) for c in range(8)])


@dataclass(frozen=True)
class Surface:
    """Closed triangle mesh of a head.

    Attributes
    ----------
    vertices : (V, 3) float32
        x, y, z in the volume frame (voxels; x right, y down, z away from the camera; the centre of
        voxel i lies at i + 0.5), so that x and y are crop pixels.
    faces : (F, 3) int32
        Vertices of each triangle, counter-clockwise seen from outside. The volume frame is
        right-handed and becomes the head frame by a proper rotation, so this holds in both frames,
        and the signed volume is positive in both.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]


def extract_surface(
    volume: npt.NDArray[np.uint8], *, smoothing: int = DEFAULT_SMOOTHING
) -> Surface:
    """Isosurface of an occupancy volume: one closed, manifold, consistently wound mesh.

    Of several bodies the one that encloses most is kept; hollows inside it become solid. What lies
    beyond the volume counts as empty, so that a head which touches its border is closed there.

    Parameters
    ----------
    volume : (D, H, W) uint8
        255 times the occupancy probability, in the order z, y, x of the volume frame.
    smoothing : int
        Iterations of Taubin smoothing; 0 leaves the isosurface as it is.

    Returns
    -------
    Surface

    Raises
    ------
    EmptyVolumeError
        If no voxel is more likely inside a head than outside.
    """
    box, origin = _occupied_box(volume)
    _resolve_ambiguities(box)
    vertices, faces, _, _ = marching_cubes(box, LEVEL)
    nearest = np.rint(vertices)
    offset = vertices - nearest
    crowded = (offset != 0) & (np.abs(offset) < CLEARANCE)
    vertices = np.where(crowded, nearest + np.copysign(CLEARANCE, offset), vertices)
    # skimage winds triangles left-handed in (z, y, x), which is right-handed in (x, y, z).
    points = (vertices + (origin + np.float32(0.5)))[:, ::-1]
    points, triangles = _largest_shell(points, faces)
    points = smooth(points, triangles, smoothing)
    return Surface(np.ascontiguousarray(points, np.float32), triangles)


def smooth(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int32], iterations: int
) -> npt.NDArray[np.float32]:
    """Taubin smoothing: a low-pass filter of the surface that keeps its volume.

    Parameters
    ----------
    vertices : (V, 3) float32
        In any frame.
    faces : (F, 3) int32
        Closed manifold, consistently wound.
    iterations : int
        Each is one shrinking and one growing step.

    Returns
    -------
    (V, 3) float32
        In the frame of ``vertices``.

    References
    ----------
    .. [1] G. Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995.
    """
    count = len(vertices)
    # Every edge runs once each way round a closed, consistently wound mesh.
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    valence = np.bincount(start, minlength=count).astype(np.float32)
    mean = csr_array((1 / valence[start], (start, end)), shape=(count, count))
    for _ in range(iterations):
        for step in (SHRINK, GROW):
            vertices = vertices + np.float32(step) * (mean @ vertices - vertices)
    return vertices


def _occupied_box(
    volume: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Copy of the occupied bounding box with a rim of one voxel, and where the copy begins.

    The rim is the volume's own, which places the surface to less than a voxel, or empty beyond
    the volume's border.
    """
    inside = volume >= LOWEST_INSIDE
    extents = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        occupied = np.flatnonzero(inside.any(axis=others))
        if not occupied.size:
            raise EmptyVolumeError(
                "No head was found in this part of the photo: choose another face, or a photo in "
                "which the head is larger, sharper and seen more from the front."
            )
        extents.append((int(occupied[0]), int(occupied[-1])))
    padded = np.pad(volume, 1)
    box = padded[tuple(slice(first, last + 3) for first, last in extents)].copy()
    return box, np.array([first - 1 for first, _ in extents], dtype=np.float32)


def _ambiguity_fills() -> npt.NDArray[np.int8]:
    """For each of the 256 cells, the corner to fill if its surface is ambiguous, else -1.

    A cell is unambiguous if its inside corners are connected along its edges, and so are its
    outside corners. The outside corner with most inside neighbours is filled: never one in the
    rim of the box, which has at most one.
    """
    fills = np.full(256, -1, np.int8)
    for code in range(256):
        inside = {c for c in range(8) if code >> c & 1}
        outside = set(range(8)) - inside
        if not (_is_connected(inside) and _is_connected(outside)):
            fills[code] = max(outside, key=lambda c: len(inside & {c ^ 1, c ^ 2, c ^ 4}))
    return fills


def _is_connected(corners: set[int]) -> bool:
    """Whether corners of a cell are connected along its edges."""
    reached: set[int] = set()
    border = set(list(corners)[:1])
    while border:
        reached |= border
        border = {c ^ bit for c in border for bit in (1, 2, 4)} & corners - reached
    return reached == corners


AMBIGUITY_FILLS = _ambiguity_fills()


def _resolve_ambiguities(box: npt.NDArray[np.uint8]) -> None:
    """Fill voxels, in place, until the volume is well-composed.

    Where voxels touch along an edge or at a corner only, marching cubes has a choice, and can
    choose a surface that touches itself. In a well-composed volume no such place is left, and
    every variant of marching cubes gives the same manifold. Few voxels of a head need it.

    References
    ----------
    .. [1] L. J. Latecki, "3D well-composed pictures", Graphical Models and Image Processing 59(3),
       1997.
    .. [2] M. Siqueira et al., "Making 3D binary digital images well-composed", Proc. SPIE 5675,
       2005.
    """
    voxels = box.ravel()
    corners = np.ravel_multi_index(tuple(CORNERS.T), box.shape)
    while True:
        code = (box >= LOWEST_INSIDE).view(np.uint8)
        code = code[:, :, :-1] | code[:, :, 1:] << np.uint8(1)
        code = code[:, :-1] | code[:, 1:] << np.uint8(2)
        code = code[:-1] | code[1:] << np.uint8(4)
        fills = AMBIGUITY_FILLS[code]
        ambiguous = np.nonzero(fills >= 0)
        if not ambiguous[0].size:
            return
        cells = np.ravel_multi_index(ambiguous, box.shape)
        voxels[cells + corners[fills[ambiguous]]] = LOWEST_INSIDE


def _largest_shell(
    vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Keep the connected part that encloses most.

    The wall of a hollow is a part of its own that faces inwards: its volume is negative, and it
    goes with the smaller bodies.
    """
    count = len(vertices)
    a, b, c = faces.T
    links = csr_array((np.ones(2 * len(faces), bool), (np.r_[a, b], np.r_[b, c])), (count, count))
    parts, part = connected_components(links, directed=False)
    if parts > 1:
        corners = (vertices - vertices.mean(axis=0)).astype(np.float64)
        six_volumes = np.einsum("ij,ij->i", corners[a], np.cross(corners[b], corners[c]))
        kept = part == np.bincount(part[a], weights=six_volumes, minlength=parts).argmax()
        faces = (np.cumsum(kept) - 1)[faces[kept[a]]]
        vertices = vertices[kept]
    return vertices, np.ascontiguousarray(faces, np.int32)
