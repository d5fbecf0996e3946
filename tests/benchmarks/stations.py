# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""How long each station takes on the sample portrait, and how that stands to the processor.

    python -m tests.benchmarks.stations --runs 20

Prints medians over the runs. Cold is a fresh process each time, from its start to the finished
head: ``start`` is Python and its imports, and the stations load what they need. Warm is one process
that has made a head already. Both run the network on the processor, and paint 2048 x 2048 texels
where the photo has so many.

The network's speed is set against the fastest that this processor multiplies matrices of float32,
through the same library, turn by turn in the same process, so that their ratio says how good the
network is and not how busy the machine was. ``--json`` prints everything for programs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image
from skimage import data

from vrn_blender.reconstruction.crop import crop_box
from vrn_blender.reconstruction.guidance import no_guidance
from vrn_blender.reconstruction.model_file import read_model
from vrn_blender.reconstruction.network import CPU, Network
from vrn_blender.reconstruction.photo import read_photo
from vrn_blender.reconstruction.reconstruct import FRACTION_BEFORE, Reconstructor
from vrn_blender.reconstruction.result import DEFAULT_SURFACE, SURFACES, Options

ROOT = Path(__file__).parents[2]
BUNDLE_FOLDERS = (ROOT.parent / "shared" / "models",)

FACE_BOX = (180.0, 71.0, 271.0, 178.0)
"""Of the sample portrait."""

MATRIX_SIDE = 2048
"""Large enough that a processor reaches its full speed, small enough for a fraction of a second."""

Seconds = dict[str, float]
Report = dict[str, Any]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.stations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--runs", type=int, default=20, help="how many runs of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--photo", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--surface", choices=SURFACES, default=DEFAULT_SURFACE)
    arguments = parser.parse_args()
    if arguments.child:
        child = CHILDREN[arguments.child]
        print(json.dumps(child(arguments.photo, arguments.runs, arguments.surface)))
        return
    report = measure(arguments.runs, arguments.surface)
    print(json.dumps(report, indent=2) if arguments.json else as_table(report))


def measure(runs: int, surface: str) -> Report:
    """Take all measurements, each in processes of its own.

    Parameters
    ----------
    runs : int
        How many times.
    surface : str
        As `Options.surface`.

    Returns
    -------
    dict
        ``cold`` and ``warm`` have the median ``seconds`` of each station and ``peak_mib``;
        ``network`` is as ``network_speed`` gives it.
    """
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "astronaut.png"
        Image.fromarray(data.astronaut()).save(photo)
        cold = []
        for _ in range(runs):
            started = time.time()
            child = _run_child("cold", photo, 1, surface)
            child["seconds"] = {
                "start": child["began"] - started,
                **child["seconds"],
                "whole": child["ended"] - started,
            }
            cold.append(child)
        return {
            "runs": runs,
            "cold": {
                "seconds": medians([child["seconds"] for child in cold]),
                "peak_mib": statistics.median(child["peak_mib"] for child in cold),
            },
            "warm": _run_child("warm", photo, runs, surface),
            "network": _run_child("network", photo, runs, surface),
        }


def _options(surface: str) -> Options:
    return Options(device="cpu", surface=surface, texture_size=2048)


def _run_child(kind: str, photo: Path, runs: int, surface: str) -> Report:
    command = [sys.executable, "-m", "tests.benchmarks.stations", "--child", kind]
    command += ["--photo", str(photo), "--runs", str(runs), "--surface", surface]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if finished.returncode:
        raise SystemExit(finished.stderr)
    report: Report = json.loads(finished.stdout.splitlines()[-1])
    return report


def cold_run(photo: Path, _runs: int, surface: str) -> Report:
    """Make the first head of this process; times of day tell when it began and ended."""
    began = time.time()
    (head,) = Reconstructor(bundle_folders=BUNDLE_FOLDERS).reconstruct(photo, _options(surface))
    return {
        "began": began,
        "ended": time.time(),
        "seconds": head.seconds,
        "peak_mib": peak_memory(),
    }


def warm_runs(photo: Path, runs: int, surface: str) -> Report:
    """Make one head untimed and then ``runs`` more in the same process."""
    reconstructor = Reconstructor(bundle_folders=BUNDLE_FOLDERS)
    reconstructor.reconstruct(photo, _options(surface))
    rows: list[Seconds] = []
    for number in range(runs):
        # A photo that has not changed would be remembered, and nothing done.
        os.utime(photo, ns=(number, number))
        start = time.perf_counter()
        (head,) = reconstructor.reconstruct(photo, _options(surface))
        rows.append({**head.seconds, "whole": time.perf_counter() - start})
    return {"seconds": medians(rows), "peak_mib": peak_memory()}


def network_speed(photo: Path, runs: int, _surface: str) -> Report:
    """Time the network and a matrix product by turns.

    Returns
    -------
    dict
        ``gflop``: matrix products of one run; ``not_counted``: values that other operators
        gather; ``seconds`` of one run; ``gflop_per_second`` of the network and
        ``processor_gflop_per_second`` of the matrix product; ``share``: the former of the latter.
    """
    from tests.benchmarks.operations import count_operations

    network = Network(device="cpu")
    crop = crop_box(read_photo(photo), FACE_BOX)
    product = onnxruntime.InferenceSession(_matrix_product(), providers=[CPU])
    matrices = np.random.default_rng(0).random((2, MATRIX_SIDE, MATRIX_SIDE), dtype=np.float32)
    inputs = {"a": matrices[0], "b": matrices[1]}
    seconds: dict[str, list[float]] = {"network": [], "product": []}
    for run in range(runs + 1):
        start = time.perf_counter()
        network.predict(crop, no_guidance())
        between = time.perf_counter()
        product.run(None, inputs)
        end = time.perf_counter()
        if run:
            seconds["network"].append(between - start)
            seconds["product"].append(end - between)
    operations = count_operations(read_model())
    median = statistics.median(seconds["network"])
    ours = operations.gflop / median
    most = 2 * MATRIX_SIDE**3 / 1e9 / statistics.median(seconds["product"])
    return {
        "gflop": operations.gflop,
        "not_counted": operations.values,
        "seconds": median,
        "gflop_per_second": ours,
        "processor_gflop_per_second": most,
        "share": ours / most,
    }


def _matrix_product() -> bytes:
    from onnx import TensorProto, helper

    side = [MATRIX_SIDE, MATRIX_SIDE]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, side) for name in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", ends[:2], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    network: bytes = model.SerializeToString()
    return network


def medians(rows: list[Seconds]) -> Seconds:
    """Give the median of each column of rows that all have the same ones."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def peak_memory() -> float:
    """Give the most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def as_table(report: Report) -> str:
    """Lay a report out for people."""
    cold, warm, network = report["cold"], report["warm"], report["network"]
    lines = [f"median of {report['runs']} runs      cold      warm"]
    for name in ("start", *FRACTION_BEFORE, "whole"):
        seconds = (f"{kind['seconds'][name]:.3f} s" if name in kind["seconds"] else "-"
                   for kind in (cold, warm))  # fmt: skip
        lines.append(f"{name:<18}" + "".join(f"{text:>10}" for text in seconds))
    memory = (f"{kind['peak_mib']:.0f} MiB" for kind in (cold, warm))
    lines.append(f"{'peak memory':<18}" + "".join(f"{text:>10}" for text in memory))
    others = ", ".join(
        f"{name} {count / 1e6:.1f} million" for name, count in network["not_counted"].items()
    )
    lines += [
        "",
        f"network: {network['gflop']:.2f} GFLOP in {network['seconds']:.3f} s, "
        f"{network['gflop_per_second']:.1f} GFLOP/s",
        f"processor, product of {MATRIX_SIDE} x {MATRIX_SIDE} matrices: "
        f"{network['processor_gflop_per_second']:.1f} GFLOP/s",
        f"the network reaches {network['share']:.1%} of that; "
        f"not counted are the values of {others}",
    ]
    return "\n".join(lines)


CHILDREN = {"cold": cold_run, "warm": warm_runs, "network": network_speed}


if __name__ == "__main__":
    main()
