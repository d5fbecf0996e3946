# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Walks a photo through the stations in their order."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .atlas import paint_ready
from .bake import bake, fitting_size
from .bundle import BUNDLE_NAME
from .crop import Crop
from .detail import Relief, detailed_mesh, detailed_surface, draw_relief
from .errors import Cancelled, PhotoError, ReconstructionError
from .fit import agreement, fit_to_landmarks
from .head import head_frame, photo_camera
from .landmarks import Detector, Face, open_detector, require_faces
from .memory import Kept, Memory
from .mesh import Mesh
from .model_file import MODEL
from .multitask import predict_face, predict_from_box
from .neck import cut_neck
from .network import Network, Prediction, gpu_name
from .normals import normal_map
from .photo import Photo
from .result import ALL_FACES, LARGEST_FACE, Head, Options, Picture
from .surface import Surface, extract_surface

ProgressCallback = Callable[[str, float], None]

FRACTION_BEFORE = {
    "photo": 0.0,
    "landmarks": 0.05,
    "network": 0.2,
    "surface": 0.65,
    "head": 0.8,
    "texture": 0.85,
}
"""About how much of a warm run on a processor is over when a station begins."""


@dataclass(frozen=True)
class _Look:
    """What the network said of a face, and what ran it."""

    crop: Crop
    prediction: Prediction
    device: str


@dataclass(frozen=True)
class _Paint:
    """PNG files of the atlas: colours, and what the camera saw."""

    texture: bytes
    seen: bytes


class Reconstructor:
    """Turns photos into heads; opens MediaPipe and the network once, when they are first needed.

    What the stations gave for the last photos is remembered, so that the same photo with other
    options redoes only what these touch.

    Parameters
    ----------
    model : Path
        The network, an ONNX file with its description beside it.
    bundle_folders : sequence of Path
        Where to look for MediaPipe's Face Landmarker bundle, besides the usual folders.
    """

    def __init__(self, model: Path = MODEL, bundle_folders: Sequence[Path] = ()) -> None:
        self._model = model
        self._bundle_folders = tuple(bundle_folders)
        self._detector: Detector | None = None
        self._network: Network | None = None
        self._network_device = ""
        self._memory = Memory()

    def reconstruct(
        self,
        path: Path,
        options: Options,
        progress: ProgressCallback = lambda _station, _fraction: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Head]:
        """Turn the faces that the options ask for into heads.

        Parameters
        ----------
        path : Path
            The photo.
        options : Options
            What to make of it.
        progress : callable
            Told the station that begins and the fraction of the whole that is over, 0 to 1.
        cancelled : callable
            Asked before each station; the walk ends when it says True.

        Returns
        -------
        list of Head
            One for each face asked for, the largest first.

        Raises
        ------
        ReconstructionError
            With one sentence for the user; which subclass says what is at fault.
        """
        walk = _Walk(progress, cancelled)
        with walk.station("photo"):
            kept = self._memory.read(path)
        found = self._find_faces(kept, options, walk)
        chosen = [(1, None)] if options.box is not None else pick_faces(found, options.face)
        boxes = np.array([face.box for face in found], np.float32).reshape(-1, 4)
        heads: list[Head] = []
        for number, face in chosen:
            walk.face, walk.faces = len(heads), len(chosen)
            heads.append(self._make_head(kept, number, face, boxes, options, walk))
        return heads

    def picture(self, path: Path, max_side: int) -> Picture:
        """Read a photo to be looked at.

        Parameters
        ----------
        path : Path
            The photo.
        max_side : int
            The longest side that the picture may have, in pixels.

        Returns
        -------
        Picture
            The photo, upright, and made smaller where it is larger than that.

        Raises
        ------
        PhotoError
            As `read_photo`.
        """
        photo = self._memory.read(path).photo
        height, width = photo.rgb.shape[:2]
        image = Image.fromarray(photo.rgb)
        image.thumbnail((max_side, max_side))
        return Picture(np.asarray(image), width, height)

    def close(self) -> None:
        """Give back what MediaPipe holds."""
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def _find_faces(self, kept: Kept, options: Options, walk: _Walk) -> list[Face]:
        """Find all faces, the largest first; none is looked for where a box is given."""
        if options.box is not None:
            require_box(kept.photo, options.box)
            return []
        with walk.station("landmarks"):
            return kept.once("faces", None, lambda: self._detect(kept.photo))

    def _detect(self, photo: Photo) -> list[Face]:
        if self._detector is None:
            self._detector = open_detector(self._find_bundle())
        return require_faces(photo, self._detector)

    def _make_head(
        self,
        kept: Kept,
        number: int,
        face: Face | None,
        boxes: NDArray[np.float32],
        options: Options,
        walk: _Walk,
    ) -> Head:
        photo = kept.photo
        # The options that each station and the stations before it depend on.
        of_network = (options.box, options.device)
        of_surface = (*of_network, options.smoothing)
        of_mesh = (*of_surface, options.surface, options.face_only)
        # Detail moves nothing that the camera sees across the photo, so the texture stays.
        of_detail = (*of_mesh, options.detail)
        of_texture = (*of_mesh, options.texture_size, options.even_light, options.symmetric)
        with walk.station("network"):
            look = kept.once(
                ("network", number), of_network, lambda: self._look(photo, face, options)
            )
        crop = look.crop
        if face is not None and not face.is_clear:
            # It has said where to look, which is all that it is good for.
            face = None
        with walk.station("surface"):
            surface, landmarks = kept.once(
                ("surface", number), of_surface, lambda: _draw_surface(look, face, options)
            )
            mesh = kept.once(
                ("mesh", number),
                of_mesh,
                lambda: paint_ready(
                    surface, landmarks, options.surface, face_only=options.face_only
                ),
            )
            relief = None
            if options.detail > 0.0:
                relief = kept.once(
                    ("relief", number),
                    of_surface,
                    lambda: draw_relief(photo, crop, surface, landmarks),
                )
            fine, shown = kept.once(
                ("detail", number),
                of_detail,
                lambda: _add_detail(surface, mesh, relief, options),
            )
        with walk.station("head"):
            frame = head_frame(landmarks, face, crop)
        with walk.station("texture"):
            paint = kept.once(
                ("texture", number), of_texture, lambda: _paint(photo, crop, mesh, options)
            )
            normals = kept.once(
                ("normals", number),
                (*of_detail, options.texture_size),
                lambda: _paint_normals(crop, mesh, fine, options),
            )
        raw = options.surface == "raw"
        return Head(
            name=photo.name,
            vertices=frame.apply(shown.vertices),
            faces=shown.faces,
            uv=shown.uv,
            texture_png=paint.texture,
            landmarks=frame.apply(landmarks),
            face_landmarks=None if face is None else frame.apply(crop.to_volume(face.points)),
            face_number=number,
            face_boxes=boxes,
            confidence=None if face is None else agreement(look.prediction.landmarks, face, crop),
            camera=photo_camera(frame, crop, (photo.rgb.shape[1], photo.rgb.shape[0])),
            device=look.device,
            seconds=dict(walk.seconds),
            surface=options.surface,
            regions=shown.regions,
            raw_vertices=None if raw else frame.apply(fine.vertices),
            raw_faces=None if raw else fine.faces,
            seen_png=paint.seen,
            normal_png=normals,
            photo_jpeg=encode_jpeg(photo.rgb) if options.photo else None,
        )

    def _look(self, photo: Photo, face: Face | None, options: Options) -> _Look:
        network = self._open_network(options.device)
        crop, prediction = _predict(network, photo, face, options)
        return _Look(crop, prediction, describe_device(network))

    def _find_bundle(self) -> Path | None:
        """Look in the extra folders; `open_detector` knows the usual ones, and may need none."""
        candidates = (folder / BUNDLE_NAME for folder in self._bundle_folders)
        return next((path for path in candidates if path.is_file()), None)

    def _open_network(self, device: str) -> Network:
        if self._network is None or self._network_device != device:
            self._network = Network(self._model, device)
            self._network_device = device
        return self._network


class _Walk:
    """Where a reconstruction stands: tells progress, takes time, and stops when asked to."""

    def __init__(self, progress: ProgressCallback, cancelled: Callable[[], bool]) -> None:
        self.seconds: dict[str, float] = {}
        self.face, self.faces = 0, 1
        self._progress = progress
        self._cancelled = cancelled

    @contextmanager
    def station(self, name: str) -> Iterator[None]:
        if self._cancelled():
            raise Cancelled("Stopped; nothing was changed.")
        self._progress(name, (self.face + FRACTION_BEFORE[name]) / self.faces)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def pick_faces(faces: Sequence[Face], wanted: str) -> list[tuple[int, Face | None]]:
    """Choose among the faces of a photo.

    Parameters
    ----------
    faces : sequence of Face
        At least one, the largest first.
    wanted : str
        As `Options.face`.

    Returns
    -------
    list of (int, Face)
        The chosen faces with their numbers, counted from 1.

    Raises
    ------
    ReconstructionError
        If the photo has no face of that number.
    """
    numbered: list[tuple[int, Face | None]] = list(enumerate(faces, start=1))
    if wanted == ALL_FACES:
        return numbered
    number = 1 if wanted == LARGEST_FACE else int(wanted)
    if number > len(numbered):
        count = "one face" if len(numbered) == 1 else f"{len(numbered)} faces"
        raise ReconstructionError(
            f"The photo shows {count}, so there is no face {number}: "
            "choose a lower number, or largest."
        )
    return [numbered[number - 1]]


def describe_device(network: Network) -> str:
    """Say what ran the network.

    Parameters
    ----------
    network : Network
        After a prediction, because a GPU can fail in the middle of one.

    Returns
    -------
    str
        The provider that the session names, then the GPU's name, or why it is not the GPU where
        one was asked for.
    """
    note = gpu_name() if network.provider == "CUDA" else network.provider_note
    return network.provider if note is None else f"{network.provider}: {note}"


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Write a picture as a PNG file in memory, fast rather than small.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        sRGB, row 0 on top.

    Returns
    -------
    bytes
        The file.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Write a photo as a JPEG file in memory, with no loss that anyone sees.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        sRGB, row 0 on top.

    Returns
    -------
    bytes
        The file.
    """
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


def require_box(photo: Photo, box: tuple[float, float, float, float]) -> None:
    """Refuse a box that can hold no face of a photo; one that reaches beyond its border may.

    Parameters
    ----------
    photo : Photo
    box : (x0, y0, x1, y1)
        Photo frame, pixels.

    Raises
    ------
    PhotoError
        If the box has its middle outside of the photo, or is more than twice as large.
    """
    height, width = photo.rgb.shape[:2]
    x0, y0, x1, y1 = box
    inside = 0 <= (x0 + x1) / 2 <= width and 0 <= (y0 + y1) / 2 <= height
    if not inside or x1 - x0 > 2 * width or y1 - y0 > 2 * height:
        raise PhotoError(
            f"The face box does not lie in {photo.name}, which is {width} x {height} pixels: give "
            "left, top, right and bottom of the face in pixels of the photo."
        )


def _draw_surface(
    look: _Look, face: Face | None, options: Options
) -> tuple[Surface, NDArray[np.float32]]:
    landmarks = look.prediction.landmarks
    volume = cut_neck(look.prediction.volume, head_frame(landmarks, None, look.crop))
    surface = extract_surface(volume, smoothing=options.smoothing)
    if face is None:
        return surface, landmarks
    return fit_to_landmarks(surface, look.prediction, face, look.crop)


def _add_detail(
    surface: Surface, mesh: Mesh, relief: Relief | None, options: Options
) -> tuple[Surface, Mesh]:
    """Carve into what has the raw surface's detail: the mesh, or what gives its detail to it."""
    if relief is None:
        return surface, mesh
    if options.surface == "raw":
        return surface, detailed_mesh(mesh, relief, options.detail)
    return detailed_surface(surface, relief, options.detail), mesh


def _paint(photo: Photo, crop: Crop, mesh: Mesh, options: Options) -> _Paint:
    texture = bake(
        photo,
        crop,
        mesh,
        size=fitting_size(crop, mesh, options.texture_size),
        even_light=options.even_light,
        symmetric=options.symmetric,
    )
    return _Paint(encode_png(texture.image), encode_png(texture.seen))


def _paint_normals(crop: Crop, mesh: Mesh, fine: Surface, options: Options) -> bytes | None:
    """Give the normal map of the light surface as a PNG file; the others need none."""
    if options.surface != "light":
        return None
    size = fitting_size(crop, mesh, options.texture_size)
    return encode_png(normal_map(mesh, fine.vertices, fine.faces, size))


def _predict(
    network: Network, photo: Photo, face: Face | None, options: Options
) -> tuple[Crop, Prediction]:
    if face is not None:
        return predict_face(network, photo, face)
    assert options.box is not None  # noqa: S101 - a face is missing only where a box was given
    return predict_from_box(network, photo, options.box)
