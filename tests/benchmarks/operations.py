# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How much arithmetic an ONNX network is."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

GATHERING = ("AveragePool", "GridSample", "MaxPool", "Resize")
"""Operators that cost more than touching each value once, and are no matrix products either."""

Shape = list[int]


@dataclass(frozen=True)
class Operations:
    """What one run of a network, on one crop, computes.

    Attributes
    ----------
    flops : dict of str to int
        Floating-point operations, two for each multiplication with its addition, of the matrix
        products, by operator.
    values : dict of str to int
        Values that the operators in ``GATHERING`` give; their arithmetic is not in ``flops``.
    """

    flops: dict[str, int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)

    @property
    def gflop(self) -> float:
        """All matrix products, in 10**9 operations."""
        return sum(self.flops.values()) / 1e9


def count_operations(network: bytes) -> Operations:
    """Count the operations of a network whose batch size is a parameter named N, at N = 1.

    Parameters
    ----------
    network : bytes
        An ONNX file.

    Returns
    -------
    Operations

    Raises
    ------
    KeyError
        If the shape of a product is not known before the network runs.
    """
    graph = onnx.shape_inference.infer_shapes(_fold(network), strict_mode=True).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = [dim.dim_value for dim in dims]
    flops: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type in _FLOPS:
            inputs = [shapes[name] for name in node.input if name]
            flops[node.op_type] += _FLOPS[node.op_type](node, inputs, shapes[node.output[0]])
        elif node.op_type in GATHERING:
            values[node.op_type] += math.prod(shapes[node.output[0]])
    return Operations(dict(flops), dict(values))


def _fold(network: bytes) -> Any:
    """Let ONNX Runtime work out what depends on N only, so that shapes become plain numbers."""
    options = onnxruntime.SessionOptions()
    options.add_free_dimension_override_by_name("N", 1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _of_convolution(node: Any, inputs: list[Shape], output: Shape) -> int:
    # A weight has the shape (outputs, inputs of its group, *kernel).
    return 2 * math.prod(output) * math.prod(inputs[1][1:])


def _of_gemm(node: Any, inputs: list[Shape], output: Shape) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return 2 * math.prod(output) * inputs[0][0 if transposed else 1]


def _of_product(node: Any, inputs: list[Shape], output: Shape) -> int:
    return 2 * math.prod(output) * inputs[0][-1]


_FLOPS = {"Conv": _of_convolution, "Gemm": _of_gemm, "MatMul": _of_product}
