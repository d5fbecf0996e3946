# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A photo goes through the real worker and every station; only the network is a stand-in."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.worker.stand_in_network import EGG_METRES, write_network
from vrn_blender.reconstruction.errors import ReconstructionError
from vrn_blender.reconstruction.result import Head, Options, Picture
from vrn_blender.worker.client import Client, Progress, Settings

pytest.importorskip("mediapipe")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_network(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def warm_client(model: Path) -> Iterator[Client]:
    client = Client(Settings(model=model))
    yield client
    client.release()


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skimage import data

    path = tmp_path_factory.mktemp("photos") / "портрет 🙂.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def heads_of(client: Client, photo: Path, options: Options) -> list[Head]:
    client.reconstruct(photo, options)
    heads = client.wait()
    assert isinstance(heads, list)
    return heads


def test_a_portrait_becomes_a_head_in_metres(warm_client: Client, portrait: Path) -> None:
    told: list[Progress] = []
    warm_client.reconstruct(portrait, Options(device="cpu"))
    heads = warm_client.wait(told.append)
    assert isinstance(heads, list)
    (head,) = heads
    assert head.name == "портрет 🙂"
    assert head.device == "CPU"
    assert head.face_number == 1
    size = np.ptp(head.vertices, axis=0)
    assert size == pytest.approx(2 * np.array(EGG_METRES), rel=0.15)
    assert head.uv.shape == (*head.faces.shape, 2)
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1
    assert head.faces.max() < len(head.vertices)
    texture = Image.open(io.BytesIO(head.texture_png))
    assert texture.mode == "RGB"
    assert head.face_landmarks is not None
    assert head.face_landmarks.shape == (478, 3)
    # The nose points along -y, and MediaPipe's is where the network's is.
    assert head.landmarks[30, 1] < head.landmarks[:, 1].mean()
    assert head.face_landmarks[4] == pytest.approx(head.landmarks[30], abs=0.03)
    assert [step.fraction for step in told] == sorted(step.fraction for step in told)
    stations = ["photo", "landmarks", "network", "surface", "head", "texture"]
    assert list(head.seconds) == stations
    assert [step.station for step in told][-len(stations) :] == stations


def test_other_options_redo_only_what_they_touch(warm_client: Client, portrait: Path) -> None:
    # A texture of its own size, so that no other test has made it already.
    options = Options(device="cpu", texture_size=300, smoothing=4)
    (first,) = heads_of(warm_client, portrait, options)
    (same,) = heads_of(warm_client, portrait, options)
    again = sum(same.seconds.values())
    assert again < 0.1 * first.seconds["surface"]
    np.testing.assert_array_equal(same.vertices, first.vertices)
    assert same.texture_png == first.texture_png
    (smoother,) = heads_of(warm_client, portrait, replace(options, smoothing=30))
    assert smoother.seconds["landmarks"] + smoother.seconds["network"] < smoother.seconds["surface"]
    assert not np.array_equal(smoother.vertices, first.vertices)
    (small,) = heads_of(warm_client, portrait, replace(options, smoothing=30, texture_size=100))
    assert small.seconds["surface"] < 0.1 * smoother.seconds["surface"]
    np.testing.assert_array_equal(small.vertices, smoother.vertices)
    assert max(Image.open(io.BytesIO(small.texture_png)).size) <= 100


@pytest.mark.parametrize("surface", ["raw", "sculpt", "light"])
def test_detail_redoes_neither_network_nor_texture(
    warm_client: Client, portrait: Path, surface: str
) -> None:
    options = Options(device="cpu", texture_size=310, surface=surface)
    plain, half, full, off = (
        heads_of(warm_client, portrait, replace(options, detail=strength))[0]
        for strength in (0.0, 0.5, 1.0, 0.0)
    )
    for name in ("vertices", "faces", "uv", "regions", "raw_vertices", "raw_faces"):
        np.testing.assert_array_equal(getattr(off, name), getattr(plain, name))
    assert off.normal_png == plain.normal_png
    assert half.texture_png == full.texture_png == plain.texture_png
    assert half.seconds["network"] < 0.1 * plain.seconds["surface"]
    (raw, carved, deeper) = (
        head.vertices if head.raw_vertices is None else head.raw_vertices
        for head in (plain, half, full)
    )
    assert len(raw) < len(carved) == len(deeper)
    assert 1e-5 < np.abs(deeper - carved).max() < 0.002
    assert (full.normal_png != half.normal_png) == (surface == "light")
    assert (len(full.vertices) > len(plain.vertices)) == (surface == "raw")


def test_a_head_knows_the_faces_of_its_photo_and_how_sure_it_is(
    warm_client: Client, portrait: Path
) -> None:
    (head,) = heads_of(warm_client, portrait, Options(device="cpu", texture_size=100))
    assert head.face_boxes.shape == (1, 4)
    assert head.face_boxes.dtype == np.float32
    # The astronaut's face.
    assert head.face_boxes[0] == pytest.approx((176, 70, 270, 195), abs=30)
    assert head.confidence is not None
    assert 0 < head.confidence < 1


def test_a_photo_is_shown_upright_and_small(warm_client: Client, tmp_path: Path) -> None:
    lying = Image.new("RGB", (80, 40), "white")
    lying.paste("black", (0, 0, 40, 40))
    exif = Image.Exif()
    # Turned by a quarter to the right when shown: what is left comes on top.
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    warm_client.show_photo(tmp_path / "lying.png", 20)
    picture = warm_client.wait()
    assert isinstance(picture, Picture)
    assert (picture.width, picture.height) == (40, 80)
    assert picture.rgb.shape == (20, 10, 3)
    assert picture.rgb[:8].max() < 30
    assert picture.rgb[-8:].min() > 225


def test_a_box_needs_no_landmarks(warm_client: Client, portrait: Path) -> None:
    options = Options(box=(170.0, 70.0, 280.0, 210.0), texture_size=128, device="cpu")
    (head,) = heads_of(warm_client, portrait, options)
    assert head.face_landmarks is None
    assert head.confidence is None
    assert head.face_boxes.shape == (0, 4)
    assert max(Image.open(io.BytesIO(head.texture_png)).size) <= 128


def test_a_face_that_is_not_there_gives_one_sentence(warm_client: Client, portrait: Path) -> None:
    with pytest.raises(ReconstructionError, match="one face, so there is no face 2"):
        heads_of(warm_client, portrait, Options(face="2", device="cpu"))


def test_a_bad_photo_leaves_the_worker_warm(warm_client: Client, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("this is a text", encoding="ascii")
    warm_client.start()
    before = warm_client.process_id
    with pytest.raises(ReconstructionError, match=r"bad\.jpg is not a photo"):
        heads_of(warm_client, bad, Options(device="cpu"))
    assert warm_client.process_id == before
    assert warm_client.alive


def test_a_damaged_network_gives_one_sentence(
    temporary: Path, model: Path, portrait: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "vrn.onnx"
    copy.write_bytes(model.read_bytes()[:-1])
    copy.with_suffix(".json").write_bytes(model.with_suffix(".json").read_bytes())
    client = Client(Settings(model=copy))
    with pytest.raises(ReconstructionError, match=r"vrn\.onnx is damaged.*install"):
        heads_of(client, portrait, Options(box=(170.0, 70.0, 280.0, 210.0)))
    client.release()


def test_a_missing_network_gives_one_sentence(
    temporary: Path, portrait: Path, tmp_path: Path
) -> None:
    client = Client(Settings(model=tmp_path / "vrn.onnx"))
    with pytest.raises(ReconstructionError, match=r"vrn\.onnx cannot be read.*install"):
        heads_of(client, portrait, Options(box=(170.0, 70.0, 280.0, 210.0)))
    client.release()
