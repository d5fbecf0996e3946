# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The VRN that ships, in two parts that train apart and are exported as one graph.

The *regressor* sees crop and guidance, and says how the head is posed and what shape it has. Then
it looks again, several times: at the places where its own estimate puts the head, what it sees
there tells how far the estimate is off. The *decoder* turns a shape into a volume: a field that
leads from each place of this head to the same place of a template head, whose signed distances are
then looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS

from .synthesise import MODEL_MIDDLE

CHECKPOINT = Path(__file__).with_name("checkpoint.pt")
"""Where the last exported network's training ended, in half precision; the next starts there."""

# Where the regressor starts: crop pixels a centimetre of the mean head, and a telephoto lens.
NOMINAL_SCALE = 5.6
NOMINAL_NEARNESS = 0.01

# Places of the head that the regressor looks at again, what it reads at each, and how often.
SITES = 256
READINGS = 8
LOOKS = 4

# Signs of the raw pose, and of the guidance's channels, of the mirror image.
MIRROR_POSE = (1.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, 1.0)
MIRROR_GUIDANCE = (1.0, -1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Estimate:
    """What the regressor believes after a look.

    Attributes
    ----------
    pose : (N, 10)
        Raw pose, see ``camera``.
    shape : (N, K)
        Weights of the head model's modes.
    placed : (N, SITES, 3)
        Where the look was taken, volume frame, voxels; for the first estimate, that was nowhere,
        and there are no sites.
    offset : (N, SITES, 3)
        How far the sites seemed to be from where they ought to be, voxels.
    """

    pose: Tensor
    shape: Tensor
    placed: Tensor
    offset: Tensor


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape and meaning of ``x`` (N, C, H, W) stay."""
        return functional.relu(x + self.second(self.first(x)))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Look(nn.Module):
    """Read the picture's features where the estimate puts the sites, and improve the estimate.

    References
    ----------
    Zhang et al., "PyMAF: 3D human pose and shape regression with pyramidal mesh alignment feedback
    loop", ICCV 2021, section 3.2.
    """

    def __init__(self, coefficients: int, channels: int) -> None:
        super().__init__()
        self.read = nn.Parameter(torch.randn(SITES, channels, READINGS) * channels**-0.5)
        self.hidden = nn.Linear(SITES * READINGS + 10 + coefficients, 384)
        self.pose = nn.Linear(384, 10)
        self.shape = nn.Linear(384, coefficients)
        for layer in (self.pose, self.shape):
            nn.init.zeros_(layer.bias)
            nn.init.normal_(layer.weight, std=1e-3)

    def forward(self, features: Tensor, placed: Tensor, pose: Tensor, shape: Tensor) -> Estimate:
        """Look at features (N, C, 48, 48) of the crop once."""
        grid = placed[:, :, None, :2] / (CROP_SIZE / 2) - 1.0
        seen = functional.grid_sample(
            features, grid, align_corners=False, padding_mode="border"
        ).squeeze(3)
        readings = (seen.permute(2, 0, 1) @ self.read).permute(1, 0, 2)
        known = torch.cat([readings.flatten(1), pose, shape], 1)
        hidden = functional.relu(self.hidden(known))
        return Estimate(
            pose + self.pose(hidden), shape + self.shape(hidden), placed, readings[..., :3]
        )


class Regressor(nn.Module):
    """Crop and guidance to pose and shape.

    Parameters
    ----------
    coefficients : int
        Modes of the head model.
    widths : sequence of int
        Channels at 96, 48, 24, 12 and 6 pixels.
    """

    def __init__(self, coefficients: int, widths: tuple[int, ...] = (16, 32, 64, 128, 224)) -> None:
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(
            nn.Conv2d(3 + CHANNELS, a, 4, 2, 1, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(inplace=True),
        )
        self.stage48 = nn.Sequential(_convolution(a, b, 2), Block(b))
        self.stage24 = nn.Sequential(_convolution(b, c, 2), Block(c), Block(c))
        self.stage12 = nn.Sequential(_convolution(c, d, 2), Block(d), Block(d))
        self.stage6 = nn.Sequential(_convolution(d, e, 2), Block(e))
        self.squeeze = nn.Sequential(nn.Conv2d(e, 64, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.hidden = nn.Linear(64 * 36, 512)
        self.statistics = nn.Sequential(nn.Linear(43, 128), nn.ReLU(), nn.Linear(128, 512))
        self.pose = nn.Linear(512, 10)
        self.shape = nn.Linear(512, coefficients)
        self.up12 = nn.Conv2d(e, 64, 1)
        self.side12 = nn.Conv2d(d, 64, 1)
        self.up24 = _convolution(64, 48)
        self.side24 = nn.Conv2d(c, 48, 1)
        self.up48 = _convolution(48, 32)
        self.side48 = nn.Conv2d(b, 32, 1)
        self.sites = nn.Linear(coefficients, SITES * 3)
        self.mirror = nn.Linear(coefficients, coefficients, bias=False)
        self.looks = nn.ModuleList(Look(coefficients, 32) for _ in range(LOOKS))
        for layer in (self.pose, self.shape):
            nn.init.zeros_(layer.bias)
            nn.init.normal_(layer.weight, std=1e-3)

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Give the mean (N, 10) and (N, K) of what ``readings`` gives."""
        poses, shapes = self.readings(image, guidance)
        return poses.mean(0), shapes.mean(0)

    def readings(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network on the photo and on its mirror image.

        Parameters
        ----------
        image : (N, 3, 192, 192)
            RGB, 0 to 1.
        guidance : (N, 5, 192, 192)

        Returns
        -------
        poses : (2, N, 10)
            Raw poses, see ``camera``; the second is the mirror image's, turned back.
        shapes : (2, N, K)
            Weights of the head model's modes.
        """
        count = image.shape[0]
        turned = guidance.flip(3) * guidance.new_tensor(MIRROR_GUIDANCE)[:, None, None]
        images = torch.cat([image, image.flip(3)])
        last = self.estimates(images, torch.cat([guidance, turned]))[-1]
        pose = last.pose[count:] * last.pose.new_tensor(MIRROR_POSE)
        shape = self.mirror(last.shape[count:])
        return torch.stack([last.pose[:count], pose]), torch.stack([last.shape[:count], shape])

    def estimates(self, image: Tensor, guidance: Tensor) -> list[Estimate]:
        """Give the estimate after each look, the best one last."""
        # Convolutions are exact enough in bfloat16, and training is twice as fast.
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.training):
            x48 = self.stage48(self.stem(torch.cat([image * 2 - 1, guidance], 1)))
            x24 = self.stage24(x48)
            x12 = self.stage12(x24)
            x6 = self.stage6(x12)
            squeezed = self.squeeze(x6)
            up = functional.interpolate(self.up12(x6), scale_factor=2.0) + self.side12(x12)
            up = functional.interpolate(self.up24(up), scale_factor=2.0) + self.side24(x24)
            up = functional.interpolate(self.up48(up), scale_factor=2.0) + self.side48(x48)
        hidden = self.hidden(squeezed.float().flatten(1))
        hidden = functional.relu(hidden + self.statistics(moments(guidance)))
        pose, shape = self.pose(hidden), self.shape(hidden)
        nowhere = pose.new_zeros(len(pose), 0, 3)
        estimates = [Estimate(pose, shape, nowhere, nowhere)]
        features = up.float()
        for look in self.looks:
            pose, shape = estimates[-1].pose, estimates[-1].shape
            placed = place(self.sites(shape).view(-1, SITES, 3), pose).detach()
            estimates.append(look(features, placed, pose, shape))
        return estimates


def moments(guidance: Tensor) -> Tensor:
    """First and second moments of the guidance: all that a least-squares pose would need.

    Parameters
    ----------
    guidance : (N, 5, 192, 192)

    Returns
    -------
    (N, 43)
        Share of the crop that the face covers; means and covariances of place in the mean face,
        place in the crop and depth. Zero where there is no guidance.
    """
    mask = guidance[:, :1].flatten(2)
    line = torch.linspace(-1.0, 1.0, CROP_SIZE, device=guidance.device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    crop = torch.stack([x, y]).flatten(1)[None] * mask
    values = torch.cat([guidance[:, 1:].flatten(2), crop], 1)
    count = mask.sum(2) + 1.0
    mean = values.sum(2) / count
    square = values @ values.transpose(1, 2) / count[:, :, None]
    covariance = square - mean[:, :, None] * mean[:, None, :]
    share = mask.mean(2)
    return torch.cat([share, mean, 10.0 * covariance.flatten(1)], 1)


def camera(pose: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Read a raw pose.

    Parameters
    ----------
    pose : (N, 10)
        Two columns of the rotation before they are made orthonormal (Zhou et al., "On the
        continuity of rotation representations in neural networks", CVPR 2019, section 4), then
        logarithm of the scale, its nearness, and the middle's place.

    Returns
    -------
    rotation : (N, 3, 3)
    scale : (N, 1)
        Crop pixels a centimetre.
    nearness : (N, 1)
        One over the camera's distance, 1 / cm.
    origin : (N, 3)
        Volume frame place of the head model's origin.
    """
    first = pose[:, 0:3] * 10 + pose.new_tensor([1.0, 0.0, 0.0])
    second = pose[:, 3:6] * 10 + pose.new_tensor([0.0, 1.0, 0.0])
    first = first / first.norm(dim=1, keepdim=True)
    second = second - (first * second).sum(1, keepdim=True) * first
    second = second / second.norm(dim=1, keepdim=True)
    # The cross product by hand: ONNX has no operator for it.
    a, b = first, second
    third = torch.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        1,
    )
    rotation = torch.stack([first, second, third], 2)
    scale = NOMINAL_SCALE * torch.exp(pose[:, 6:7])
    nearness = NOMINAL_NEARNESS * torch.exp(3.0 * torch.tanh(pose[:, 7:8]))
    shift = pose[:, 8:10] * 100.0
    middle = torch.cat([shift + CROP_SIZE / 2, torch.full_like(shift[:, :1], VOLUME_DEPTH / 2)], 1)
    lever = rotation @ torch.as_tensor(MODEL_MIDDLE, dtype=pose.dtype, device=pose.device)
    origin = middle - scale * lever * pose.new_tensor([1.0, -1.0, -1.0])
    return rotation, scale, nearness, origin


def place(vertices: Tensor, pose: Tensor) -> Tensor:
    """Posed head in the volume frame.

    Parameters
    ----------
    vertices : (N, V, 3)
        Model frame, centimetres.
    pose : (N, 10)

    Returns
    -------
    (N, V, 3)
        Volume frame, voxels.
    """
    rotation, scale, nearness, origin = camera(pose)
    turned = vertices @ rotation.transpose(1, 2)
    near = scale[:, :, None] / (1.0 - nearness[:, :, None] * turned[..., 2:]).clamp(min=0.05)
    flat = origin[:, None, :2] + turned[..., :2] * near * turned.new_tensor([1.0, -1.0])
    depth = origin[:, None, 2:] - scale[:, :, None] * turned[..., 2:]
    return torch.cat([flat, depth], 2)
