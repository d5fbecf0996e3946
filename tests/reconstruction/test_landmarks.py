# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Both generations of MediaPipe find the same points of the same faces, and no faces elsewhere."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from vrn_blender.reconstruction import bundle as bundle_module
from vrn_blender.reconstruction.bundle import (
    BUNDLE_NAME,
    BUNDLE_SIZE,
    BUNDLE_URL,
    find_bundle,
    read_bundle,
)
from vrn_blender.reconstruction.canonical import load_canonical
from vrn_blender.reconstruction.errors import ModelError, NoFaceError
from vrn_blender.reconstruction.landmarks import (
    POINTS,
    Detector,
    Face,
    FaceLandmarkerDetector,
    FaceMeshDetector,
    open_detector,
    require_faces,
)
from vrn_blender.reconstruction.photo import photo_from_array, read_photo

RGB = NDArray[np.uint8]

# Places in MediaPipe's order.
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
UPPER_LIP, CHIN, NOSE_TIP, FOREHEAD = 13, 152, 1, 10
RIGHT_CHEEK, LEFT_CHEEK = 234, 454
RIGHT_IRIS, LEFT_IRIS = 468, 473


def _open_face_mesh() -> Detector:
    try:
        return FaceMeshDetector()
    except ImportError:
        pytest.skip("the installed MediaPipe has no Face Mesh")


@pytest.fixture(scope="module", params=["Face Mesh", "Face Landmarker"])
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    """Open one of the two adapters."""
    opened = (
        _open_face_mesh()
        if request.param == "Face Mesh"
        else FaceLandmarkerDetector(request.getfixturevalue("bundle"))
    )
    yield opened
    opened.close()


def _only_face(detector: Detector, rgb: RGB) -> Face:
    faces = detector.detect(rgb)
    assert len(faces) == 1
    return faces[0]


def _distances(
    points: NDArray[np.floating[Any]], others: NDArray[np.floating[Any]], face_width: float
) -> NDArray[np.floating[Any]]:
    """Measure how far points lie apart in the picture, in percent of the face's width."""
    return np.linalg.norm(points[:, :2] - others[:, :2], axis=1) / face_width * 100


class _Finds:
    """A detector that finds faces of given widths."""

    name = "stand-in"

    def __init__(self, *widths: float) -> None:
        self._faces = [
            Face(
                np.array([(0, 0, 0), (width, 1.3 * width, 0)], np.float32),
                np.zeros(2, np.float32),
                index,
            )
            for index, width in enumerate(widths)
        ]

    def detect(self, rgb: RGB) -> list[Face]:
        del rgb
        return self._faces

    def close(self) -> None:
        pass


def test_portrait_has_one_face_in_its_place(detector: Detector, astronaut: RGB) -> None:
    face = _only_face(detector, astronaut)
    assert face.points.shape == (POINTS, 3)
    assert face.points.dtype == np.float32
    assert face.index == 0
    assert face.box == pytest.approx((180, 71, 271, 178), abs=4)
    assert face.width == pytest.approx(92, abs=4)


def test_points_are_in_mediapipe_s_order_and_axes(detector: Detector, astronaut: RGB) -> None:
    x, y, z = _only_face(detector, astronaut).points.T
    assert x[RIGHT_EYE_OUTER] < x[RIGHT_IRIS] < x[LEFT_IRIS] < x[LEFT_EYE_OUTER]
    assert y[FOREHEAD] < y[RIGHT_IRIS] < y[NOSE_TIP] < y[UPPER_LIP] < y[CHIN]
    assert z[NOSE_TIP] < min(z[RIGHT_CHEEK], z[LEFT_CHEEK])
    # True to scale: the nose stands out of the cheeks by about half the face's width.
    depth = (z[RIGHT_CHEEK] + z[LEFT_CHEEK]) / 2 - z[NOSE_TIP]
    assert 0.3 < depth / (x[LEFT_CHEEK] - x[RIGHT_CHEEK]) < 0.9


def test_points_follow_the_picture_s_scale_to_a_fraction_of_a_pixel(
    detector: Detector, astronaut: RGB
) -> None:
    large = cv2.resize(astronaut, (1536, 1536), interpolation=cv2.INTER_CUBIC)
    expected = _only_face(detector, np.asarray(large, np.uint8)).points[:, :2] / 3
    shifts = []
    for side in (192, 224, 256, 288, 320, 352, 384):
        small = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
        points = _only_face(detector, np.asarray(small, np.uint8)).points[:, :2]
        shifts.append((points - expected * side / 512).mean(axis=0))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.15


def test_the_mirror_image_has_the_same_points_and_doubts(
    detector: Detector, astronaut: RGB
) -> None:
    face = _only_face(detector, astronaut)
    mirrored = _only_face(detector, np.ascontiguousarray(astronaut[:, ::-1]))
    counterpart = load_canonical().mirror
    back = mirrored.points[counterpart] * (-1, 1, 1) + (astronaut.shape[1], 0, 0)
    assert _distances(face.points, back, face.width).mean() < 0.3
    # MediaPipe is off by about a hundredth of the face, and not by the same everywhere.
    doubt = face.doubt / face.width * 100
    assert 0.3 < doubt.mean() < 2
    assert np.abs(mirrored.doubt[counterpart] - face.doubt).mean() / face.width * 100 < 0.4


def test_points_that_the_mirror_image_does_not_confirm_are_in_doubt(
    detector: Detector, astronaut: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = detector._look  # type: ignore[attr-defined]
    views: list[RGB] = []

    def look_but_at_the_last(rgb: RGB) -> list[Any]:
        views.append(rgb)
        return [] if len(views) == all_views else list(look(rgb))

    # The mirror image comes last.
    all_views = 0
    monkeypatch.setattr(detector, "_look", look_but_at_the_last)
    _only_face(detector, astronaut)
    all_views = len(views)
    views.clear()
    face = _only_face(detector, astronaut)
    assert np.isinf(face.doubt).all()
    assert np.isfinite(face.points).all()


def test_a_small_face_in_a_large_photo_is_found(detector: Detector, astronaut: RGB) -> None:
    inset = _only_face(detector, astronaut)
    large = np.full((2400, 3200, 3), 90, np.uint8)
    large[1500:2012, 2300:2812] = astronaut
    face = _only_face(detector, large)
    apart = _distances(face.points, inset.points + np.array((2300, 1500, 0)), inset.width)
    assert apart.mean() < 1


def test_a_face_that_fills_the_picture_is_found(detector: Detector, astronaut: RGB) -> None:
    face = _only_face(detector, astronaut)
    x0, y0, x1, y1 = (round(edge) for edge in face.box)
    close_up = _only_face(detector, np.ascontiguousarray(astronaut[y0:y1, x0:x1]))
    apart = _distances(close_up.points, face.points - np.array((x0, y0, 0)), face.width)
    assert apart.mean() < 3


@pytest.mark.parametrize("angle", [-60, -30, 45, 90])
def test_a_tilted_head_is_found(detector: Detector, astronaut: RGB, angle: float) -> None:
    upright = _only_face(detector, astronaut)
    turn = cv2.getRotationMatrix2D((225, 125), angle, 1)
    face = _only_face(detector, np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8))
    expected = np.c_[upright.points[:, :2], np.ones(POINTS)] @ turn.T
    assert _distances(face.points, expected, upright.width).mean() < 3


def test_several_faces_come_largest_first(detector: Detector, astronaut: RGB) -> None:
    smaller = cv2.resize(astronaut[:256, 100:356], (200, 200), interpolation=cv2.INTER_AREA)
    pair = np.full((512, 712, 3), 90, np.uint8)
    pair[100:300, :200] = smaller
    pair[:, 200:] = astronaut
    faces = detector.detect(pair)
    assert [face.index for face in faces] == [0, 1]
    assert faces[0].box == pytest.approx((380, 71, 471, 178), abs=4)
    assert faces[1].width == pytest.approx(faces[0].width * 200 / 256, rel=0.05)


def test_both_men_are_found_in_a_wide_photo(detector: Detector, two_faces: Path) -> None:
    faces = detector.detect(read_photo(two_faces).rgb)
    assert len(faces) >= 2
    assert faces[0].box == pytest.approx((1141, 386, 1328, 602), abs=8)
    assert faces[1].box == pytest.approx((759, 430, 941, 645), abs=8)


@pytest.mark.parametrize(
    "picture", [data.coffee, data.brick, data.cat, data.clock], ids=lambda picture: picture.__name__
)
def test_no_face_is_seen_where_there_is_none(
    detector: Detector, picture: Callable[[], RGB]
) -> None:
    pixels = picture()
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    assert detector.detect(np.ascontiguousarray(rgb)) == []


def test_photo_without_a_face_gets_a_remedy() -> None:
    photo = photo_from_array(np.zeros((64, 64, 3), np.uint8), "wall")
    with pytest.raises(NoFaceError, match=r"^No face was found in wall; use a photo .*\.$"):
        require_faces(photo, _Finds())


def test_a_face_of_twenty_pixels_gets_a_remedy(detector: Detector, astronaut: RGB) -> None:
    tiny = cv2.resize(astronaut, (112, 112), interpolation=cv2.INTER_AREA)
    photo = photo_from_array(tiny, "crowd")
    with pytest.raises(NoFaceError, match=r"in crowd is only (19|20|21) pixels wide; use .* 64 "):
        require_faces(photo, detector)


def test_faces_that_are_too_small_are_left_out_beside_larger_ones() -> None:
    photo = photo_from_array(np.zeros((64, 64, 3), np.uint8), "group")
    faces = require_faces(photo, _Finds(300, 100, 20))
    assert [(face.index, face.width) for face in faces] == [(0, 300), (1, 100)]


def test_both_adapters_agree_to_within_one_percent_of_the_face(
    astronaut: RGB, bundle: Path
) -> None:
    with closing(_open_face_mesh()) as mesh, closing(FaceLandmarkerDetector(bundle)) as landmarker:
        face, other = _only_face(mesh, astronaut), _only_face(landmarker, astronaut)
    assert _distances(face.points, other.points, face.width).mean() < 1


def test_face_mesh_opens_without_a_bundle() -> None:
    _open_face_mesh().close()
    with closing(open_detector()) as detector:
        assert "Face Mesh" in detector.name


def test_installed_mediapipe_opens(bundle: Path) -> None:
    with closing(open_detector(bundle)) as detector:
        assert detector.name.startswith("MediaPipe ")


def test_absent_mediapipe_gets_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ModelError, match=r"^MediaPipe cannot be loaded .*; install .*\.$"):
        open_detector()


def test_bundle_is_found_in_the_folders_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / name for name in ("models", "user", "other")]
    monkeypatch.setattr(bundle_module, "_MODELS_FOLDER", folders[0])
    for folder in reversed(folders):
        folder.mkdir()
        (folder / BUNDLE_NAME).touch()
        assert find_bundle(folders[1:]) == folder / BUNDLE_NAME


def test_missing_bundle_gets_its_address_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_module, "_MODELS_FOLDER", tmp_path / "models")
    with pytest.raises(ModelError) as caught:
        find_bundle([tmp_path / "user"])
    assert BUNDLE_URL in str(caught.value)
    assert str(caught.value).endswith(f"into {tmp_path / 'user'}.")


def test_pinned_bundle_is_read(bundle: Path) -> None:
    assert len(read_bundle(bundle)) == BUNDLE_SIZE


@pytest.mark.parametrize("content", [b"", bytes(BUNDLE_SIZE)], ids=["empty", "of the same size"])
def test_damaged_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / BUNDLE_NAME
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged or of another version; replace it"):
        FaceLandmarkerDetector(path)


def test_bundle_that_cannot_be_read_gets_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read; download it"):
        read_bundle(tmp_path / "nowhere" / BUNDLE_NAME)


OTHER_GENERATION = ("mediapipe>=1.2,<2", "scikit-image>=0.26", "pillow>=11")
WRITE_POINTS = """
import sys
from pathlib import Path

import numpy as np

from vrn_blender.reconstruction.landmarks import open_detector
from vrn_blender.reconstruction.photo import read_photo

bundle, output, *photos = map(Path, sys.argv[1:])
detector = open_detector(bundle)
faces = {photo.stem: detector.detect(read_photo(photo).rgb)[0].points for photo in photos}
detector.close()
np.savez(output, generation=detector.name, **faces)
"""


def _environment_of_the_other_generation() -> Path:
    """Make a virtual environment with MediaPipe 1.2 or later once, and give its interpreter."""
    cache = Path(__file__).parents[2] / ".pytest_cache"
    folder = Path(os.environ.get("VRN_TEST_ENVS", cache / "environments"))
    environment = folder / f"face_landmarker-{sys.version_info.major}.{sys.version_info.minor}"
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = environment / "complete"
    if complete.is_file():
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *OTHER_GENERATION], check=True, timeout=900
        )
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"an environment with {OTHER_GENERATION[0]} cannot be made: {error}")
    complete.touch()
    return python


@pytest.mark.slow
def test_both_generations_agree_to_within_one_percent_of_the_face(
    tmp_path: Path,
    astronaut: RGB,
    bundle: Path,
    portrait_1: Path,
    portrait_2: Path,
) -> None:
    mesh = _open_face_mesh()
    python = _environment_of_the_other_generation()
    sample = tmp_path / "astronaut.png"
    Image.fromarray(astronaut).save(sample)
    photos = [sample, portrait_1, portrait_2]
    written = tmp_path / "points.npz"
    subprocess.run(
        [python, "-c", WRITE_POINTS, bundle, written, *photos],
        check=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    others = np.load(written)
    assert "Face Landmarker" in str(others["generation"])
    with closing(mesh):
        for photo in photos:
            face = mesh.detect(read_photo(photo).rgb)[0]
            apart = _distances(face.points, others[photo.stem], face.width)
            print(f"{photo.stem}: {apart.mean():.2f} % on average, {apart.max():.2f} % at most")
            assert apart.mean() < 1
            assert apart.max() < 3
