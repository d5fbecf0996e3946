# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The worker says truly what it has to work with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.worker.fake_worker import STATUS
from vrn_blender.reconstruction.model_file import MODEL
from vrn_blender.worker.client import Client, Settings
from vrn_blender.worker.status import Status, held_memory, take_status, wanted_libraries


def test_a_status_comes_back_as_it_went() -> None:
    assert Status.from_json(json.loads(json.dumps(STATUS.to_json()))) == STATUS


@pytest.mark.parametrize(
    ("cuda", "platform", "some"),
    [
        ("12.8", "linux", {"libcudart.so.12", "libcufft.so.11", "libcudnn.so.9"}),
        ("13.0", "linux", {"libcublasLt.so.13", "libcufft.so.12", "libcudnn.so.9"}),
        ("12.8", "win32", {"cudart64_12.dll", "cudnn64_9.dll"}),
    ],
)
def test_the_libraries_are_those_of_that_cuda(cuda: str, platform: str, some: set[str]) -> None:
    assert some <= set(wanted_libraries(cuda, platform))


def test_the_bundled_onnx_runtime_asks_for_these_libraries() -> None:
    capi = Path(pytest.importorskip("onnxruntime").__file__).parent / "capi"
    provider = capi / "libonnxruntime_providers_cuda.so"
    if not provider.is_file():
        pytest.skip("this ONNX Runtime has no CUDA")
    import onnxruntime

    content = provider.read_bytes()
    for name in wanted_libraries(onnxruntime.cuda_version):
        # cuDNN and cuFFT are loaded by a name that is put together when they are needed.
        if "cudnn" not in name and "cufft" not in name:
            assert name.encode("ascii") in content, name


def test_this_process_holds_memory() -> None:
    assert 10e6 < held_memory() < 1e12


def test_the_worker_looks_at_itself() -> None:
    pytest.importorskip("mediapipe")
    client = Client(Settings())
    client.look()
    status = client.wait()
    client.release()
    assert isinstance(status, Status)
    assert "CPUExecutionProvider" in status.providers
    assert status.model == str(MODEL)
    assert status.model_problem == ""
    assert status.memory > 10e6
    assert bool(status.libraries) == bool(status.cuda)


def test_a_damaged_network_is_named(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    damaged = tmp_path / "vrn.onnx"
    damaged.write_bytes(b"not a network")
    damaged.with_suffix(".json").write_bytes(MODEL.with_suffix(".json").read_bytes())
    assert "vrn.onnx is damaged" in take_status(damaged, ()).model_problem
