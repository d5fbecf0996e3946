# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Join regressor and decoder into ``models/vrn.onnx``, and describe it in ``models/vrn.json``.

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

from .decoder import TEMPLATE_BOX, Decoder
from .networks import Regressor, camera, place, sample_correction
from .synthesise import MODEL_MIDDLE

# Occupancy falls from certainly in to certainly out over about three voxels: soft enough to place
# the surface to a fiftieth of a voxel in eight bits.
SHARPNESS = 1.6

RUNS = Path("models/training/runs")


class Vrn(nn.Module):
    """The whole network: crop and guidance to occupancy volume and landmarks."""

    def __init__(self, regressor: Regressor, decoder: Decoder, template: Tensor) -> None:
        super().__init__()
        self.regressor = regressor
        self.decoder = decoder
        self.register_buffer("template", template[None, None])
        half = [torch.arange(n // 2) * 2.0 + 1.0 for n in (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)]
        z, y, x = torch.meshgrid(*half, indexing="ij")
        self.register_buffer("lattice", torch.stack([x, y, z], 3)[None])
        self.register_buffer("model_middle", torch.from_numpy(MODEL_MIDDLE))

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Parameters
        ----------
        image : (N, 3, 192, 192)
        guidance : (N, 5, 192, 192)

        Returns
        -------
        volume : (N, 200, 192, 192) uint8
        landmarks : (N, 68, 3)
        """
        pose, shape, correction = self.regressor(image, guidance)
        fields = self.decoder.fields(shape)
        rotation, scale, nearness, middle = camera(pose)

        # Distances are looked up at every second voxel, and the displacement, which is smoother,
        # at every fourth; in between both are linear.
        fine = functional.interpolate(correction, size=(96, 96), mode="bilinear")
        moved = self.lattice + fine.permute(0, 2, 3, 1)[:, None]
        offset = moved - middle[:, None, None, None]
        s, q = scale[:, :, None, None], nearness[:, :, None, None]
        z = offset[..., 2] / -s
        near = (1.0 - q * z) / s
        turned = torch.stack([offset[..., 0] * near, -offset[..., 1] * near, z], 4)
        n = turned.shape[0]
        head = turned.reshape(n, -1, 3) @ rotation
        head = head.reshape(n, 100, 96, 96, 3) + self.model_middle
        coarse = functional.avg_pool3d(head.permute(0, 4, 1, 2, 3), 2).permute(0, 2, 3, 4, 1)
        way = self.decoder.displacement(fields, coarse).permute(0, 4, 1, 2, 3)
        way = functional.interpolate(way, scale_factor=2.0, mode="trilinear", align_corners=False)
        places = head + way.permute(0, 2, 3, 4, 1)
        distance = TEMPLATE_BOX.sample(self.template.expand(n, -1, -1, -1, -1), places)
        distance = distance * scale[:, :, None, None, None]
        distance = functional.interpolate(
            distance, scale_factor=2.0, mode="trilinear", align_corners=False
        )
        volume = (torch.sigmoid(distance[:, 0] * SHARPNESS) * 255.0 + 0.5).to(torch.uint8)

        landmarks = place(self.decoder.landmarks(shape).view(-1, 68, 3), pose)
        return volume, landmarks - sample_correction(correction, landmarks)


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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regressor", type=Path, default=RUNS / "regressor" / "regressor.pt")
    parser.add_argument("--decoder", type=Path, default=RUNS / "decoder.pt")
    parser.add_argument("--output", type=Path, default=MODEL)
    parser.add_argument("--version", default="0.1.0")
    arguments = parser.parse_args()
    network = load_network(arguments.regressor, arguments.decoder)
    image = torch.rand(1, 3, CROP_SIZE, CROP_SIZE)
    guidance = torch.zeros(1, CHANNELS, CROP_SIZE, CROP_SIZE)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "vrn.onnx"
        torch.onnx.export(
            network,
            (image, guidance),
            draft,
            opset_version=20,
            input_names=["image", "guidance"],
            output_names=["volume", "landmarks"],
            dynamic_axes={k: {0: "N"} for k in ("image", "guidance", "volume", "landmarks")},
            dynamo=False,
        )
        model = onnx.load(draft)
    _halve_weights(model)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    volume, landmarks = session.run(None, {"image": image.numpy(), "guidance": guidance.numpy()})
    with torch.no_grad():
        expected, places = network(image, guidance)
    gap = np.abs(volume.astype(int) - expected.numpy().astype(int))
    apart = np.abs(landmarks - places.numpy()).max()
    print(f"against PyTorch: volume {gap.mean():.3f} of 255, landmarks {apart:.3f} voxels at most")
    arguments.output.write_bytes(data)
    description = {
        "file": arguments.output.name,
        "version": arguments.version,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    arguments.output.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n")
    print(json.dumps(description))


if __name__ == "__main__":
    main()
