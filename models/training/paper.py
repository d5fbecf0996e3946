# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The paper's networks, VRN, VRN-Guided and VRN-Multitask, as they train and as they are exported.

    python -m models.training.paper --network guided --steps 200000 --export vrn-guided.onnx

They keep the contract of the network that ships, and train on the same shards. Training resumes
from ``network.pt`` in its folder; ``log.jsonl`` beside it holds a line for every hundred steps.

Where they differ from the paper: guidance is this project's five channels instead of 68 Gaussians;
landmarks have a depth; and since the contract asks every network for landmarks, VRN and VRN-Guided
read them off their last features, without training these for it.

References
----------
.. [1] Jackson, Bulat, Argyriou, Tzimiropoulos, "Large Pose 3D Face Reconstruction from a Single
   Image via Direct Volumetric CNN Regression", ICCV 2017, sections 3.3 and 3.4, figure 4.
.. [2] Newell, Yang, Deng, "Stacked hourglass networks for human pose estimation", ECCV 2016.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS, DEPTH_UNIT

from .data import Batch, Shards
from .export import publish, trace
from .head_model import DEFAULT_MODEL, load_head_model
from .raster import occupancy
from .synthesise import project_stored

NETWORKS = ("vrn", "guided", "multitask")
FEATURES = 256
DEPTH = 4
"""How often an hourglass halves its 48 x 48 cells."""

MODULES = 3
"""Residual modules at each place of an hourglass."""

CELL = 4
"""Pixels of the crop to a cell of the features."""

RATE, LOW_RATE = 1e-4, 1e-5
LOWERED = 2 / 3
"""Share of the steps after which the rate falls."""

SAVED_EVERY = 100


class Residual(nn.Module):
    """Residual module: normalised and rectified before each of its three convolutions."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.way = nn.Sequential(
            *(nn.BatchNorm2d(inputs), nn.ReLU(), nn.Conv2d(inputs, middle, 1)),
            *(nn.BatchNorm2d(middle), nn.ReLU(), nn.Conv2d(middle, middle, 3, padding=1)),
            *(nn.BatchNorm2d(middle), nn.ReLU(), nn.Conv2d(middle, outputs, 1)),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, inputs, H, W) to (N, outputs, H, W)."""
        return self.way(x) + self.skip(x)


def _modules(features: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(features, features) for _ in range(MODULES)))


class Hourglass(nn.Module):
    """Features at ever lower resolution and back, with a way past at each."""

    def __init__(self, features: int, depth: int = DEPTH) -> None:
        super().__init__()
        self.past = _modules(features)
        self.down = _modules(features)
        self.inner = Hourglass(features, depth - 1) if depth > 1 else _modules(features)
        self.up = _modules(features)

    def forward(self, x: Tensor) -> Tensor:
        """Shape and meaning of ``x`` (N, C, H, W) stay."""
        low = self.up(self.inner(self.down(functional.max_pool2d(x, 2))))
        return self.past(x) + functional.interpolate(low, scale_factor=2.0)


class Stage(nn.Module):
    """An hourglass of the stack, added to what it got."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            Hourglass(features),
            Residual(features, features),
            nn.Conv2d(features, features, 1),
            nn.BatchNorm2d(features),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape and meaning of ``x`` (N, C, H, W) stay."""
        return x + self.way(x)


class PaperNetwork(nn.Module):
    """One of the paper's three networks.

    Parameters
    ----------
    kind : {"vrn", "guided", "multitask"}
        ``vrn`` and ``guided`` are two stacked hourglasses. ``multitask`` has three: the first
        feeds a fork of two, one for the volume and one for the landmarks.
    features : int
        Channels of the residual modules.
    """

    def __init__(self, kind: str, features: int = FEATURES) -> None:
        super().__init__()
        self.kind = kind
        inputs = 3 + (CHANNELS if kind == "guided" else 0)
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, features // 4, 7, 2, 3),
            nn.BatchNorm2d(features // 4),
            nn.ReLU(),
            Residual(features // 4, features // 2),
            nn.MaxPool2d(2),
            Residual(features // 2, features // 2),
            Residual(features // 2, features),
        )
        self.first = Stage(features)
        self.second = Stage(features)
        self.fork = Stage(features) if kind == "multitask" else None
        self.volume = nn.Conv2d(features, VOLUME_DEPTH, 1)
        self.places = nn.Conv2d(features, 2 * 68, 1)

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        image : (N, 3, 192, 192)
            RGB, 0 to 1.
        guidance : (N, 5, 192, 192)
            Only ``guided`` looks at it.

        Returns
        -------
        volume : (N, 200, 192, 192)
            Logits of the occupancy.
        heat : (N, 68, 48, 48)
            Logits of where each landmark is.
        depth : (N, 68, 48, 48)
            How deep it is if it is there, in units of 64 voxels from the volume's middle.
        """
        seen = torch.cat([image, guidance], 1) if self.kind == "guided" else image
        shared = self.first(self.stem(seen))
        features = self.second(shared)
        volume = functional.interpolate(
            self.volume(features), scale_factor=float(CELL), mode="bilinear"
        )
        marked = features.detach() if self.fork is None else self.fork(shared)
        heat, depth = self.places(marked).chunk(2, 1)
        return volume, heat, depth


def read_landmarks(heat: Tensor, depth: Tensor) -> Tensor:
    """Landmarks (N, 68, 3), volume frame, as the means of their heat maps (N, 68, H, W)."""
    weight = heat.flatten(2).softmax(2)
    centres = (torch.arange(heat.shape[3], device=heat.device) + 0.5) * CELL
    x = (weight.view_as(heat).sum(2) * centres).sum(2)
    y = (weight.view_as(heat).sum(3) * centres).sum(2)
    z = (weight * depth.flatten(2)).sum(2) * DEPTH_UNIT + VOLUME_DEPTH / 2
    return torch.stack([x, y, z], 2)


def read_spread(heat: Tensor) -> Tensor:
    """Read the standard deviations (N, 68) of heat maps (N, 68, H, W) about their means, voxels."""
    weight = heat.flatten(2).softmax(2).view_as(heat)
    variance = heat.new_zeros(heat.shape[:2])
    for axis in (2, 3):
        centres = (torch.arange(heat.shape[5 - axis], device=heat.device) + 0.5) * CELL
        share = weight.sum(axis)
        mean = (share * centres).sum(2, keepdim=True)
        variance = variance + (share * (centres - mean) ** 2).sum(2)
    return variance.sqrt()


class Volumes(Shards):
    """Samples of the shards with the volume and the landmarks that the network shall give.

    The parameters are those of ``Shards``.
    """

    def __iter__(self) -> Iterator[Batch]:
        """Yield samples: ``image``, ``guidance``, ``volume`` uint8, ``landmarks``."""
        for sample in super().__iter__():
            vertices = self.model.shape(sample["coefficients"])
            placed = project_stored(vertices, sample["rotation"], sample["camera"])
            size = (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)
            solid = occupancy(placed, self.model.closed, size)
            yield {
                "image": sample["image"],
                "guidance": sample["guidance"],
                "volume": (solid * 255.0 + 0.5).astype(np.uint8),
                "landmarks": placed[self.model.landmarks],
            }


def loss(outputs: tuple[Tensor, Tensor, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sigmoid cross-entropy of the volume, and what the landmarks add.

    Heat maps are held to Gaussians of one cell, as in the paper, but by the cross-entropy of their
    softmax, which is how ``read_landmarks`` reads them.
    """
    volume, heat, depth = outputs
    target = batch["volume"].float() / 255.0
    cells = torch.arange(heat.shape[3], device=heat.device) + 0.5
    x, y, z = batch["landmarks"].float().unbind(2)
    across = torch.exp(-0.5 * (cells - x[..., None] / CELL) ** 2)
    down = torch.exp(-0.5 * (cells - y[..., None] / CELL) ** 2)
    spot = down[..., None] * across[..., None, :]
    spot = spot / spot.sum((2, 3), keepdim=True).clamp(min=1e-6)
    found = (depth * spot).sum((2, 3))
    return {
        "volume": functional.binary_cross_entropy_with_logits(volume, target),
        "heat": -(spot.flatten(2) * heat.flatten(2).log_softmax(2)).sum(2).mean() * 0.01,
        "depth": functional.smooth_l1_loss(found, (z - VOLUME_DEPTH / 2) / DEPTH_UNIT) * 0.1,
    }


def train(
    network: PaperNetwork, batches: Iterable[dict[str, Tensor]], steps: int, folder: Path
) -> None:
    """Train until so many steps are done, counted from the first run.

    Parameters
    ----------
    network : PaperNetwork
        On the device to train on.
    batches : iterable of dict of str to Tensor
        Batches of ``Volumes``.
    steps : int
    folder : Path
        Of the checkpoint and the log.
    """
    device = next(network.parameters()).device
    optimiser = torch.optim.RMSprop(network.parameters(), lr=RATE)
    checkpoint, done = folder / "network.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device)
        network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        done = state["step"]
    network.train()
    bar = tqdm(total=steps, initial=done, unit="step", disable=not os.isatty(2))
    for step, raw in zip(range(done + 1, steps + 1), batches, strict=False):
        for group in optimiser.param_groups:
            group["lr"] = RATE if step <= LOWERED * steps else LOW_RATE
        batch = {key: value.to(device, non_blocking=True) for key, value in raw.items()}
        image = batch["image"].permute(0, 3, 1, 2).float() / 255.0
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            outputs = network(image, batch["guidance"])
        volume, heat, depth = (output.float() for output in outputs)
        parts = loss((volume, heat, depth), batch)
        optimiser.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimiser.step()
        bar.update()
        if step % SAVED_EVERY == 0 or step == steps:
            row = {"step": step} | {key: value.item() for key, value in parts.items()}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            state = {"network": network.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save(state | {"step": step}, checkpoint.with_suffix(".part"))
            checkpoint.with_suffix(".part").replace(checkpoint)
            bar.set_postfix({key: f"{value:.4f}" for key, value in row.items() if key != "step"})


class Exported(nn.Module):
    """A network with the outputs of the contract."""

    def __init__(self, network: PaperNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image and guidance to volume (N, 200, 192, 192) uint8, landmarks (N, 68, 3) and doubt.

        The doubt (N, 68) is how far each heat map spreads about its mean, voxels.
        """
        volume, heat, depth = self.network(image, guidance)
        occupied = (torch.sigmoid(volume) * 255.0 + 0.5).to(torch.uint8)
        return occupied, read_landmarks(heat, depth), read_spread(heat)


def describe(network: PaperNetwork) -> str:
    """Size and cost of a network; two operations to a multiplication with addition."""
    image, guidance = _inputs(next(network.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(image, guidance)
    weights = sum(parameter.numel() for parameter in network.parameters())
    return (
        f"{network.kind}: {weights / 1e6:.1f} million weights, "
        f"{counter.get_total_flops() / 1e9:.1f} GFLOPs a photo"
    )


def export(network: PaperNetwork, path: Path) -> None:
    """Write a network as ONNX, with the description beside it that the add-on asks for.

    Parameters
    ----------
    network : PaperNetwork
    path : Path
    """
    exported = Exported(network).eval().cpu()
    publish(trace(exported), exported, path, f"paper-{network.kind}")


def _inputs(device: torch.device) -> tuple[Tensor, Tensor]:
    image = torch.rand(1, 3, CROP_SIZE, CROP_SIZE, device=device)
    return image, torch.zeros(1, CHANNELS, CROP_SIZE, CROP_SIZE, device=device)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, required=True)
    parser.add_argument("--steps", type=int, default=200_000, help="of all runs together")
    parser.add_argument("--export", type=Path, help="write the trained network here, ONNX")
    parser.add_argument("--features", type=int, default=FEATURES)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--shards", type=Path, default=Path("models/training/runs/shards"))
    parser.add_argument("--output", type=Path, default=None, help="folder of the checkpoint")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(arguments.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = PaperNetwork(arguments.network, arguments.features).to(device)
    print(describe(network))
    folder = arguments.output or Path(f"models/training/runs/paper-{arguments.network}")
    folder.mkdir(parents=True, exist_ok=True)
    guided = 1.0 if arguments.network == "guided" else 0.0
    model = load_head_model(arguments.model)
    volumes = Volumes(arguments.shards, model, arguments.seed, guided=guided)
    loader = DataLoader(volumes, arguments.batch, num_workers=arguments.workers)
    train(network, loader, arguments.steps, folder)
    if arguments.export:
        export(network, arguments.export)


if __name__ == "__main__":
    main()
