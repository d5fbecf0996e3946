# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The regressor treats left and right alike, and looks where it put the head."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

import itertools

import torch

from models.training.head_model import HeadModel
from models.training.networks import (
    LOOKS,
    MIRROR_GUIDANCE,
    MIRROR_POSE,
    SITES,
    Look,
    Regressor,
    place,
)
from models.training.train import Truth, fit_fixed_layers
from vrn_blender.reconstruction.crop import CROP_SIZE
from vrn_blender.reconstruction.guidance import CHANNELS


@pytest.fixture(scope="module")
def network(model: HeadModel) -> Regressor:
    torch.manual_seed(3)
    network = Regressor(len(model.modes)).eval()
    fit_fixed_layers(network, Truth(model), model)
    return network


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = (CROP_SIZE, CROP_SIZE)
    return (
        torch.rand(1, 3, *size, generator=generator),
        torch.rand(1, CHANNELS, *size, generator=generator),
    )


def test_a_mirrored_photo_gives_the_mirrored_head(network: Regressor, model: HeadModel) -> None:
    truth = Truth(model)
    image, guidance = inputs()
    turned = guidance.flip(3) * torch.tensor(MIRROR_GUIDANCE)[:, None, None]
    with torch.no_grad():
        pose, shape = network(image, guidance)
        other_pose, other_shape = network(image.flip(3), turned)
    assert (pose * torch.tensor(MIRROR_POSE) - other_pose).abs().max() < 1e-4
    gap = truth.vertices(network.mirror(shape)) - truth.vertices(other_shape)
    assert gap.abs().max() < 0.02


@torch.no_grad()
def test_a_mirrored_pose_places_the_mirrored_head(network: Regressor, model: HeadModel) -> None:
    truth = Truth(model)
    pose = torch.tensor([[0.02, -0.03, 0.05, 0.01, 0.02, -0.04, 0.1, -0.2, 0.06, -0.03]])
    shape = torch.randn(1, len(model.modes), generator=torch.Generator().manual_seed(2))
    (here,) = place(truth.vertices(shape), pose)
    (there,) = place(truth.vertices(network.mirror(shape)), pose * torch.tensor(MIRROR_POSE))
    across = torch.tensor([-1.0, 1.0, 1.0])
    mirrored = here * across + torch.tensor([float(CROP_SIZE), 0.0, 0.0])
    gap = torch.cdist(there[68:], mirrored).min(1).values
    # Not every compared vertex has its mirror image among them.
    assert np.quantile(gap.numpy(), 0.5) < 3.0
    assert torch.linalg.norm(there[68:].mean(0) - mirrored[68:].mean(0)) < 1.0


def test_the_sites_are_where_the_head_model_has_them(network: Regressor, model: HeadModel) -> None:
    truth = Truth(model)
    shape = torch.randn(4, len(model.modes), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        ours = network.sites(shape).view(4, SITES, 3)
    assert (ours - truth.vertices(shape)[:, truth.sites]).abs().max() < 0.01


def test_each_look_reads_the_features_under_its_sites() -> None:
    """Features that say where they are let a look read back where its sites lie."""
    x = (torch.arange(48) * 4.0 + 2.0).expand(48, 48)
    features = torch.stack([x, x.T])[None]
    placed = torch.rand(1, SITES, 3) * 150 + 20
    look = Look(5, 2)
    with torch.no_grad():
        look.read.zero_()
        look.read[:, 0, 0] = look.read[:, 1, 1] = 1.0
        found = look(features, placed, torch.zeros(1, 10), torch.zeros(1, 5)).offset
    assert (found[..., :2] - placed[..., :2]).abs().max() < 1e-2


def test_the_first_estimate_is_followed_by_one_for_each_look(network: Regressor) -> None:
    with torch.no_grad():
        estimates = network.estimates(*inputs())
    assert len(estimates) == 1 + LOOKS
    for before, after in itertools.pairwise(estimates):
        expected = place(network.sites(before.shape).view(1, SITES, 3), before.pose)
        assert (after.placed - expected).abs().max() < 1e-3
