# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The paper's networks train on the shards and are exported as what the add-on can run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba", reason="needs the packages of the extra “train”")
pytest.importorskip("torch", reason="needs the packages of the extra “train”")
pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

import torch
from torch.utils.data import DataLoader

from models.training.data import Batch
from models.training.head_model import HeadModel
from models.training.paper import (
    CELL,
    NETWORKS,
    PaperNetwork,
    Volumes,
    describe,
    export,
    loss,
    read_landmarks,
    train,
)
from models.training.synthesise import STORED_SIZE, Sample, loss_vertices, write_shard
from tests.training import solids
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH, Crop
from vrn_blender.reconstruction.guidance import CHANNELS, DEPTH_UNIT, no_guidance
from vrn_blender.reconstruction.network import Network

FEATURES = 16
RADIUS = 9.0


def ball_head() -> HeadModel:
    """Head model whose one head is a ball, its landmarks as many of its vertices."""
    vertices, triangles = solids.sphere((0.0, 0.0, 0.0), RADIUS, 600)
    return HeadModel(
        neutral=vertices,
        modes=np.zeros((1, len(vertices), 3), np.float32),
        identities=1,
        expression_names=(),
        parts={"face": (0, 400), "head_and_neck": (400, len(vertices))},
        part_triangles={},
        closed=triangles,
        landmarks=np.linspace(0, len(vertices) - 1, 68).astype(np.int32),
    )


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Folder of three shards; the first two are for validation."""
    picture = np.random.default_rng(0).integers(0, 256, (STORED_SIZE, STORED_SIZE, 3), np.uint8)
    sample = Sample(
        jpeg=cv2.imencode(".jpg", picture)[1].ravel(),
        coefficients=np.zeros(1, np.float32),
        rotation=np.eye(3, dtype=np.float32),
        camera=np.array([5.0, 0.01, STORED_SIZE / 2, STORED_SIZE / 2], np.float32),
        points=np.random.default_rng(0).normal(0.0, 30.0, (478, 3)).astype(np.float32) + 128.0,
        found=True,
        shown=np.ones(len(loss_vertices(ball_head())), bool),
    )
    for number in range(3):
        write_shard(tmp_path / f"{number:05d}.npz", [sample, sample])
    return tmp_path


def first_sample(folder: Path) -> Batch:
    return next(iter(Volumes(folder, ball_head(), 1, guided=0.0)))


def test_the_target_is_the_closed_head_where_the_photo_shows_it(shards: Path) -> None:
    sample = first_sample(shards)
    assert sample["volume"].shape == (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)
    assert sample["volume"].dtype == np.uint8
    inside = sample["volume"] / 255.0
    depth = np.arange(VOLUME_DEPTH) + 0.5
    scale = np.ptp(sample["landmarks"][:, 2]) / (2 * RADIUS)
    expected = 4 / 3 * np.pi * (RADIUS * scale) ** 3
    assert inside.sum() == pytest.approx(expected, rel=0.15)
    middle = (inside.sum((1, 2)) * depth).sum() / inside.sum()
    assert middle == pytest.approx(sample["landmarks"][:, 2].mean(), abs=2.0)


def test_landmarks_are_read_where_their_heat_is() -> None:
    cells = CROP_SIZE // CELL
    heat = torch.zeros(1, 68, cells, cells)
    heat[0, :, 11, 30] = 50.0
    depth = torch.full((1, 68, cells, cells), 0.25)
    places = read_landmarks(heat, depth)
    expected = [30.5 * CELL, 11.5 * CELL, VOLUME_DEPTH / 2 + 0.25 * DEPTH_UNIT]
    assert places[0, 7].numpy() == pytest.approx(expected, abs=0.01)


def test_the_right_answer_costs_less_than_a_wrong_one(shards: Path) -> None:
    sample = first_sample(shards)
    batch = {key: torch.from_numpy(value[None].copy()) for key, value in sample.items()}
    cells = torch.arange(CROP_SIZE // CELL) + 0.5
    x, y, z = batch["landmarks"].unbind(2)

    def answer(shift: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        across = -0.5 * (cells - (x[..., None] + shift) / CELL) ** 2
        down = -0.5 * (cells - y[..., None] / CELL) ** 2
        heat = down[..., None] + across[..., None, :]
        depth = ((z + shift - VOLUME_DEPTH / 2) / DEPTH_UNIT)[..., None, None].expand_as(heat)
        volume = (batch["volume"].float() / 255.0 - 0.5) * 20.0
        return torch.roll(volume, round(shift), 3), heat, depth

    right, wrong = loss(answer(0.0), batch), loss(answer(6.0), batch)
    assert all(right[name] < wrong[name] for name in right)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_trains_resumes_and_is_exported(
    kind: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The exporter takes most of its time for each module, however narrow.
    monkeypatch.setattr("models.training.paper.MODULES", 1)
    torch.manual_seed(0)
    guided = 1.0 if kind == "guided" else 0.0
    loader = DataLoader(Volumes(shards, ball_head(), 1, guided=guided), 1)
    network = PaperNetwork(kind, FEATURES)
    before = network.volume.weight.detach().clone()
    train(network, loader, 1, tmp_path)
    assert not torch.equal(network.volume.weight, before)
    resumed = PaperNetwork(kind, FEATURES)
    train(resumed, loader, 1, tmp_path)
    assert torch.equal(resumed.volume.weight, network.volume.weight)
    rows = [json.loads(row) for row in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1]
    assert np.isfinite(rows[0]["volume"])

    path = tmp_path / "vrn.onnx"
    export(resumed, path)
    crop = Crop(np.full((CROP_SIZE, CROP_SIZE, 3), 90, np.uint8), np.eye(2, 3))
    prediction = Network(path, "cpu").predict(crop, no_guidance())
    assert prediction.volume.shape == (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)
    assert prediction.volume.dtype == np.uint8
    assert prediction.landmarks.shape == (68, 3)


def test_only_the_guided_network_looks_at_the_guidance() -> None:
    image = torch.rand(1, 3, CROP_SIZE, CROP_SIZE)
    guidance = torch.rand(1, CHANNELS, CROP_SIZE, CROP_SIZE)
    for kind in NETWORKS:
        network = PaperNetwork(kind, FEATURES).eval()
        with torch.no_grad():
            with_it = network(image, guidance)[0]
            without = network(image, torch.zeros_like(guidance))[0]
        assert torch.equal(with_it, without) == (kind != "guided")


def test_the_papers_size_and_cost_are_told() -> None:
    assert describe(PaperNetwork("vrn", FEATURES)).startswith("vrn: 0.1 million weights, 0.")
