# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The mean head's quads are sound, and so is their atlas."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.mesh import REGIONS
from vrn_blender.reconstruction.neck import HEIGHT, SLOPE
from vrn_blender.reconstruction.topology import Topology, load_topology

from .atlas_measures import border_loop, painted, stretch, turns


@pytest.fixture(scope="module")
def topology() -> Topology:
    return load_topology()


def edges(quads: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    pairs = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    return np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)


@pytest.mark.parametrize("kind", ["quads", "light_quads"])
def test_the_quads_are_one_closed_ball(topology: Topology, kind: str) -> None:
    quads = getattr(topology, kind)
    pairs, count = edges(quads)
    assert (count == 2).all()
    assert quads.max() + 1 - len(pairs) + len(quads) == 2


def test_there_are_as_many_as_a_sculptor_and_a_game_want(topology: Topology) -> None:
    assert 6_000 <= len(topology.quads) <= 10_000
    assert 1_500 <= len(topology.light_quads) <= 2_500


def test_nearly_every_vertex_has_four_edges(topology: Topology) -> None:
    pairs, _ = edges(topology.quads)
    assert (np.bincount(pairs.ravel()) == 4).mean() > 0.99


def test_the_light_surface_has_the_same_atlas(topology: Topology) -> None:
    fine = {(v, *c) for q, u in zip(topology.quads, topology.uv, strict=True)
            for v, c in zip(q.tolist(), u.tolist(), strict=True)}  # fmt: skip
    light = {(v, *c) for q, u in zip(topology.light_quads, topology.light_uv, strict=True)
             for v, c in zip(q.tolist(), u.tolist(), strict=True)}  # fmt: skip
    assert light < fine


def test_no_faces_overlap_in_the_atlas(topology: Topology) -> None:
    assert topology.uv.min() >= 0 and topology.uv.max() <= 1
    layers = painted(topology.uv, 1024)
    assert layers.max() == 1
    assert (layers > 0).mean() > 0.55


def test_the_face_is_large_and_hardly_stretched(topology: Topology) -> None:
    middle = topology.vertices[topology.quads].mean(axis=1)
    face = (middle[:, 1] < -0.05) & (middle[:, 2] > -0.07) & (middle[:, 2] < 0.08)
    ratio, size = stretch(topology.vertices[topology.quads], topology.uv)
    assert np.median(ratio[face]) < 1.3
    assert np.percentile(ratio[face], 95) < 2.0
    assert np.median(size[face]) > 1.2 * np.median(size[~face])


def test_the_atlas_and_the_regions_are_symmetric(topology: Topology) -> None:
    u = topology.uv.reshape(-1, 2)
    main = u[:, 1] > 0.13
    mean = topology.vertices[topology.quads].reshape(-1, 3)
    left = mean[:, 0] > 1e-6
    assert np.allclose(np.sort(u[main & left, 0]), 1 - np.sort(1 - u[main & left, 0])[::-1])
    ours, theirs = (np.sort(u[main & side, 1]) for side in (left, mean[:, 0] < -1e-6))
    assert np.allclose(ours, theirs, atol=1e-5)


def test_the_neck_ends_in_one_plane_all_round(topology: Topology) -> None:
    under = np.unique(topology.quads[topology.underside])
    height = topology.vertices @ (0.0, -SLOPE, 1.0) - HEIGHT
    assert np.abs(height[under]).max() < 1e-4
    assert height[np.setdiff1d(topology.quads, under)].min() > 0.001
    rim = border_loop(topology.vertices, topology.quads[topology.underside])
    step = np.linalg.norm(rim - np.roll(rim, 1, axis=0), axis=1)
    assert step.max() < 2.0 * step.min()
    assert turns(rim).max() < 30.0


def test_the_nape_and_what_is_below_the_ears_is_no_scalp(topology: Topology) -> None:
    places = {
        (0.0, 0.055, -0.055): "neck",
        (0.05, 0.02, -0.045): "neck",
        (0.0, 0.085, 0.0): "scalp",
        (0.062, 0.045, 0.01): "scalp",
        (0.08, 0.0, -0.015): "ears",
        (0.085, 0.012, 0.03): "ears",
    }
    for place, name in places.items():
        vertex = np.linalg.norm(topology.vertices - np.array(place), axis=1).argmin()
        assert REGIONS[topology.regions[vertex].argmax()] == name, place


def test_regions_fade_into_each_other(topology: Topology) -> None:
    pairs, _ = edges(topology.quads)
    step = np.abs(topology.regions[pairs[:, 0]] - topology.regions[pairs[:, 1]])
    assert step.max() < 0.4


def test_regions_lie_where_the_landmarks_do(topology: Topology) -> None:
    marks = load_canonical().multipie
    for name, which in (("lips", [62, 66]), ("nose", [28, 30]), ("brows", [19, 24]), ("chin", [8])):
        for mark in marks[which]:
            vertex = np.linalg.norm(topology.vertices - mark, axis=1).argmin()
            assert REGIONS[topology.regions[vertex].argmax()] == name
    assert topology.regions.sum(axis=1).max() < 1.02
    assert (topology.regions.max(axis=0) > 0.8).all()
