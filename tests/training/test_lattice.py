# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The net of quads that is laid round a head."""

from __future__ import annotations

import numpy as np

from models.training.lattice import BLOCKS, border_of_face, build, edges, subdivide


def test_the_net_is_a_symmetric_ball() -> None:
    net = build()
    pairs, count = edges(net.quads)
    assert (count == 2).all()
    assert len(net.numbers) - len(pairs) + len(net.quads) == 2
    assert np.array_equal(net.opposite[net.opposite], np.arange(len(net.numbers)))
    ours = {frozenset(quad) for quad in net.quads.tolist()}
    assert {frozenset(quad) for quad in net.opposite[net.quads].tolist()} == ours


def test_only_corners_of_the_box_of_blocks_and_of_the_face_are_stars() -> None:
    net = build()
    pairs, _ = edges(net.quads)
    valence = np.bincount(pairs.ravel())
    stars = 4 * (len(BLOCKS) + 1)
    assert np.bincount(valence).tolist()[3:] == [8 + stars, len(valence) - 8 - 2 * stars, stars]


def test_each_quad_becomes_four_in_a_row_with_its_corners_first() -> None:
    net = build()
    quads, middles = subdivide(net.quads, len(net.numbers))
    corner = np.arange(4)
    assert np.array_equal(quads.reshape(-1, 4, 4)[:, corner, corner], net.quads)
    assert quads.max() + 1 == len(net.numbers) + len(middles) + len(net.quads)
    assert (edges(quads)[1] == 2).all()


def test_the_mask_is_one_patch_whose_border_has_no_corners() -> None:
    net = build()
    quads = net.quads[net.mask()]
    pairs, count = edges(quads)
    assert len(np.unique(quads)) - len(pairs) + len(quads) == 1
    border = np.unique(pairs[count == 1])
    assert (np.bincount(quads.ravel())[border] == 2).all()
    half = [net.numbers[key] for key in border_of_face()]
    assert sorted({*half, *net.opposite[half]}) == border.tolist()
