# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Shards become batches: crops are mirrored and moved, colours changed, guidance drawn or not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from torch.utils.data import IterableDataset

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import draw_points, no_guidance

from .head_model import HeadModel, mirror_modes
from .synthesise import loss_vertices, project_stored

VALIDATION_SHARDS = 2
"""The first shards are never trained on."""

GUIDED = 0.7
"""Share of the samples with landmarks that show them to the network."""

IMPROVED = 0.6
"""Share of these whose landmarks are moved some way towards the truth: MediaPipe, which was made
for photos, reads them better than renders, and the network must learn to believe it then."""

MIRRORED = 0.5
"""Share of the samples that are turned left to right."""

ACROSS = np.array([-1.0, 1.0, 1.0], dtype=np.float32)

WELL_CROPPED = 0.5
"""Share of the samples without guidance whose crop is as good as MediaPipe's; the crops of the
others are as rough as those round a box that somebody drew."""

Batch = dict[str, np.ndarray]


def augment(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change the colours of a crop (192, 192, 3) uint8, and hide parts of it."""
    ramp = np.arange(256, dtype=np.float32) / 255.0
    table = np.empty((256, 1, 3), dtype=np.uint8)
    gamma, gain, lift = np.exp(rng.normal(0, 0.25)), rng.normal(1.0, 0.15), rng.normal(0, 0.05)
    for channel in range(3):
        curve = ramp ** (gamma * np.exp(rng.normal(0, 0.06))) * gain * np.exp(rng.normal(0, 0.08))
        table[:, 0, channel] = np.clip((curve + lift) * 255.0, 0, 255)
    out = cv2.LUT(rgb, table)
    if rng.random() < 0.12:
        out = np.repeat(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.25:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.4, 1.8)))
    if rng.random() < 0.15:
        small = int(rng.integers(48, 128))
        out = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
        out = cv2.resize(out, (CROP_SIZE, CROP_SIZE))
    if rng.random() < 0.3:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * rng.uniform(1.0, 10.0)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        x, y = rng.integers(0, CROP_SIZE, 2)
        w, h = rng.integers(12, 64, 2)
        out[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return out


class Shards(IterableDataset):
    """Endless random samples of all shards that a folder holds, new ones as they appear.

    Parameters
    ----------
    folder : Path
    model : HeadModel
    seed : int
    validation : bool
        Whether to walk the validation shards once, in order and unchanged, instead.
    guided : float
        Share of the samples with landmarks that get guidance.
    """

    def __init__(
        self,
        folder: Path,
        model: HeadModel,
        seed: int,
        *,
        validation: bool = False,
        guided: float = GUIDED,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.validation = validation
        self.guided = guided
        self.canonical = load_canonical()
        self.model = model
        marks = landmark_vertices(model)
        self.neutral_marks, self.modes_at_marks = model.neutral[marks], model.modes[:, marks]
        self.mirror = mirror_modes(model)
        self.mirror_points = _opposite(self.canonical.mediapipe)
        self.mirror_shown = _opposite(model.neutral[loss_vertices(model)])

    def __iter__(self) -> Iterator[Batch]:
        """Yield samples, see ``_sample``."""
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, info.id if info else 0])
        cv2.setNumThreads(1)
        if self.validation:
            for path in self._paths()[:VALIDATION_SHARDS]:
                shard = _load(path)
                for i in range(len(shard["ends"])):
                    yield self._sample(shard, i, rng)
            return
        loaded: dict[Path, Batch] = {}
        drawn = 0
        while True:
            if drawn % 4000 == 0:
                for path in self._paths()[VALIDATION_SHARDS:]:
                    if path not in loaded:
                        loaded[path] = _load(path)
                shards = list(loaded.values())
                if not shards:
                    raise SystemExit(
                        f"{self.folder} holds no more than the {VALIDATION_SHARDS} shards that are "
                        "kept for validation; run synthesise first."
                    )
            drawn += 1
            shard = shards[rng.integers(len(shards))]
            yield self._sample(shard, int(rng.integers(len(shard["ends"]))), rng)

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    def _true_points(
        self, coefficients: np.ndarray, rotation: np.ndarray, camera: np.ndarray
    ) -> np.ndarray:
        """Places (478, 3) in the stored picture that the landmarks ought to have."""
        bent = np.tensordot(coefficients, self.modes_at_marks, 1)
        points = project_stored(self.neutral_marks + bent, rotation, camera)
        points[:, 2] -= VOLUME_DEPTH / 2
        return points

    def _sample(self, shard: Batch, i: int, rng: np.random.Generator) -> Batch:
        start = shard["ends"][i - 1] if i else 0
        picture = cv2.imdecode(shard["jpeg"][start : shard["ends"][i]], cv2.IMREAD_COLOR)
        rotation, camera = shard["rotation"][i], shard["camera"][i].copy()
        coefficients, stored = shard["coefficients"][i], shard["points"][i]
        shown = np.unpackbits(shard["shown"][i])[: len(self.mirror_shown)].astype(bool)
        if not self.validation and rng.random() < MIRRORED:
            picture = picture[:, ::-1]
            rotation = rotation * np.outer(ACROSS, ACROSS)
            camera[2] = len(picture) - camera[2]
            coefficients = self.mirror @ coefficients
            stored = stored[self.mirror_points] * ACROSS
            stored[:, 0] += len(picture)
            shown = shown[self.mirror_shown]
        guided = bool(shard["found"][i]) and (self.validation or rng.random() < self.guided)
        guided = guided and self.guided > 0
        if self.validation:
            scale, angle, shift = 1.0, 0.0, np.zeros(2)
        elif guided:
            scale, angle = np.exp(rng.normal(0, 0.03)), rng.normal(0, 0.05)
            shift = rng.normal(0, 2.0, 2)
        elif rng.random() < WELL_CROPPED:
            scale, angle = np.exp(rng.normal(0, 0.05)), rng.normal(0, 0.1)
            shift = rng.normal(0, 4.0, 2)
        else:
            scale, angle = np.exp(rng.normal(0, 0.1)), rng.normal(0, 0.17)
            shift = rng.normal(0, 18.0, 2)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        turn = np.array([[c, s], [-s, c]])
        move = np.column_stack([turn, CROP_SIZE / 2 + shift - turn @ np.full(2, len(picture) / 2)])
        shifted = move.copy()
        shifted[:, 2] += turn @ (0.5, 0.5) - 0.5
        size = (CROP_SIZE, CROP_SIZE)
        rgb = cv2.warpAffine(picture, shifted, size, borderMode=cv2.BORDER_REPLICATE)[..., ::-1]
        rgb = np.ascontiguousarray(rgb)
        if guided and not self.validation and rng.random() < IMPROVED:
            true = self._true_points(coefficients, rotation, camera)
            stored = stored + rng.random() * (true - stored)
        flat = stored[:, :2] @ turn.T + move[:, 2]
        points = np.concatenate([flat, stored[:, 2:] * scale + VOLUME_DEPTH / 2], axis=1)
        guidance = draw_points(points, self.canonical) if guided else no_guidance()
        roll = np.array([[c, -s, 0], [s, c, 0], [0, 0, scale]], dtype=np.float32) / scale
        camera[0] *= scale
        camera[2:] = turn @ camera[2:] + move[:, 2]
        return {
            "image": rgb if self.validation else augment(rgb, rng),
            "guidance": guidance,
            "guided": np.float32(guided),
            "coefficients": coefficients,
            "rotation": roll @ rotation,
            "camera": camera,
            "shown": shown,
            "points": points.astype(np.float32),
        }


def _opposite(places: np.ndarray) -> np.ndarray:
    """Pair places (N, 3) with each other's mirror images (N,), as near as may be on the whole."""
    return linear_sum_assignment(cdist(places * ACROSS, places, "sqeuclidean"))[1]


def landmark_vertices(model: HeadModel) -> np.ndarray:
    """Vertices (478,) of the head model that MediaPipe's landmarks stand for."""
    places = 100.0 * load_canonical().mediapipe[:, [0, 2, 1]] * (1.0, 1.0, -1.0)
    first, last = model.parts["face"]
    return first + cKDTree(model.neutral[first:last]).query(places)[1]


def _load(path: Path) -> Batch:
    with np.load(path) as data:
        return {key: data[key] for key in data}
