# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""``python -m vrn_blender`` as its users type it; only the network is a stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.worker.stand_in_network import write_network

pytest.importorskip("bpy", reason="needs the bpy wheel")
pytest.importorskip("mediapipe")
pytest.importorskip("onnx")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("model"))


def command(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    temporary = folder / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "vrn_blender", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
    return done


def test_without_a_photo_the_sample_becomes_a_face(model: Path, tmp_path: Path) -> None:
    done = command(tmp_path, "--model", model, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    described, *paths = done.stdout.splitlines()
    assert described.startswith("[1/1] face.png: ")
    assert "landmarks" in described
    assert described.endswith(") on CPU")
    names = ["face.blend", "face.glb", "face.png"]
    assert [path.strip() for path in paths] == [str(tmp_path / name) for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*names, "summary.json"]
    assert Image.open(tmp_path / "face.png").size == (720, 720)


def test_every_bad_photo_gets_its_sentence_and_the_good_one_its_head(
    model: Path, tmp_path: Path
) -> None:
    from skimage import data

    folder = tmp_path / "фото 🙂 of mine"
    folder.mkdir()
    astronaut = Image.fromarray(data.astronaut())
    astronaut.save(folder / "a good one.webp", quality=90)
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("this is no photo", encoding="ascii")
    astronaut.save(folder / "truncated.jpg")
    whole = (folder / "truncated.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (1, 1)).save(folder / "one pixel.png")
    noise = np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8)
    Image.fromarray(noise).save(folder / "faceless.png")
    small = Image.new("RGB", (512, 512))
    small.paste(astronaut.resize((112, 112), Image.Resampling.LANCZOS), (200, 200))
    small.save(folder / "small.png")
    missing = tmp_path / "missing.jpg"

    output = tmp_path / "out"
    arguments = ("--output", output, "--format", "stl", "--model", model, "--device", "cpu")
    done = command(tmp_path, folder, missing, *arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    records = json.loads((output / "summary.json").read_text("utf-8"))["photos"]
    reasons = {Path(record["photo"]).name: record["reason"] for record in records}
    expected = {
        "a good one.webp": "",
        "empty.jpg": "is empty",
        "faceless.png": "No face was found",
        "one pixel.png": "1 x 1 pixels",
        "small.png": "pixels wide",
        "text.jpg": "is not a photo",
        "truncated.jpg": "damaged or cut short",
        "missing.jpg": "was not found",
    }
    assert set(reasons) == set(expected)
    for name, part in expected.items():
        assert part in reasons[name]
        assert bool(reasons[name]) == bool(part)
        assert reasons[name].count("\n") == 0
    assert sorted(path.name for path in output.iterdir()) == ["a good one.stl", "summary.json"]


def test_wrong_usage_has_status_2(tmp_path: Path) -> None:
    done = command(tmp_path, "--colour", "red")
    assert done.returncode == 2
    assert "--colour" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_network_is_a_sentence_and_status_1(tmp_path: Path) -> None:
    done = command(tmp_path, "--model", tmp_path / "none.onnx", "--format", "stl")
    assert done.returncode == 1
    assert "none.onnx cannot be read" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
