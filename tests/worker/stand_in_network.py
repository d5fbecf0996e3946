# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A network in the place of the trained one: it sees the mean face on an egg in every crop."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.crop import CROP_SIZE, MIDDLE, PIXELS_PER_METRE, VOLUME_DEPTH
from vrn_blender.reconstruction.guidance import CHANNELS

EGG_METRES = (0.08, 0.11, 0.125)
"""Half axes to the left, backwards and upwards."""


def write_network(folder: Path) -> Path:
    """Write the ONNX file and its description; gives the former."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    head_to_volume = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]) * PIXELS_PER_METRE
    centre = np.array([CROP_SIZE / 2, CROP_SIZE / 2, VOLUME_DEPTH / 2])
    landmarks = (load_canonical().multipie - MIDDLE) @ head_to_volume.T + centre
    constants = {"landmarks_of_all": landmarks[None].astype(np.float32)}
    left, back, up = EGG_METRES
    for name, size, half_axis, shape in (
        ("x", CROP_SIZE, left, (1, 1, 1, -1)),
        ("y", CROP_SIZE, up, (1, 1, -1, 1)),
        ("z", VOLUME_DEPTH, back, (1, -1, 1, 1)),
    ):
        distance = (np.arange(size) + 0.5 - size / 2) / (half_axis * PIXELS_PER_METRE)
        constants[name] = (distance**2).astype(np.float32).reshape(shape)
    constants |= {
        "one": np.float32(1),
        "slope": np.float32(1000),
        "middle": np.float32(127.5),
        "doubt_of_all": np.zeros((1, 68), np.float32),
        "low": np.float32(0),
        "high": np.float32(255),
    }
    nodes = [
        helper.make_node("Add", ["x", "y"], ["xy"]),
        helper.make_node("Add", ["xy", "z"], ["xyz"]),
        helper.make_node("Sub", ["one", "xyz"], ["inside"]),
        helper.make_node("Mul", ["inside", "slope"], ["steep"]),
        helper.make_node("Add", ["steep", "middle"], ["shifted"]),
        helper.make_node("Clip", ["shifted", "low", "high"], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["volume"], to=TensorProto.UINT8),
        helper.make_node("Identity", ["landmarks_of_all"], ["landmarks"]),
        helper.make_node("Identity", ["doubt_of_all"], ["doubt"]),
    ]
    crop = [1, 3, CROP_SIZE, CROP_SIZE]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, crop),
            helper.make_tensor_value_info(
                "guidance", TensorProto.FLOAT, [1, CHANNELS, CROP_SIZE, CROP_SIZE]
            ),
        ],
        [
            helper.make_tensor_value_info(
                "volume", TensorProto.UINT8, [1, VOLUME_DEPTH, CROP_SIZE, CROP_SIZE]
            ),
            helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, [1, 68, 3]),
            helper.make_tensor_value_info("doubt", TensorProto.FLOAT, [1, 68]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    path = folder / "vrn.onnx"
    path.write_bytes(data)
    description = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    path.with_suffix(".json").write_text(json.dumps(description), encoding="utf-8")
    return path
