# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The arithmetic of small networks is what one counts by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper

from tests.benchmarks.operations import count_operations
from vrn_blender.reconstruction.model_file import read_model

Shape = list[int | str]


def network(nodes: list[Any], given: Shape, result: Shape, **weights: tuple[int, ...]) -> bytes:
    """Give a network from ``x`` to ``y``."""
    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.ones(s, np.float32), name) for name, s in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def test_a_convolution_costs_two_operations_a_weight_and_output() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])
    data = network([node], ["N", 3, 8, 8], ["N", 5, 4, 4], w=(5, 3, 3, 3))
    assert count_operations(data).flops == {"Conv": 2 * 5 * 4 * 4 * 3 * 3 * 3}


def test_a_grouped_convolution_costs_its_group_s_inputs_only() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=4)
    data = network([node], ["N", 4, 8, 8], ["N", 4, 6, 6], w=(4, 1, 3, 3))
    assert count_operations(data).flops == {"Conv": 2 * 4 * 6 * 6 * 3 * 3}


def test_matrix_products_of_both_kinds_count() -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], transB=1),
        helper.make_node("MatMul", ["h", "b"], ["y"]),
    ]
    counted = count_operations(network(nodes, ["N", 7], ["N", 2], a=(11, 7), b=(11, 2)))
    assert counted.flops == {"Gemm": 2 * 7 * 11, "MatMul": 2 * 11 * 2}
    assert counted.gflop == pytest.approx(198e-9)


def test_what_is_no_product_is_noted_apart() -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    counted = count_operations(network([node], ["N", 3, 8, 8], ["N", 3, 4, 4]))
    assert counted.flops == {}
    assert counted.values == {"AveragePool": 3 * 4 * 4}


def test_the_shipped_network_can_be_counted() -> None:
    counted = count_operations(read_model())
    assert 0.05 < counted.gflop < 100
    assert counted.flops["Conv"] > 0
