# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Join regressor and decoder into ``models/vrn.onnx``, and describe it in ``models/vrn.json``.

What the next training starts from goes into ``checkpoint.pt`` beside this file.

python -m models.training.export
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS
from vrn_blender.reconstruction.model_file import MODEL
from vrn_blender.reconstruction.network import CONTRACT, OUTPUTS

from .decoder import TEMPLATE_BOX, Decoder
from .networks import CHECKPOINT, Regressor, camera, place

# Occupancy falls from one to zero over three voxels, and linearly: marching cubes interpolates
# linearly, so a curved ramp would show as contour lines, and eight bits still place the surface to
# a hundredth of a voxel.
RAMP = 3.0

RUNS = Path("models/training/runs")


def _mitchell(x: Tensor) -> Tensor:
    x = x.abs()
    near = (21.0 * x**3 - 36.0 * x**2 + 16.0) / 18.0
    far = (-7.0 * x**3 + 36.0 * x**2 - 60.0 * x + 32.0) / 18.0
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def doubling(count: int) -> Tensor:
    """Matrix (2 count, count) that resamples a line of cells at twice the resolution.

    Linear interpolation would show as rings on the skull. At the ends the outermost cell repeats.

    References
    ----------
    Mitchell and Netravali, "Reconstruction filters in computer graphics", SIGGRAPH 1988, with
    B = C = 1/3.
    """
    place = (torch.arange(2 * count) + 0.5) / 2.0 - 0.5
    matrix = torch.zeros(2 * count, count)
    for offset in range(-1, 3):
        cell = place.floor() + offset
        weight = _mitchell(place - cell)
        matrix.scatter_add_(1, cell.clamp(0, count - 1).long()[:, None], weight[:, None])
    return matrix


def double(grid: Tensor, matrices: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Resample (N, C, D, H, W) at twice the resolution, by the matrices of its three axes."""
    deep, high, wide = matrices
    n, c, d, h, w = grid.shape
    grid = high @ (grid @ wide.T)
    return (deep @ grid.reshape(n, c, d, 4 * h * w)).reshape(n, c, 2 * d, 2 * h, 2 * w)


class Vrn(nn.Module):
    """The whole network: crop and guidance to occupancy volume and landmarks."""

    def __init__(self, regressor: nn.Module, decoder: Decoder, template: Tensor) -> None:
        super().__init__()
        self.regressor = regressor
        self.decoder = decoder
        self.register_buffer("template", template[None, None])
        axes = [torch.arange(n // 4) * 4.0 + 2.0 for n in (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        self.register_buffer("lattice", torch.stack([x, y, z], 3)[None])
        for cells in (48, 50, 96, 100):
            self.register_buffer(f"double{cells}", doubling(cells))

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        image : (N, 3, 192, 192)
        guidance : (N, 5, 192, 192)

        Returns
        -------
        volume : (N, 200, 192, 192) uint8
        landmarks : (N, 68, 3)
        doubt : (N, 68)
            How far apart, in the image plane, the photo and its mirror image put each landmark.
        """
        poses, shapes = self.regressor.readings(image, guidance)
        pose, shape = poses.mean(0), shapes.mean(0)
        fields = self.decoder.fields(shape)
        rotation, scale, nearness, origin = camera(pose)

        # The way from the volume to the template is smooth, so it is computed for every fourth
        # voxel, and distances are looked up at every second; a smooth filter fills in between.
        offset = self.lattice - origin[:, None, None, None]
        s, q = scale[:, :, None, None], nearness[:, :, None, None]
        z = offset[..., 2] / -s
        near = (1.0 - q * z) / s
        turned = torch.stack([offset[..., 0] * near, -offset[..., 1] * near, z], 4)
        n = turned.shape[0]
        head = (turned.reshape(n, -1, 3) @ rotation).reshape(n, 50, 48, 48, 3)
        places = TEMPLATE_BOX.normalised(head + self.decoder.displacement(fields, head))
        grid = double(places.permute(0, 4, 1, 2, 3), (self.double50, self.double48, self.double48))
        distance = functional.grid_sample(
            self.template.expand(n, -1, -1, -1, -1),
            grid.permute(0, 2, 3, 4, 1),
            align_corners=True,
            padding_mode="border",
        )
        distance = distance * scale[:, :, None, None, None]
        distance = double(distance, (self.double100, self.double96, self.double96))
        occupancy = (0.5 + distance[:, 0] / RAMP).clamp(0.0, 1.0)
        volume = (occupancy * 255.0 + 0.5).to(torch.uint8)

        photo, mirrored = (self.landmarks(poses[i], shapes[i])[..., :2] for i in range(2))
        return volume, self.landmarks(pose, shape), (photo - mirrored).norm(dim=2)

    def landmarks(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Multi-PIE landmarks (N, 68, 3) of heads, volume frame, voxels."""
        return place(self.decoder.landmarks(shape).view(-1, 68, 3), pose)


def load_network(regressor: Path, decoder: Path) -> Vrn:
    """Put the network together from its two checkpoints, ready to run."""
    state = torch.load(decoder, map_location="cpu")
    rank, coefficients = state["decoder"]["straight.weight"].shape
    shapes = Decoder(coefficients, rank)
    shapes.load_state_dict(state["decoder"])
    network = Regressor(coefficients)
    network.load_state_dict(torch.load(regressor, map_location="cpu")["average"])
    return Vrn(network, shapes, state["template"]).eval()


def _halve_weights(model: onnx.ModelProto) -> None:
    """Store large weights as float16 and cast them when the graph loads: half the file."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 4096:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(
            onnx.helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT)
        )
    for node in reversed(casts):
        graph.node.insert(0, node)


def _save_checkpoint(network: Vrn) -> None:
    """Keep the weights, before the graph folds them, where the next training starts."""
    parts = {
        "average": network.regressor.state_dict(),
        "decoder": network.decoder.state_dict(),
    }
    halves = {
        key: {name: t.half() if t.dtype == torch.float32 else t for name, t in part.items()}
        for key, part in parts.items()
    }
    torch.save(halves, CHECKPOINT.with_suffix(".part"))
    CHECKPOINT.with_suffix(".part").replace(CHECKPOINT)


def trace(network: nn.Module) -> onnx.ModelProto:
    """ONNX graph of a network that keeps the contract of ``vrn.onnx``.

    Parameters
    ----------
    network : Module
        In evaluation mode, on the CPU; gives the contract's outputs of image and guidance.

    Returns
    -------
    onnx.ModelProto
    """
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "vrn.onnx"
        torch.onnx.export(
            network,
            _inputs(),
            draft,
            opset_version=20,
            input_names=["image", "guidance"],
            output_names=OUTPUTS,
            dynamic_axes={name: {0: "N"} for name in ("image", "guidance", *OUTPUTS)},
            dynamo=False,
        )
        model = onnx.load(draft)
    if "guidance" not in (entry.name for entry in model.graph.input):
        # The exporter leaves out what a network does not look at; the contract wants it.
        shape = ["N", *CONTRACT["guidance"]]
        entry = onnx.helper.make_tensor_value_info("guidance", onnx.TensorProto.FLOAT, shape)
        model.graph.input.append(entry)
    # It also loses track of sizes behind matrix products.
    for entry in model.graph.output:
        sizes = entry.type.tensor_type.shape.dim[1:]
        for size, value in zip(sizes, CONTRACT[entry.name], strict=True):
            size.dim_value = value
    return model


def publish(model: onnx.ModelProto, network: nn.Module, path: Path, version: str) -> None:
    """Compare a graph with its network, write it, and describe it in a ``.json`` beside it.

    Parameters
    ----------
    model : onnx.ModelProto
    network : Module
        What ``model`` was traced from.
    path : Path
    version : str
    """
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    image, guidance = _inputs()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    outputs = session.run(OUTPUTS, {"image": image.numpy(), "guidance": guidance.numpy()})
    with torch.no_grad():
        expected = network(image, guidance)
    volume, *places = (np.abs(a - b.numpy()) for a, b in zip(outputs, expected, strict=True))
    gap, apart = volume.mean(), max(values.max() for values in places)
    print(f"against PyTorch: volume {gap:.3f} of 255, landmarks {apart:.3f} voxels at most")
    description = {
        "file": path.name,
        "version": version,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(description, indent=2) + "\n"
    for target, content in ((path, data), (path.with_suffix(".json"), text.encode())):
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        part.replace(target)
    print(json.dumps(description))


def _inputs() -> tuple[Tensor, Tensor]:
    image = torch.rand(1, 3, CROP_SIZE, CROP_SIZE)
    return image, torch.zeros(1, CHANNELS, CROP_SIZE, CROP_SIZE)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regressor", type=Path, default=RUNS / "regressor" / "regressor.pt")
    parser.add_argument("--decoder", type=Path, default=RUNS / "decoder.pt")
    parser.add_argument("--output", type=Path, default=MODEL)
    parser.add_argument("--version", default="0.1.0")
    arguments = parser.parse_args()
    network = load_network(arguments.regressor, arguments.decoder)
    _save_checkpoint(network)
    model = trace(network)
    _halve_weights(model)
    publish(model, network, arguments.output, arguments.version)


if __name__ == "__main__":
    main()
