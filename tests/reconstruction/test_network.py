# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The network station: what goes in and comes out, what ran it, and what a bad file gets."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tests.worker.stand_in_network import write_network
from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH, Crop, crop_box, crop_face
from vrn_blender.reconstruction.errors import ModelError
from vrn_blender.reconstruction.guidance import CHANNELS, draw_guidance, no_guidance
from vrn_blender.reconstruction.landmarks import Face, open_detector
from vrn_blender.reconstruction.model_file import MODEL, read_model
from vrn_blender.reconstruction.network import CPU, CUDA, Network, Prediction
from vrn_blender.reconstruction.photo import photo_from_array
from vrn_blender.reconstruction.surface import extract_surface

# Multi-PIE's numbers.
RIGHT_EAR, CHIN, LEFT_EAR, NOSE_TIP = 0, 8, 16, 30
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 36, 45
RIGHT_MOUTH, LEFT_MOUTH = 48, 54

FACE_BOX = (180.0, 71.0, 271.0, 178.0)
"""Of the sample portrait."""


@dataclass(frozen=True)
class Run:
    """What went into the network, and what came out."""

    crop: Crop
    guidance: NDArray[np.float32]
    prediction: Prediction


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    """Open the shipped network as ONNX Runtime sees it, for what the station does not use."""
    return onnxruntime.InferenceSession(read_model(), providers=[CPU])


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(device="cpu")


@pytest.fixture(scope="module")
def face(request: pytest.FixtureRequest, astronaut: NDArray[np.uint8]) -> Face:
    pytest.importorskip("mediapipe")
    try:
        detector = open_detector()
    except ModelError:
        detector = open_detector(request.getfixturevalue("bundle"))
    (found,) = detector.detect(astronaut)
    detector.close()
    return found


@pytest.fixture(scope="module")
def guided(network: Network, face: Face, astronaut: NDArray[np.uint8]) -> Run:
    crop = crop_face(photo_from_array(astronaut, "astronaut"), face)
    guidance = draw_guidance(face, crop)
    return Run(crop, guidance, network.predict(crop, guidance))


@pytest.fixture(scope="module")
def unguided(network: Network, astronaut: NDArray[np.uint8]) -> Run:
    crop = crop_box(photo_from_array(astronaut, "astronaut"), FACE_BOX)
    return Run(crop, no_guidance(), network.predict(crop, no_guidance()))


@pytest.fixture(params=["guided", "unguided"])
def either(request: pytest.FixtureRequest) -> Run:
    run = request.getfixturevalue(request.param)
    assert isinstance(run, Run)
    return run


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    return write_network(tmp_path)


def some_crop() -> Crop:
    rgb = np.random.default_rng(0).integers(0, 256, (CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    return Crop(rgb, np.eye(2, 3))


def describe(path: Path) -> None:
    """Write the description that belongs to a file."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps({"sha256": digest}), encoding="utf-8")


def sentence(error: pytest.ExceptionInfo[ModelError]) -> str:
    """Read what the user reads: one line, ended as a sentence is, that says what to do."""
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert "install the add-on again" in message
    return message


def test_onnx_runtime_was_told_not_to_report_home() -> None:
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_shipped_network_keeps_the_contract(session: onnxruntime.InferenceSession) -> None:
    assert MODEL.stat().st_size <= 40_000_000
    ends = {
        end.name: (end.type, end.shape) for end in (*session.get_inputs(), *session.get_outputs())
    }
    assert ends == {
        "image": ("tensor(float)", ["N", 3, CROP_SIZE, CROP_SIZE]),
        "guidance": ("tensor(float)", ["N", CHANNELS, CROP_SIZE, CROP_SIZE]),
        "volume": ("tensor(uint8)", ["N", VOLUME_DEPTH, CROP_SIZE, CROP_SIZE]),
        "landmarks": ("tensor(float)", ["N", 68, 3]),
        "doubt": ("tensor(float)", ["N", 68]),
    }


def test_the_description_fits_the_shipped_network() -> None:
    description = json.loads(MODEL.with_suffix(".json").read_text(encoding="utf-8"))
    assert description["file"] == MODEL.name
    assert description["size"] == MODEL.stat().st_size
    assert description["version"]


def test_a_prediction_is_a_soft_volume_with_nothing_at_its_border(either: Run) -> None:
    volume = either.prediction.volume
    assert volume.shape == (VOLUME_DEPTH, CROP_SIZE, CROP_SIZE)
    assert volume.dtype == np.uint8
    assert volume.max() == 255
    # A head fills about a fifth of the volume, and a rim of a few voxels is soft.
    assert 0.05 < (volume >= 128).mean() < 0.5
    assert 0.005 < ((volume > 10) & (volume < 245)).mean() < 0.2
    for side in (volume[0], volume[-1], volume[:, 0], volume[:, :, 0], volume[:, :, -1]):
        assert side.max() < 128


def test_landmarks_are_in_the_volume_with_its_axes(either: Run) -> None:
    """Image right is the subject's left, y grows downwards, z away from the camera."""
    landmarks = either.prediction.landmarks
    assert landmarks.shape == (68, 3)
    assert landmarks.dtype == np.float32
    assert landmarks.min() > 0
    assert (landmarks < (CROP_SIZE, CROP_SIZE, VOLUME_DEPTH)).all()
    x, y, z = landmarks.T
    assert x[RIGHT_EYE_OUTER] < x[NOSE_TIP] < x[LEFT_EYE_OUTER]
    assert x[RIGHT_MOUTH] < x[LEFT_MOUTH]
    assert y[RIGHT_EYE_OUTER] < y[NOSE_TIP] < y[RIGHT_MOUTH] < y[CHIN]
    assert z[NOSE_TIP] < min(z[RIGHT_EYE_OUTER], z[LEFT_EYE_OUTER]) - 10
    assert max(z[RIGHT_EYE_OUTER], z[LEFT_EYE_OUTER]) < min(z[RIGHT_EAR], z[LEFT_EAR])


def test_the_face_lies_at_small_z_where_the_landmarks_say(either: Run) -> None:
    """The first voxel behind the nose's pixel is the nose; behind it is head, or a nostril."""
    x, y, z = either.prediction.landmarks[NOSE_TIP]
    column = either.prediction.volume[:, int(y), int(x)] >= 128
    first = int(np.argmax(column))
    assert abs(first - z) < 4
    assert column[first : first + 60].mean() > 0.75


def test_landmarks_lie_on_the_surface(either: Run) -> None:
    surface = extract_surface(either.prediction.volume)
    gap, _ = cKDTree(surface.vertices).query(either.prediction.landmarks)
    assert np.median(gap) < 1.5
    assert np.quantile(gap, 0.95) < 4


def test_a_guided_network_puts_its_landmarks_where_the_guidance_is(guided: Run, face: Face) -> None:
    """Eye corners, nose tip and chin, to a tenth of the face's width even before training ends."""
    ours = guided.prediction.landmarks[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER, NOSE_TIP, CHIN], :2]
    theirs = guided.crop.to_volume(face.points)[[33, 263, 4, 152], :2]
    width = face.width * guided.crop.scale
    assert np.linalg.norm(ours - theirs, axis=1).max() < 0.1 * width


def test_the_guidance_is_listened_to(network: Network, guided: Run) -> None:
    """Without it the same crop gives another head."""
    silent = network.predict(guided.crop, no_guidance())
    assert np.abs(silent.landmarks - guided.prediction.landmarks).max() > 0.5
    assert not np.array_equal(silent.volume, guided.prediction.volume)


def test_a_batch_of_two_gives_what_two_runs_give(
    session: onnxruntime.InferenceSession, guided: Run, unguided: Run
) -> None:
    both = (guided, unguided)
    volumes, landmarks = session.run(
        ("volume", "landmarks"),
        {
            "image": np.stack([r.crop.rgb for r in both]).transpose(0, 3, 1, 2) / np.float32(255),
            "guidance": np.stack([r.guidance for r in both]),
        },
    )
    for run, volume, places in zip(both, volumes, landmarks, strict=True):
        assert np.abs(places - run.prediction.landmarks).max() < 0.01
        assert np.abs(volume.astype(int) - run.prediction.volume.astype(int)).max() <= 2


def test_the_same_crop_gives_the_same_head_again(network: Network, guided: Run) -> None:
    again = network.predict(guided.crop, guided.guidance)
    assert np.array_equal(again.landmarks, guided.prediction.landmarks)
    assert np.array_equal(again.volume, guided.prediction.volume)


def test_the_processor_is_named_without_a_note_when_it_was_asked_for(stand_in: Path) -> None:
    network = Network(stand_in, "cpu")
    assert network.provider == "CPU"
    assert network.provider_note is None


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_without_a_gpu_the_processor_runs_it_and_one_line_says_why(
    stand_in: Path, device: str, capfd: pytest.CaptureFixture[str]
) -> None:
    network = Network(stand_in, device)
    if network.provider == "CUDA":
        pytest.skip("this machine has a GPU that works")
    assert network.provider == "CPU"
    assert network.provider_note
    assert "\n" not in network.provider_note
    assert "CUDA" in network.provider_note
    assert network.predict(some_crop(), no_guidance()).volume.max() == 255
    assert capfd.readouterr() == ("", "")


class FailingSession:
    """A GPU that ONNX Runtime opens and that has no memory left when it matters."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def run(self, *_: Any) -> None:
        raise RuntimeError("CUDA failure 2: out of memory\n  at a place in the library")


def test_a_gpu_that_fails_in_the_middle_hands_over_to_the_processor(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = onnxruntime.InferenceSession

    def open_session(data: bytes, options: Any, providers: list[str], **other: Any) -> Any:
        session = real(data, options, providers=[CPU], **other)
        return FailingSession(session) if CUDA in providers else session

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    network = Network(stand_in, "cuda")
    assert (network.provider, network.provider_note) == ("CUDA", None)
    assert network.predict(some_crop(), no_guidance()).volume.max() == 255
    assert network.provider == "CPU"
    assert network.provider_note == "the GPU failed (CUDA failure 2: out of memory)"


def test_a_gpu_that_cannot_even_be_opened_hands_over_to_the_processor(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries of CUDA are all there, and no GPU is."""
    real = onnxruntime.InferenceSession

    def open_session(data: bytes, options: Any, providers: list[str], **other: Any) -> Any:
        if CUDA in providers:
            # Left to itself, ONNX Runtime would print this and open the processor.
            assert not other["enable_fallback"]
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\n  at a line")
        return real(data, options, providers=providers, **other)

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    network = Network(stand_in, "auto")
    assert network.provider == "CPU"
    reason = "CUDA failure 100: no CUDA-capable device is detected"
    assert network.provider_note == f"the GPU failed ({reason})"
    assert network.predict(some_crop(), no_guidance()).volume.max() == 255


def test_a_network_that_fails_on_the_processor_too_is_one_sentence(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(stand_in, "cpu")
    with pytest.raises(ModelError, match=r"vrn\.onnx failed .*close other programs") as error:
        network.predict(some_crop(), np.zeros((3, 8, 8), np.float32))
    assert "\n" not in str(error.value)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"vrn\.onnx cannot be read") as error:
        Network(tmp_path / "vrn.onnx", "cpu")
    sentence(error)


def test_a_folder_in_the_network_s_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "vrn.onnx").mkdir()
    with pytest.raises(ModelError, match=r"vrn\.onnx cannot be read") as error:
        read_model(tmp_path / "vrn.onnx")
    sentence(error)


def test_a_missing_description_is_named(stand_in: Path) -> None:
    stand_in.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"vrn\.json cannot be read") as error:
        read_model(stand_in)
    sentence(error)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe\x00", b"null"])
def test_a_damaged_description_is_named(stand_in: Path, content: bytes) -> None:
    stand_in.with_suffix(".json").write_bytes(content)
    with pytest.raises(ModelError, match=r"description of the network vrn\.onnx is damaged") as e:
        read_model(stand_in)
    sentence(e)


@pytest.mark.parametrize("damage", ["cut short", "one bit flipped", "empty"])
def test_a_damaged_network_is_found_by_its_checksum(stand_in: Path, damage: str) -> None:
    data = bytearray(stand_in.read_bytes())
    if damage == "one bit flipped":
        data[len(data) // 2] ^= 1
    else:
        del data[0 if damage == "empty" else len(data) // 2 :]
    stand_in.write_bytes(data)
    with pytest.raises(
        ModelError, match=r"vrn\.onnx is damaged \(its checksum is wrong\)"
    ) as error:
        Network(stand_in, "cpu")
    sentence(error)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vrn.onnx"
    path.write_text("this is a text", encoding="ascii")
    describe(path)
    with pytest.raises(ModelError, match=r"vrn\.onnx cannot be loaded") as error:
        Network(path, "cpu")
    sentence(error)


def test_somebody_else_s_network_is_refused_before_it_runs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    shape = [1, 3, 224, 224]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["image"], ["volume"])],
        "foreign",
        [helper.make_tensor_value_info("image", floats, shape)],
        [helper.make_tensor_value_info("volume", floats, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "vrn.onnx"
    path.write_bytes(model.SerializeToString())
    describe(path)
    with pytest.raises(ModelError, match="is not one for this version") as error:
        Network(path, "cpu")
    sentence(error)
