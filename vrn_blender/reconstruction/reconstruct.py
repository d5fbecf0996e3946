# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Walks a photo through the stations in their order."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .atlas import paint_ready
from .bundle import BUNDLE_NAME
from .crop import Crop, crop_box, crop_face
from .errors import Cancelled, NoFaceError, PhotoError
from .fit import fit_to_landmarks
from .guidance import draw_guidance, no_guidance
from .head import head_frame, photo_camera
from .landmarks import Detector, Face, open_detector, require_faces
from .mesh import Mesh
from .model_file import MODEL
from .neck import cut_neck
from .network import Network
from .photo import Photo, read_photo
from .result import ALL_FACES, LARGEST_FACE, Head, Options
from .surface import Surface, extract_surface
from .texture import project_texture

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


class Reconstructor:
    """Turns photos into heads; opens MediaPipe and the network once, when they are first needed.

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
            photo = read_photo(path)
        faces = self._choose(photo, options, walk)
        heads: list[Head] = []
        for number, face in faces:
            walk.face, walk.faces = len(heads), len(faces)
            heads.append(self._make_head(photo, number, face, options, walk))
        return heads

    def close(self) -> None:
        """Give back what MediaPipe holds."""
        if self._detector is not None:
            self._detector.close()
            self._detector = None

    def _choose(self, photo: Photo, options: Options, walk: _Walk) -> list[tuple[int, Face | None]]:
        """Find the faces asked for, with their numbers; a face given as a box has no landmarks."""
        if options.box is not None:
            require_box(photo, options.box)
            return [(1, None)]
        with walk.station("landmarks"):
            if self._detector is None:
                self._detector = open_detector(self._find_bundle())
            faces = require_faces(photo, self._detector)
        return pick_faces(faces, options.face)

    def _make_head(
        self, photo: Photo, number: int, face: Face | None, options: Options, walk: _Walk
    ) -> Head:
        with walk.station("network"):
            network = self._open_network(options.device)
            crop = _crop(photo, face, options)
            guidance = no_guidance() if face is None else draw_guidance(face, crop)
            prediction = network.predict(crop, guidance)
        with walk.station("surface"):
            landmarks = prediction.landmarks
            volume = cut_neck(prediction.volume, head_frame(landmarks, None, crop))
            surface = extract_surface(volume, smoothing=options.smoothing)
            if face is not None:
                surface, landmarks = fit_to_landmarks(surface, landmarks, face, crop)
            mesh = paint_ready(surface, landmarks, options.surface, face_only=options.face_only)
        with walk.station("head"):
            frame = head_frame(landmarks, face, crop)
        with walk.station("texture"):
            texture = project_texture(
                photo, crop, triangulated(mesh), max_size=options.texture_size
            )
            texture_png = encode_png(texture.image)
        raw = options.surface == "raw"
        return Head(
            name=photo.name,
            vertices=frame.apply(mesh.vertices),
            faces=mesh.faces,
            uv=texture.uv[mesh.faces],
            surface=options.surface,
            regions=mesh.regions,
            texture_png=texture_png,
            landmarks=frame.apply(landmarks),
            face_landmarks=None if face is None else frame.apply(crop.to_volume(face.points)),
            face_number=number,
            camera=photo_camera(frame, crop, (photo.rgb.shape[1], photo.rgb.shape[0])),
            raw_vertices=None if raw else frame.apply(surface.vertices),
            raw_faces=None if raw else surface.faces,
            device=describe_device(network),
            seconds=dict(walk.seconds),
        )

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
    NoFaceError
        If the photo has no face of that number.
    """
    numbered: list[tuple[int, Face | None]] = list(enumerate(faces, start=1))
    if wanted == ALL_FACES:
        return numbered
    number = 1 if wanted == LARGEST_FACE else int(wanted)
    if number > len(numbered):
        count = "one face" if len(numbered) == 1 else f"{len(numbered)} faces"
        raise NoFaceError(
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
        The provider that the session names, and why it is not the GPU where one was asked for.
    """
    note = network.provider_note
    return network.provider if note is None else f"{network.provider} ({note})"


def triangulated(mesh: Mesh) -> Surface:
    """Cut quads into triangles.

    Parameters
    ----------
    mesh : Mesh

    Returns
    -------
    Surface
        The same vertices.
    """
    if mesh.faces.shape[1] == 3:
        return Surface(mesh.vertices, mesh.faces)
    halves = np.concatenate([mesh.faces[:, [0, 1, 2]], mesh.faces[:, [0, 2, 3]]])
    return Surface(mesh.vertices, halves)


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


def _crop(photo: Photo, face: Face | None, options: Options) -> Crop:
    if face is not None:
        return crop_face(photo, face)
    assert options.box is not None  # noqa: S101 - a face is missing only where a box was given
    return crop_box(photo, options.box)
