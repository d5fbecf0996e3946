# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The decoder's fields lead to the template, and the volume is that head where the pose puts it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("onnx", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

import torch
from torch import Tensor

from models.training.decoder import (
    FACE_BOX,
    HEAD_BOX,
    NOSE_BOX,
    TEMPLATE_BOX,
    Box,
    Decoder,
    bending,
    surface_points,
    template_head,
)
from models.training.export import Vrn, doubling
from models.training.head_model import HeadModel
from models.training.networks import place
from models.training.synthesise import MODEL_MIDDLE
from tests.training.poses import raw_pose
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS
from vrn_blender.reconstruction.surface import extract_surface

MODES = 7
POSES = [
    ((35, -10, 15), 5.2, 0.01, (90, 100)),
    ((-60, 20, -30), 5.9, 0.02, (101, 93)),
]


@pytest.fixture(scope="module", autouse=True)
def one_seed() -> None:
    torch.manual_seed(0)


def still(decoder: Decoder) -> Decoder:
    """Give a decoder that moves nothing."""
    with torch.no_grad():
        decoder.head.zero_()
        decoder.face.zero_()
    return decoder


# Two balls that overlap, off centre, so that every turn and mirror image of them differs.
BALLS = [(np.array([0.0, 0.0, 0.0]), 7.0), (np.array([4.0, 3.0, 5.5]), 3.5)]


def balls() -> Tensor:
    """Give the signed distances of the balls, about the head's middle, in the template's place."""
    nodes = TEMPLATE_BOX.nodes() - MODEL_MIDDLE
    distances = [radius - np.linalg.norm(nodes - centre, axis=-1) for centre, radius in BALLS]
    return torch.from_numpy(np.max(distances, axis=0).clip(-2, 2).astype(np.float32))


def surface_of_balls() -> Tensor:
    """Give places (N, 3) on the balls' surface, model frame, centimetres."""
    ways = np.random.default_rng(0).normal(size=(4000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    (centre, radius), (other, other_radius) = BALLS
    one, two = centre + radius * ways, other + other_radius * ways
    one = one[np.linalg.norm(one - other, axis=1) > other_radius]
    two = two[np.linalg.norm(two - centre, axis=1) > radius]
    return torch.from_numpy((MODEL_MIDDLE + np.concatenate([one, two])).astype(np.float32))


class Constant(torch.nn.Module):
    """A regressor that says the same of every photo, and of its mirror image something else."""

    def __init__(self, pose: NDArray[np.float32], apart: float = 0.0) -> None:
        super().__init__()
        self.pose = torch.from_numpy(pose)[None]
        self.apart = self.pose.new_tensor([0.0] * 8 + [apart / 200, 0.0])

    def readings(
        self, image: torch.Tensor, guidance: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give two poses that lie so many voxels apart, and the mean shape."""
        assert image.shape[2:] == guidance.shape[2:]
        return torch.stack([self.pose - self.apart, self.pose + self.apart]), torch.zeros(
            2, 1, MODES
        )


def run(network: Vrn) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    with torch.no_grad():
        volume, landmarks, doubt = network.eval()(
            torch.zeros(1, 3, CROP_SIZE, CROP_SIZE), torch.zeros(1, CHANNELS, CROP_SIZE, CROP_SIZE)
        )
    return volume[0].numpy(), landmarks[0].numpy(), doubt[0].numpy()


def sample_nodes(box: Box, field: Tensor) -> Tensor:
    return box.sample(field, torch.from_numpy(box.nodes())[None])


@pytest.mark.parametrize("box", [HEAD_BOX, FACE_BOX, TEMPLATE_BOX])
def test_a_field_is_found_again_at_its_nodes(box: Box) -> None:
    nodes = box.nodes()
    assert nodes.shape == (*box.shape, 3)
    assert nodes[0, 0, 0] == pytest.approx(box.low, abs=1e-5)
    assert nodes[-1, -1, -1] == pytest.approx(box.high, abs=1e-5)
    steps = [np.diff(nodes[..., axis], axis=2 - axis) for axis in range(3)]
    assert all(np.allclose(step, box.spacing, rtol=0.02) for step in steps)
    field = torch.from_numpy(nodes).permute(3, 0, 1, 2)[None]
    assert (sample_nodes(box, field) - field).abs().max() < 1e-3


def test_between_nodes_a_field_is_linear_and_beyond_the_box_it_stays() -> None:
    field = torch.from_numpy(HEAD_BOX.nodes()).permute(3, 0, 1, 2)[None]
    places = torch.tensor([[1.23, -4.56, 7.89], [99.0, 0.0, -99.0]]).view(1, 2, 1, 1, 3)
    found = HEAD_BOX.sample(field, places)[0, :, :, 0, 0].T
    assert found[0].tolist() == pytest.approx([1.23, -4.56, 7.89], abs=1e-4)
    assert found[1].tolist() == pytest.approx([12.0, 0.0, -12.0], abs=1e-4)


def test_a_box_s_own_coordinates_run_from_minus_one_to_one() -> None:
    low, high = torch.tensor(HEAD_BOX.low), torch.tensor(HEAD_BOX.high)
    places = torch.stack([low, high, (low + high) / 2, 2 * high - low])
    expected = torch.tensor([-1.0, 1.0, 0.0, 3.0])[:, None].expand(-1, 3)
    assert torch.allclose(HEAD_BOX.normalised(places), expected, atol=1e-5)


def test_fields_of_zeros_lead_every_place_to_itself_on_the_template() -> None:
    decoder = still(Decoder(MODES, rank=3))
    fields = decoder.fields(torch.randn(2, MODES))
    places = torch.from_numpy(TEMPLATE_BOX.nodes()[::8, ::8, ::8].copy())[None].expand(
        2, -1, -1, -1, -1
    )
    way = decoder.displacement(fields, places)
    assert way.shape == places.shape
    assert not way.any()
    template = balls()[None, None].expand(2, -1, -1, -1, -1)
    found = TEMPLATE_BOX.sample(template, places + way)
    assert (found[:, 0] - template[:, 0, ::8, ::8, ::8]).abs().max() < 1e-4
    assert bending(fields) == 0


def test_the_face_s_own_field_fades_out_at_the_border_of_its_box() -> None:
    """Otherwise the head would have a seam there."""
    decoder = Decoder(MODES, rank=3)
    with torch.no_grad():
        decoder.face.fill_(1.0)
    _, face = decoder.fields(torch.ones(1, MODES))
    middle = tuple(n // 2 for n in FACE_BOX.shape)
    assert face[0, 0][middle].abs() > 0.01
    for axis in (2, 3, 4):
        for end in (0, -1):
            assert not face.select(axis, end).any()


@pytest.mark.parametrize(("angles", "scale", "nearness", "origin"), POSES)
def test_the_volume_is_the_template_where_the_pose_places_it(
    angles: tuple[float, float, float],
    scale: float,
    nearness: float,
    origin: tuple[float, float],
) -> None:
    """What ``place`` does to a vertex, the volume undoes for a voxel."""
    rotation = Rotation.from_euler("yxz", angles, degrees=True).as_matrix()
    raw = raw_pose(rotation, scale, nearness, np.array(origin))
    decoder = still(Decoder(MODES, rank=3))
    volume, landmarks, doubt = run(Vrn(Constant(raw, apart=3.0), decoder, balls()))
    assert volume.shape == (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)
    assert volume.dtype == np.uint8
    surface = extract_surface(volume, smoothing=0).vertices

    raw_batch = torch.from_numpy(raw)[None]
    expected = place(surface_of_balls()[None], raw_batch)[0].numpy()
    assert surface.min(axis=0) == pytest.approx(expected.min(axis=0), abs=0.3)
    assert surface.max(axis=0) == pytest.approx(expected.max(axis=0), abs=0.3)
    gap, _ = cKDTree(surface).query(expected)
    assert np.quantile(gap, 0.99) < 0.9

    own = decoder.landmarks.bias.view(1, 68, 3)
    (placed,) = place(own, raw_batch).detach().numpy()
    assert np.abs(landmarks - placed).max() < 0.01
    assert doubt == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("count", [6, 48])
def test_doubling_keeps_constants_and_straight_lines(count: int) -> None:
    """Output cells are half as wide; their middles lie a quarter of a cell about the input's."""
    matrix = doubling(count).double()
    assert matrix.shape == (2 * count, count)
    assert matrix.sum(1).numpy() == pytest.approx(1, abs=1e-6)
    finer = matrix @ torch.arange(count, dtype=torch.float64)
    places = np.arange(2 * count) / 2 - 0.25
    assert finer[3:-3].numpy() == pytest.approx(places[3:-3], abs=1e-4)
    # The outermost cells repeat, so a line levels off there.
    assert (finer.diff() > 0).all()
    assert finer[[0, -1]].numpy() == pytest.approx([0, count - 1], abs=0.03)


def test_the_volume_falls_softly_from_in_to_out() -> None:
    """Soft over a few voxels, so that eight bits place the surface between them."""
    raw = raw_pose(np.eye(3), 5.6, 0.002, np.array([96.0, 96.0]))
    network = Vrn(Constant(raw), still(Decoder(MODES, 3)), balls())
    volume, _, _ = run(network)
    assert volume[100, 96, 96] == 255
    assert volume[0].max() == 0
    column = volume[:100, 96, 96].astype(int)
    assert (np.diff(column) >= 0).all()
    assert 2 <= ((column > 25) & (column < 230)).sum() <= 5


def test_the_template_s_lips_are_a_little_apart(model: HeadModel) -> None:
    template = template_head(model)
    assert template.shape == model.neutral.shape
    upper, lower = model.landmarks[62], model.landmarks[66]
    gap = template[upper, 1] - template[lower, 1]
    assert gap > model.neutral[upper, 1] - model.neutral[lower, 1] + 0.1


def test_only_the_nose_lies_where_nostrils_are_filled(model: HeadModel) -> None:
    places = template_head(model)[model.landmarks]
    inside = ((places > NOSE_BOX[0]) & (places < NOSE_BOX[1])).all(axis=1)
    assert inside[31:36].all()
    assert not inside[:27].any()
    assert not inside[36:].any()


def test_the_decoder_is_fitted_at_skin_that_can_be_seen(model: HeadModel) -> None:
    chosen, weight = surface_points(model)
    assert chosen.shape == weight.shape
    assert len(np.unique(chosen)) == len(chosen)
    assert weight.min() > 0
    a, b = model.parts["mouth_socket"]
    assert not ((chosen >= a) & (chosen < b)).any()
    assert model.neutral[chosen, 1].min() > -15.5
