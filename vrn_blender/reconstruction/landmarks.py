# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Second station: RGB pixels become the faces in them, 478 MediaPipe points each.

Two generations of MediaPipe are in use. Up to 0.10.21 the wheel carries its Face Mesh models and
runs with NumPy 1.26 on Python 3.11, as Blender up to 5.0 has them; from 1.2 on it runs on newer
ones, and wants the Face Landmarker bundle. An adapter for each stands behind `Detector`. Both put
their points in the same order.

Both generations find faces with the same short-range BlazeFace detector, which sees 128 x 128
pixels and misses faces that are narrower than about a seventh of the picture. So the picture is
searched in overlapping tiles as well, and each face that turns up is looked at once more in a
window of the full resolution. That second look makes its points independent of where in the photo
it was found, and drops what is no face after all. A third one sees the window's mirror image: where
the two differ, the points are not to be trusted.

References
----------
Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019,
https://arxiv.org/abs/1907.05047.
Grishchenko et al., "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time", 2020,
https://arxiv.org/abs/2006.10962.
"""

import importlib.metadata
import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .bundle import find_bundle, read_bundle
from .canonical import load_canonical
from .errors import ModelError, NoFaceError
from .photo import Photo

POINTS = 478
MAX_FACES = 16
"""Most faces that one look returns; MediaPipe wants a bound."""
MIN_FACE_WIDTH = 40
"""Least width of a face in pixels; a head made from fewer shows nobody in particular."""
GOOD_FACE_WIDTH = 64
"""Width in pixels to ask for when a face is refused, so that the next photo surely works."""

_LOOK_SIDE = 512
"""Long side in pixels to which a window is shrunk; the finer model samples a face at 256."""
_TILES_PER_SIDE = (1, 2, 4, 8)
_ALWAYS_SEARCHED = 2
_SMALLEST_TILE = 128
"""In pixels; a face that fills a seventh of it is less than half as wide as what is accepted."""
_CUT_MARGIN = 0.02
"""Share of a tile within which a face's box counts as cut off by the tile's edge."""
_SAME_FACE = 0.5
"""Share of the smaller of two boxes that lies in the other from which they are one face."""
_MISREAD = 0.1
"""Share of the face's size by which two readings differ, on the mean, of which one is upside down
or of something else."""
_SECOND_LOOK = 2.5
"""Side of the second look's window over the longer side of the face's box."""

Box = tuple[float, float, float, float]
Points = NDArray[np.float32]
Window = tuple[int, int, int, int]
Look = Callable[[NDArray[np.uint8]], list[Points]]


@dataclass(frozen=True)
class Face:
    """One face of a photo.

    Attributes
    ----------
    points : (478, 3) float32 array
        MediaPipe's landmarks in its order. x and y are pixels in the photo frame; z is depth in
        the same pixels as weak perspective sees it, smaller is nearer to the camera, and zero is
        about the middle of the head. They are the mean of two readings, of the photo and of its
        mirror image.
    doubt : (478,) float32 array
        How far apart the two readings put each point, pixels; infinite where they have nothing in
        common, or there is only one. The points are then those of the photo, and perhaps all wrong.
    index : int
        Place among the faces of its photo; 0 is the largest.
    """

    points: Points
    doubt: NDArray[np.float32]
    index: int

    @property
    def is_clear(self) -> bool:
        """Whether photo and mirror image say much the same of it."""
        return bool(np.isfinite(self.doubt).all())

    @property
    def box(self) -> Box:
        """Bounds of the points: x0, y0, x1, y1 in pixels, photo frame."""
        return _box(self.points)

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        x0, _, x1, _ = self.box
        return x1 - x0


class Detector(Protocol):
    """Finds the faces in a picture; one generation of MediaPipe stands behind it."""

    name: str

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """Find the faces in a picture, the largest first.

        Parameters
        ----------
        rgb : (H, W, 3) uint8 array
            Upright picture; the faces' points are in its frame.

        Returns
        -------
        list of Face
            Empty when there is none.
        """

    def close(self) -> None:
        """Give the models' memory back; the detector is of no use afterwards."""


class FaceMeshDetector:
    """Face Mesh of MediaPipe up to 0.10.21, which carries its models in the wheel."""

    def __init__(self) -> None:
        # Imported here because only one of the two generations has it.
        from mediapipe.python.solutions.face_mesh import FaceMesh

        self.name = f"MediaPipe {mediapipe_version()} Face Mesh"
        self._mesh = FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=MAX_FACES
        )

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """See `Detector.detect`."""
        return _search(rgb, self._look)

    def close(self) -> None:
        """See `Detector.close`."""
        self._mesh.close()

    def _look(self, rgb: NDArray[np.uint8]) -> list[Points]:
        faces = self._mesh.process(rgb).multi_face_landmarks or []
        return [_to_pixels(face.landmark, rgb) for face in faces]


class FaceLandmarkerDetector:
    """Face Landmarker task of MediaPipe, which needs its models in a bundle.

    Parameters
    ----------
    bundle : Path
        The file `BUNDLE_NAME`.

    Raises
    ------
    ModelError
        When the bundle cannot be read or is not the pinned one.
    """

    def __init__(self, bundle: Path) -> None:
        # As bytes, because MediaPipe opens no paths beyond ASCII on Windows.
        content = read_bundle(bundle)
        import mediapipe
        from mediapipe.tasks.python.core.base_options import BaseOptions
        from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

        self.name = f"MediaPipe {mediapipe_version()} Face Landmarker"
        self._mediapipe = mediapipe
        self._landmarker = FaceLandmarker.create_from_options(
            FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_buffer=content), num_faces=MAX_FACES
            )
        )

    def detect(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """See `Detector.detect`."""
        return _search(rgb, self._look)

    def close(self) -> None:
        """See `Detector.close`."""
        self._landmarker.close()

    def _look(self, rgb: NDArray[np.uint8]) -> list[Points]:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        return [_to_pixels(face, rgb) for face in self._landmarker.detect(image).face_landmarks]


def open_detector(bundle: Path | None = None) -> Detector:
    """Open the detector that the installed MediaPipe allows.

    Parameters
    ----------
    bundle : Path, optional
        Where the Face Landmarker bundle is; by default `find_bundle` looks for it. A MediaPipe
        that carries Face Mesh needs none.

    Returns
    -------
    Detector
        The detector, its models loaded.

    Raises
    ------
    ModelError
        When MediaPipe is missing or cannot be loaded, or the bundle is needed and missing or
        damaged.
    """
    try:
        if needs_bundle():
            return FaceLandmarkerDetector(bundle or find_bundle())
        return FaceMeshDetector()
    except (ImportError, OSError) as error:
        raise ModelError(
            f"MediaPipe cannot be loaded ({error}); install what it lacks, or MediaPipe again."
        ) from error


def require_faces(photo: Photo, detector: Detector) -> list[Face]:
    """Find the faces of a photo that are large enough to make a head from.

    Parameters
    ----------
    photo : Photo
        The photo.
    detector : Detector
        What finds them.

    Returns
    -------
    list of Face
        At least one, the largest first.

    Raises
    ------
    NoFaceError
        When no face is found, or none is `MIN_FACE_WIDTH` pixels wide.
    """
    found = detector.detect(photo.rgb)
    if not found:
        raise NoFaceError(
            f"No face was found in {photo.name}; "
            "use a photo that shows the face larger, sharper and from the front, "
            "or give a box round the face."
        )
    wide_enough = [face for face in found if face.width >= MIN_FACE_WIDTH]
    if not wide_enough:
        widest = max(face.width for face in found)
        raise NoFaceError(
            f"The largest face in {photo.name} is only {widest:.0f} pixels wide; "
            f"use a photo in which it is at least {GOOD_FACE_WIDTH} pixels wide."
        )
    return [replace(face, index=index) for index, face in enumerate(wide_enough)]


def needs_bundle() -> bool:
    """Tell whether the installed MediaPipe is of the generation that carries no models.

    Returns
    -------
    bool
        Whether it needs the Face Landmarker bundle.

    Raises
    ------
    ImportError
        If MediaPipe is missing.
    """
    package = importlib.util.find_spec("mediapipe")
    if package is None or package.origin is None:
        raise ImportError("mediapipe is missing")
    models = Path(package.origin).parent / "modules" / "face_landmark"
    return not (models / "face_landmark_with_attention.tflite").is_file()


def mediapipe_version() -> str:
    """Tell which MediaPipe is installed.

    Returns
    -------
    str
        Its version.
    """
    return importlib.metadata.version("mediapipe")


def _to_pixels(landmarks: Sequence[Any], rgb: NDArray[np.uint8]) -> Points:
    height, width = rgb.shape[:2]
    # x and z come in widths and y in heights of the picture.
    size = np.array((width, height, width), np.float32)
    # Measured over pictures scaled to different sizes, both generations put pixel centres at whole
    # numbers; half a pixel is one percent of the width of a small face.
    half_pixel = np.array((0.5, 0.5, 0), np.float32)
    points = np.array([(point.x, point.y, point.z) for point in landmarks], np.float32)
    return points * size + half_pixel


def _search(rgb: NDArray[np.uint8], look: Look) -> list[Face]:
    kept: list[Points] = []
    for rough in _first_looks(rgb, look):
        if _is_among(rough, kept):
            continue
        points = _second_look(rgb, rough, look)
        if points is not None and not _is_among(points, kept):
            kept.append(points)
    kept.sort(key=lambda points: _area(_box(points)), reverse=True)
    return [_compared(rgb, points, look, index) for index, points in enumerate(kept)]


def _first_looks(rgb: NDArray[np.uint8], look: Look) -> list[Points]:
    """Look at the whole picture and at its tiles, at ever smaller ones until a face turns up."""
    long_side = max(rgb.shape[:2])
    found: list[Points] = []
    for tiles_per_side in _TILES_PER_SIDE:
        if found and tiles_per_side > _ALWAYS_SEARCHED:
            break
        if tiles_per_side > 1 and long_side < tiles_per_side * _SMALLEST_TILE:
            break
        picture = _shrunk(rgb, tiles_per_side * _LOOK_SIDE)
        scale = np.float32(long_side / max(picture.shape[:2]))
        for window in _tiles(picture, tiles_per_side):
            found += [
                points * scale
                for points in _look_into(picture, window, look)
                if not _is_cut_off(points, window, picture)
            ]
    return found


def _second_look(rgb: NDArray[np.uint8], rough: Points, look: Look) -> Points | None:
    """Look at one face in a window of the full resolution; None where no face is seen there."""
    x0, y0, x1, y1 = _box(rough)
    half = max(x1 - x0, y1 - y0) * _SECOND_LOOK / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    height, width = rgb.shape[:2]
    window = (
        max(math.floor(x - half), 0),
        max(math.floor(y - half), 0),
        min(math.ceil(x + half), width),
        min(math.ceil(y + half), height),
    )
    seen = _look_into(rgb, window, look)
    nearest = max(seen, key=lambda points: _shared(_box(points), _box(rough)), default=None)
    return nearest if nearest is not None and _is_among(rough, [nearest]) else None


def _compared(rgb: NDArray[np.uint8], points: Points, look: Look, index: int) -> Face:
    """Look at a face once more, in the mirror image of the photo."""
    across, shift = np.array((-1, 1, 1), np.float32), np.array((rgb.shape[1], 0, 0), np.float32)
    mirrored = _second_look(rgb[:, ::-1], points * across + shift, look)
    if mirrored is not None:
        other = mirrored[load_canonical().mirror] * across + shift
        doubt = np.linalg.norm((points - other)[:, :2], axis=1)
        x0, y0, x1, y1 = _box(points)
        if doubt.mean() < _MISREAD * max(x1 - x0, y1 - y0):
            return Face((points + other) / 2, doubt, index)
    return Face(points, np.full(len(points), np.inf, np.float32), index)


def _look_into(rgb: NDArray[np.uint8], window: Window, look: Look) -> list[Points]:
    """Look at a window of a picture; the points are in the picture's frame."""
    x0, y0, x1, y1 = window
    view = _shrunk(rgb[y0:y1, x0:x1], _LOOK_SIDE)
    scale_x, scale_y = (x1 - x0) / view.shape[1], (y1 - y0) / view.shape[0]
    scale = np.array((scale_x, scale_y, scale_x), np.float32)
    return [points * scale + np.array((x0, y0, 0), np.float32) for points in look(view)]


def _shrunk(rgb: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """Scale a picture down to a long side, as a C-contiguous array; a smaller one stays."""
    rgb = np.ascontiguousarray(rgb)
    height, width = rgb.shape[:2]
    scale = long_side / max(height, width)
    if scale >= 1:
        return rgb
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _tiles(rgb: NDArray[np.uint8], tiles_per_side: int) -> Iterator[Window]:
    """Cut a picture into square windows that overlap by half or more."""
    height, width = rgb.shape[:2]
    side = math.ceil(max(height, width) / tiles_per_side)
    for y in _starts(height, side):
        for x in _starts(width, side):
            yield x, y, min(x + side, width), min(y + side, height)


def _starts(length: int, side: int) -> list[int]:
    rest = max(length - side, 0)
    return [int(start) for start in np.linspace(0, rest, math.ceil(2 * rest / side) + 1)]


def _is_cut_off(points: Points, window: Window, rgb: NDArray[np.uint8]) -> bool:
    """Whether a face reaches an edge of its window beyond which the picture goes on."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = window
    left, top, right, bottom = _box(points)
    margin = _CUT_MARGIN * max(x1 - x0, y1 - y0)
    return (
        (x0 > 0 and left < x0 + margin)
        or (y0 > 0 and top < y0 + margin)
        or (x1 < width and right > x1 - margin)
        or (y1 < height and bottom > y1 - margin)
    )


def _is_among(points: Points, others: list[Points]) -> bool:
    box = _box(points)
    return any(_shared(box, _box(other)) > _SAME_FACE for other in others)


def _shared(a: Box, b: Box) -> float:
    """Share of the smaller box that lies in the other one."""
    inner = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    smaller = min(_area(a), _area(b))
    return _area(inner) / smaller if smaller > 0 else 0.0


def _area(box: Box) -> float:
    x0, y0, x1, y1 = box
    return max(x1 - x0, 0.0) * max(y1 - y0, 0.0)


def _box(points: Points) -> Box:
    x0, y0 = points[:, :2].min(axis=0).tolist()
    x1, y1 = points[:, :2].max(axis=0).tolist()
    return x0, y0, x1, y1
