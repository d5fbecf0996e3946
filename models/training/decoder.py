# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The decoder: from the weights of a head's modes to its signed distances anywhere.

A head is described by the way back to a template head: at each place of the head's own frame, a
displacement leads to the same place of the template, whose signed distance is looked up. Since the
template is one closed head, so is whatever comes out, and ears, skull and neck cannot tear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional

from .head_model import HeadModel
from .raster import occupancy, vertex_normals

# Lips a little apart, so that the field can close them as well as open them.
TEMPLATE_EXPRESSION = {"jawOpen": 0.16}


@dataclass(frozen=True)
class Box:
    """A regular grid over a box of the model frame, centimetres."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    spacing: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Nodes along z, y and x; the first and the last lie on the box."""
        x, y, z = (
            round((h - a) / self.spacing) + 1 for a, h in zip(self.low, self.high, strict=True)
        )
        return z, y, x

    def nodes(self) -> np.ndarray:
        """Places (Z, Y, X, 3) float32 of the nodes, (x, y, z)."""
        axes = [
            np.linspace(a, h, n, dtype=np.float32)
            for a, h, n in zip(self.low, self.high, self.shape[::-1], strict=True)
        ]
        z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
        return np.stack([x, y, z], axis=3)

    def normalised(self, places: Tensor) -> Tensor:
        """Places (..., 3) of the model frame, -1 to 1 across the box."""
        low, high = places.new_tensor(self.low), places.new_tensor(self.high)
        return (places - low) * (2.0 / (high - low)) - 1.0

    def sample(self, field: Tensor, places: Tensor) -> Tensor:
        """Look a field up.

        Parameters
        ----------
        field : (N, C, Z, Y, X)
        places : (N, D, H, W, 3)
            Model frame, centimetres.

        Returns
        -------
        (N, C, D, H, W)
            Trilinear; beyond the box, the value at its border.
        """
        grid = self.normalised(places)
        return functional.grid_sample(field, grid, align_corners=True, padding_mode="border")


HEAD_BOX = Box((-12.0, -16.8, -12.0), (12.0, 16.8, 15.6), 1.2)
FACE_BOX = Box((-7.5, -10.0, 3.0), (7.5, 8.0, 15.0), 0.5)
TEMPLATE_BOX = Box((-10.8, -15.0, -11.2), (10.8, 16.0, 14.4), 0.2)

# The neck is cut by a plane that slopes as a bust's does: y = NECK + SLOPE * z.
NECK, SLOPE = -11.4, -0.18
NECK_ROUNDING = 1.2

# Nostrils are filled where they are narrower than this.
NOSTRIL = 0.7
NOSE_BOX = ((-2.4, -2.0, 8.0), (2.4, 1.2, 12.6))


def template_head(model: HeadModel) -> np.ndarray:
    """Vertices (V, 3) float32 of the template, model frame, centimetres."""
    weights = np.zeros(len(model.modes), dtype=np.float32)
    for name, value in TEMPLATE_EXPRESSION.items():
        weights[model.identities + model.expression_names.index(name)] = value
    return model.shape(weights)


def template_distances(model: HeadModel) -> np.ndarray:
    """Signed distances of the template, positive inside.

    Returns
    -------
    (Z, Y, X) float32
        Centimetres, 2 where more than about 1.8, on the nodes of ``TEMPLATE_BOX``.
    """
    vertices = template_head(model)
    nodes = TEMPLATE_BOX.nodes()
    # Twice as fine, to tell the border of the union of skin and eyeballs from what lies in it.
    fine = TEMPLATE_BOX.spacing / 2.0
    cells = ((vertices - nodes[0, 0, 0]) / fine + 0.5).astype(np.float32)
    sizes = tuple(2 * n - 1 for n in TEMPLATE_BOX.shape)
    union = ndimage.binary_fill_holes(occupancy(cells, model.closed, sizes) > 0.5)
    solid = union[::2, ::2, ::2]
    deep = ndimage.distance_transform_edt(solid) * TEMPLATE_BOX.spacing
    near = (deep + ndimage.distance_transform_edt(~solid) * TEMPLATE_BOX.spacing) < 1.8
    surface, normals = _scatter(vertices, model.closed, 1_500_000)
    outward = np.round((surface + fine * normals - nodes[0, 0, 0]) / fine).astype(int)[:, ::-1]
    outward = np.clip(outward, 0, np.array(sizes) - 1)
    bare = ~union[tuple(outward.T)]
    surface, normals = surface[bare], normals[bare]
    places = nodes[near]
    distance, nearest = cKDTree(surface).query(places)
    side = np.where(solid, 1.0, -1.0)
    exact = side[near] * distance
    # The distance to the nearest of many points is too large where it is small, and rough; there
    # the distance to that point's tangent plane is exact.
    close = np.flatnonzero(distance < 0.3)
    gap = places[close] - surface[nearest[close]]
    plane = -np.einsum("nc,nc->n", gap, normals[nearest[close]])
    exact[close] = np.where(np.abs(plane - exact[close]) < 0.15, plane, exact[close])
    signed = 2.0 * side
    signed[near] = exact
    # The nostrils are filled where they are narrow, so that no displacement can join them. The
    # closing is exact to a cell only, so it counts only where it fills something.
    inner = np.all((nodes > NOSE_BOX[0]) & (nodes < NOSE_BOX[1]), axis=3)
    outside = ndimage.distance_transform_edt(~union) * fine
    closed = ndimage.distance_transform_edt(outside < NOSTRIL / 2.0) * fine - NOSTRIL / 2.0
    closed = ndimage.gaussian_filter(closed.astype(np.float32), 1.0)[::2, ::2, ::2]
    signed = np.where(inner, np.maximum(signed, closed - 0.15), signed)
    signed = _one_body(signed)
    height = (nodes[..., 1] - NECK - SLOPE * nodes[..., 2]) / np.hypot(1.0, SLOPE)
    blend = np.clip(0.5 + 0.5 * (height - signed) / NECK_ROUNDING, 0.0, 1.0)
    cut = height + (signed - height) * blend - NECK_ROUNDING * blend * (1.0 - blend)
    return np.clip(cut, -2.0, 2.0).astype(np.float32)


def _scatter(
    vertices: np.ndarray, triangles: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random places (count, 3) on a mesh, an even share by area, and their normals (count, 3).

    The triangles are curved by their normals: the skull's are a centimetre wide, and flat ones
    would show.

    References
    ----------
    Boubekeur and Alexa, "Phong tessellation", SIGGRAPH Asia 2008, with alpha = 3/4.
    """
    rng = np.random.default_rng(0)
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    chosen = rng.choice(len(area), count, p=area / area.sum())
    weights = rng.dirichlet((1.0, 1.0, 1.0), count).astype(np.float32)
    at_corners = vertex_normals(vertices, triangles)[triangles[chosen]]
    normals = np.einsum("nk,nkc->nc", weights, at_corners)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    flat = np.einsum("nk,nkc->nc", weights, corners[chosen])
    above = np.einsum("nkc,nkc->nk", flat[:, None] - corners[chosen], at_corners)
    curved = flat - 0.75 * np.einsum("nk,nk,nkc->nc", weights, above, at_corners)
    return curved, normals


def _one_body(signed: np.ndarray) -> np.ndarray:
    """Turn specks in the air into air and bubbles in the body into body."""
    for sign in (1, -1):
        pieces, _ = ndimage.label(sign * signed > 0.0)
        largest = np.bincount(pieces.ravel())[1:].argmax() + 1
        signed = np.where((pieces > 0) & (pieces != largest), -sign * 0.02, signed)
    return signed


class Decoder(nn.Module):
    """Weights of the modes to the field that leads back to the template, and to landmarks.

    Parameters
    ----------
    coefficients : int
    rank : int
        How many fields the decoder mixes.
    """

    def __init__(self, coefficients: int, rank: int = 64) -> None:
        super().__init__()
        self.mix = nn.Sequential(
            nn.Linear(coefficients, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU()
        )
        self.bent = nn.Linear(256, rank)
        self.straight = nn.Linear(coefficients, rank)
        self.head = nn.Parameter(torch.randn(rank, 3, *HEAD_BOX.shape) * 0.01)
        self.face = nn.Parameter(torch.randn(rank, 3, *FACE_BOX.shape) * 0.01)
        self.landmarks = nn.Linear(coefficients, 68 * 3)
        window = np.ones(FACE_BOX.shape, dtype=np.float32)
        for axis, count in enumerate(FACE_BOX.shape):
            ramp = np.minimum(np.arange(count), np.arange(count)[::-1]) / 4.0
            shape = [1, 1, 1]
            shape[axis] = count
            window *= np.clip(ramp, 0.0, 1.0).reshape(shape)
        self.register_buffer("window", torch.from_numpy(window))

    def fields(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Displacement fields (N, 3, Z, Y, X), centimetres, over ``HEAD_BOX`` and ``FACE_BOX``."""
        latent = self.bent(self.mix(weights)) + self.straight(weights)
        head = (latent @ self.head.flatten(1)).view(-1, *self.head.shape[1:])
        face = (latent @ self.face.flatten(1)).view(-1, *self.face.shape[1:])
        return head, face * self.window

    def displacement(self, fields: tuple[Tensor, Tensor], places: Tensor) -> Tensor:
        """Way (N, D, H, W, 3) to the template, centimetres, from places (N, D, H, W, 3)."""
        head, face = fields
        total = HEAD_BOX.sample(head, places) + FACE_BOX.sample(face, places)
        return total.permute(0, 2, 3, 4, 1)


def bending(fields: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared second difference of the fields: what the smoothness term charges."""
    total = fields[0].new_zeros(())
    for field in fields:
        for axis in (2, 3, 4):
            total = total + field.diff(n=2, dim=axis).square().mean()
    return total


def surface_points(model: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N,) that the decoder is fitted at, and their weights (N,) float32.

    The skin; its inner parts, the sockets of the eyes, are hidden by the eyeballs.
    """
    face, head = model.parts["face"], model.parts["head_and_neck"]
    eyes = [model.parts["eyeball_left"], model.parts["eyeball_right"]]
    chosen = np.concatenate(
        [np.arange(*face), np.arange(*head), *(np.arange(a, b, 3) for a, b in eyes)]
    )
    place = model.neutral[chosen]
    keep = (place[:, 1] > -15.5) & ((chosen < head[1]) | (place[:, 2] > 8.3))
    chosen, place = chosen[keep], place[keep]
    weight = np.where(chosen < face[1], 1.0, 1.5).astype(np.float32)
    return chosen, weight


def head_normals(model: HeadModel, vertices: np.ndarray) -> np.ndarray:
    """Outward normals (V, 3) float32 of a head."""
    return vertex_normals(vertices, model.closed)
