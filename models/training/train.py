# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Train the regressor on the shards that ``synthesise`` writes.

    python -m models.training.train --minutes 90

Stops by itself, writes ``regressor.pt`` at every validation and resumes from it; a new run starts
where the network that ships ended. The learning rate follows a cosine over the minutes.
``log.jsonl`` beside it holds a line for each validation, and ``log.png`` shows them.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from vrn_blender.reconstruction.canonical import load_canonical, similarity

from .correspond import to_head_frame
from .data import Shards
from .head_model import DEFAULT_MODEL, HeadModel, load_head_model, mirror_modes
from .networks import CHECKPOINT, SITES, Estimate, Regressor, place
from .pictures import draw_log, write_whole
from .synthesise import MODEL_MIDDLE, loss_vertices

BATCH = 32
RATE = 1.2e-3
AVERAGE = 0.999
"""Decay of the running average of the weights, which is what is validated and exported."""


class Truth(nn.Module):
    """The vertices that training compares, as tensors."""

    def __init__(self, model: HeadModel) -> None:
        super().__init__()
        asked = loss_vertices(model)
        self.count = len(asked)
        neutral = torch.from_numpy(model.neutral[asked])
        face = (asked < model.parts["face"][1]) & (model.neutral[asked, 2] > 1.0)
        weight = torch.where(torch.from_numpy(face), 1.0, 0.35)
        weight[neutral[:, 1] < -13.5] = 0.05
        weight[:68] = 2.0
        eyes = (neutral[:, 1] > 2) & (neutral[:, 1] < 5.2) & (neutral[:, 2] > 8)
        mouth = (neutral[:, 1] < -1.5) & (neutral[:, 1] > -5.5) & (neutral[:, 2] > 9.5)
        weight[eyes | mouth] *= 1.5
        self.register_buffer("neutral", neutral)
        self.register_buffer("modes", torch.from_numpy(model.modes[:, asked]))
        self.register_buffer("weight", weight / weight.mean())
        self.register_buffer("face", torch.from_numpy(face & (model.neutral[asked, 1] > -7.5)))
        self.register_buffer("middle", torch.from_numpy(MODEL_MIDDLE))
        size = np.linalg.norm(model.modes, axis=2).mean(1)
        self.register_buffer("size", torch.from_numpy(size.astype(np.float32)))
        self.register_buffer("sites", torch.from_numpy(spread_sites(model, asked)))

    def vertices(self, coefficients: Tensor) -> Tensor:
        """Model-frame vertices (N, V, 3), centimetres."""
        return self.neutral + torch.einsum("nk,kvc->nvc", coefficients, self.modes)

    def project(self, vertices: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Give the true places (N, V, 3) in the volume frame."""
        rotation, cam = batch["rotation"], batch["camera"]
        turned = vertices @ rotation.transpose(1, 2)
        near = cam[:, None, :1] / (1.0 - cam[:, None, 1:2] * turned[..., 2:])
        flat = cam[:, None, 2:] + turned[..., :2] * near * turned.new_tensor([1.0, -1.0])
        middle = rotation[:, 2] @ self.middle
        depth = 100.0 - cam[:, :1] * (turned[..., 2] - middle[:, None])
        return torch.cat([flat, depth[..., None]], 2)


def spread_sites(model: HeadModel, asked: np.ndarray) -> np.ndarray:
    """Choose which of the compared vertices are sites: the landmarks, then far from each other.

    Returns
    -------
    (SITES,) int64
        Rows of ``asked``.
    """
    places = model.neutral[asked].copy()
    # The face gets four times as many as the rest of the head; the neck none.
    places[places[:, 2] < 1.0] /= 2.0
    chosen = list(range(68))
    gap = np.full(len(asked), np.inf)
    gap[model.neutral[asked, 1] < -11.0] = 0.0
    for row in chosen:
        gap = np.minimum(gap, np.linalg.norm(places - places[row], axis=1))
    while len(chosen) < SITES:
        chosen.append(int(gap.argmax()))
        gap = np.minimum(gap, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return np.array(chosen)


@torch.no_grad()
def fit_fixed_layers(network: Regressor, truth: Truth, model: HeadModel, heads: int = 1000) -> None:
    """Let the regressor know where its sites are and what a mirror does; both are linear."""
    network.mirror.weight.copy_(torch.from_numpy(mirror_modes(model)))
    coefficients = torch.randn(heads, len(truth.size), device=truth.size.device)
    places = truth.vertices(coefficients)[:, truth.sites].flatten(1)
    known = torch.cat([coefficients, torch.ones_like(coefficients[:, :1])], 1)
    solution = torch.linalg.lstsq(known, places).solution
    network.sites.weight.copy_(solution[:-1].T)
    network.sites.bias.copy_(solution[-1])


def losses(
    truth: Truth, estimates: list[Estimate], batch: dict[str, Tensor]
) -> tuple[Tensor, dict[str, float]]:
    """Training loss, and its parts for the log, in voxels and millimetres.

    Parameters
    ----------
    truth : Truth
    estimates : list of Estimate
    batch : dict of str to Tensor
    """
    target_shape = truth.vertices(batch["coefficients"])
    target = truth.project(target_shape, batch)
    weight = truth.weight[None, :, None]
    shown = batch["shown"][:, : truth.count, None]
    total = target.new_zeros(())
    for estimate in estimates:
        ours_shape = truth.vertices(estimate.shape)
        placed = place(ours_shape, estimate.pose)
        gap = functional.smooth_l1_loss(placed, target, beta=1.0, reduction="none")
        vertex = (gap * weight).mean()
        # The shape on its own, in millimetres: a wrong pose must not pull at it.
        own = ((ours_shape - target_shape).abs() * weight).mean() * 10.0
        modes = ((estimate.shape - batch["coefficients"]) ** 2 * truth.size).mean() * 10.0
        # The last estimate is what counts; those before it have to lead there.
        share = 1.0 if estimate is estimates[-1] else 0.25
        total = total + share * (vertex + 0.5 * own + 0.5 * modes)
        if estimate.placed.shape[1]:
            away = estimate.placed - target[:, truth.sites]
            seen = 0.1 + shown[:, truth.sites]
            off = functional.smooth_l1_loss(estimate.offset, away, beta=0.5, reduction="none")
            total = total + 0.3 * (off * seen).sum() / seen.sum() / 3.0
    parts = {"loss": total, "loss_vertex": vertex, "loss_own": own}
    return total, {name: value.item() for name, value in parts.items()}


def mean_head_places(model: HeadModel, asked: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Place the mean head by the similarity of its landmarks to the photo's: the null.

    Returns
    -------
    (V, 3) float64
        Volume frame.
    """
    scale, rotation, translation = similarity(load_canonical().mediapipe, points)
    return scale * to_head_frame(model.neutral[asked]) @ rotation.T + translation


def face_error(ours: np.ndarray, true: np.ndarray, face: np.ndarray) -> float:
    """Normalised mean error over the face, depth offset freed, by outer interocular distance."""
    gap = ours[face] - true[face]
    gap[:, 2] -= gap[:, 2].mean()
    return float(np.linalg.norm(gap, axis=1).mean() / np.linalg.norm(true[36] - true[45]))


@torch.no_grad()
def validate(
    network: Regressor, truth: Truth, model: HeadModel, folder: Path, device: torch.device
) -> dict[str, float]:
    """Error of the guided and unguided network, and of the mean head, on unseen photos.

    The network sees each photo once, not its mirror image too.

    ``first`` is the guided network before it looks again.

    Every system is measured on the same photos: those where MediaPipe found the face.
    """
    network.eval()
    asked = loss_vertices(model)
    face = truth.face.cpu().numpy()
    rows: dict[str, list[float]] = {"guided": [], "first": [], "mean_head": [], "unguided": []}
    for guided in (1.0, 0.0):
        loader = DataLoader(Shards(folder, model, 0, validation=True, guided=guided), BATCH)
        for raw in loader:
            batch = _to(raw, device)
            first, *_, last = network.estimates(batch["image"], batch["guidance"])
            true = truth.project(truth.vertices(batch["coefficients"]), batch).cpu().numpy()
            begun = place(truth.vertices(first.shape), first.pose).cpu().numpy()
            placed = place(truth.vertices(last.shape), last.pose).cpu().numpy()
            points = batch["points"].cpu().numpy()
            for i in range(len(true)):
                found = np.abs(points[i] - points[i, 0]).max() > 0
                if not found:
                    continue
                if guided:
                    rows["first"].append(face_error(begun[i], true[i], face))
                    rows["guided"].append(face_error(placed[i], true[i], face))
                    mean = mean_head_places(model, asked, points[i])
                    rows["mean_head"].append(face_error(mean, true[i], face))
                else:
                    rows["unguided"].append(face_error(placed[i], true[i], face))
    network.train()
    return {name: float(np.mean(values)) for name, values in rows.items()}


def read_log(folder: Path) -> list[dict[str, float]]:
    """Read the lines of ``log.jsonl``."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def _to(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    out = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
    image = out["image"].permute(0, 3, 1, 2).float() / 255.0
    out["image"] = image.contiguous(memory_format=torch.channels_last)
    out["guidance"] = out["guidance"].contiguous(memory_format=torch.channels_last)
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--shards", type=Path, default=Path("models/training/runs/shards"))
    parser.add_argument("--output", type=Path, default=Path("models/training/runs/regressor"))
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--validate-every", type=float, default=8.0, help="minutes")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, default=CHECKPOINT, help="weights to begin from")
    parser.add_argument("--from-scratch", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments.output.mkdir(parents=True, exist_ok=True)
    model = load_head_model(arguments.model)
    truth = Truth(model).to(device)
    network = Regressor(len(model.modes)).to(device, memory_format=torch.channels_last)
    if arguments.start.exists() and not arguments.from_scratch:
        network.load_state_dict(torch.load(arguments.start, map_location=device)["average"])
    fit_fixed_layers(network, truth, model)
    network.sites.requires_grad_(False)
    network.mirror.requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=arguments.rate, weight_decay=0.02)
    average = copy.deepcopy(network)
    spent, step = 0.0, 0
    checkpoint = arguments.output / "regressor.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        spent, step = state["spent"], state["step"]
    loader = DataLoader(
        Shards(arguments.shards, model, arguments.seed + step), BATCH, num_workers=arguments.workers
    )
    limit = arguments.minutes * 60.0
    bar = tqdm(total=round(limit), initial=round(spent), unit="s", disable=not os.isatty(2))
    last_validation = spent
    running: dict[str, float] = {}
    clock = time.monotonic()
    for raw in loader:
        batch = _to(raw, device)
        share = min(1.0, spent / limit)
        rate = arguments.rate * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = max(rate, arguments.rate * 1e-3)
        estimates = network.estimates(batch["image"], batch["guidance"])
        total, parts = losses(truth, estimates, batch)
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        step += 1
        _follow(average, network, min(AVERAGE, step / (step + 20.0)))
        for key, value in parts.items():
            running[key] = 0.98 * running.get(key, value) + 0.02 * value
        now = time.monotonic()
        bar.update(round(spent + now - clock) - round(spent))
        spent, clock = spent + now - clock, now
        bar.set_postfix({k: f"{v:.2f}" for k, v in running.items()})
        if spent - last_validation > arguments.validate_every * 60.0 or spent >= limit:
            last_validation = spent
            state = {"network": network.state_dict(), "average": average.state_dict()}
            state |= {"optimiser": optimiser.state_dict(), "spent": spent, "step": step}
            torch.save(state, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            row = {"step": step, "samples": step * BATCH, "minutes": round(spent / 60, 1)}
            row |= validate(average, truth, model, arguments.shards, device) | running
            with (arguments.output / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            tqdm.write(json.dumps(row))
            write_whole(arguments.output / "log.png", draw_log(read_log(arguments.output)))
            clock = time.monotonic()
        if spent >= limit:
            break


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for ours, theirs in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if ours.dtype.is_floating_point:
            ours.mul_(decay).add_(theirs, alpha=1.0 - decay)
        else:
            ours.copy_(theirs)


if __name__ == "__main__":
    main()
