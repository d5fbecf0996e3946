# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What a reconstruction is asked for and what it gives back; needs nothing but NumPy.

Blender's process and the worker's both import this module, so it must stay free of the libraries
that only the worker may load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ReconstructionError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LARGEST_FACE = "largest"
ALL_FACES = "all"
DEVICES = ("auto", "cuda", "cpu")
SURFACES = ("raw", "sculpt", "light")
DEFAULT_SURFACE = "sculpt"
DEFAULT_SMOOTHING = 8
DEFAULT_TEXTURE_SIZE = 4096

GOOD, FAIR = 0.97, 0.96
"""The least confidence that is called so; see `describe_confidence`."""


@dataclass(frozen=True)
class Options:
    """What the user may choose about one reconstruction.

    Parameters
    ----------
    face : str
        ``"largest"``, ``"all"``, or the number of a face, counted from 1, the largest.
    box : tuple of float or None
        A face's place (x0, y0, x1, y1) in the photo frame, in pixels. The network then runs
        unguided, without MediaPipe: for faces that MediaPipe does not find.
    surface : str
        ``"raw"``, the isosurface in triangles; ``"sculpt"``, even quads for sculpting, to which the
        raw surface gives the detail; ``"light"``, few quads.
    smoothing : int
        Passes of smoothing over the mesh; 0 keeps the surface as the network drew it.
    detail : float
        How strongly, 0..1, creases that the photo's shading shows are carved into the raw surface;
        0 leaves them out.
    texture_size : int
        The longest side that the texture may have, in pixels.
    device : str
        ``"auto"``, ``"cuda"`` or ``"cpu"``: where the network runs.
    face_only : bool
        Keep a mask only, from ear to ear and from hairline to throat, with an open border.
    even_light : bool
        Take the photo's light out of the texture, so that the skin keeps its own colour.
    symmetric : bool
        Make both sides of the texture the same.
    photo : bool
        Give the photo back with the head, as it was seen.

    Raises
    ------
    ReconstructionError
        If a value is out of range.
    """

    face: str = LARGEST_FACE
    box: tuple[float, float, float, float] | None = None
    surface: str = DEFAULT_SURFACE
    smoothing: int = DEFAULT_SMOOTHING
    detail: float = 0.0
    texture_size: int = DEFAULT_TEXTURE_SIZE
    device: str = "auto"
    face_only: bool = False
    even_light: bool = False
    symmetric: bool = False
    photo: bool = False

    def __post_init__(self) -> None:
        numbered = self.face.isascii() and self.face.isdigit() and int(self.face) > 0
        if self.face not in (LARGEST_FACE, ALL_FACES) and not numbered:
            raise ReconstructionError(
                f"“{self.face}” names no face: write largest, all, or a number from 1 on."
            )
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ReconstructionError(
                "The face box is empty: give left, top, right and bottom in pixels of the photo, "
                "right beyond left and bottom below top."
            )
        if self.surface not in SURFACES:
            raise ReconstructionError(
                f"“{self.surface}” is no surface: write one of {', '.join(SURFACES)}."
            )
        if self.device not in DEVICES:
            raise ReconstructionError(
                f"“{self.device}” is no device: write one of {', '.join(DEVICES)}."
            )
        if self.smoothing < 0 or self.texture_size < 64:
            raise ReconstructionError(
                "Smoothing must be 0 or more, and the texture size 64 pixels or more."
            )
        if not 0.0 <= self.detail <= 1.0:
            raise ReconstructionError(
                "Detail must lie between 0, which is none, and 1, which is strongest."
            )


@dataclass(frozen=True)
class PhotoCamera:
    """The orthographic camera that sees a head exactly as its photo does.

    The network's volume is aligned with the photo, pixel for voxel, so that is its projection.

    Parameters
    ----------
    matrix : ndarray of float64, shape (4, 4)
        Rigid; from the camera (metres; x right, y up, it looks along -z, as Blender's do) to the
        head frame. The photo's middle lies at the camera's origin.
    width, height : int
        Of the photo, pixels.
    metres_per_pixel : float
        How much of the head frame a pixel of the photo spans.
    """

    matrix: NDArray[np.float64]
    width: int
    height: int
    metres_per_pixel: float


@dataclass(frozen=True)
class Head:
    """A finished head, ready for Blender.

    Parameters
    ----------
    name : str
        The photo's file name without its ending.
    vertices : ndarray of float32, shape (V, 3)
        Head frame: metres, z up, the face looks along -y, the subject's left is +x.
    faces : ndarray of int32, shape (F, 3) or (F, 4)
        Triangles or quads, wound so that normals point outwards in the head frame.
    uv : ndarray of float32, shape (F, 3, 2) or (F, 4, 2)
        Texture coordinates in 0..1 of each corner of each face, v up.
    texture_png : bytes
        The texture as a PNG file, 8-bit sRGB, row 0 on top.
    landmarks : ndarray of float32, shape (68, 3)
        The Multi-PIE landmarks that the network found, head frame.
    face_landmarks : ndarray of float32, shape (478, 3), or None
        MediaPipe's landmarks, head frame; None after an unguided run.
    face_number : int
        Which face of the photo this is, counted from 1, the largest.
    face_boxes : ndarray of float32, shape (N, 4)
        Left, top, right and bottom of every face that was found in the photo, the largest first;
        photo frame, pixels. None, N = 0, after an unguided run, which looks for no face.
    confidence : float or None
        How well the network's own landmarks agree with MediaPipe's before the fit: one
        less their mean distance in the photo as a share of the face's width. None after an
        unguided run, which has nothing to compare with. `describe_confidence` puts it into words.
    camera : PhotoCamera
        What took the photo.
    device : str
        What ran the network, as read back from the session, and why where that is not a GPU.
    seconds : dict of str to float
        How long each station took.
    surface : str
        One of `SURFACES`.
    regions : ndarray of float32, shape (V, 11)
        How far, 0..1, each vertex belongs to each of `mesh.REGIONS`; smooth at their borders.
    raw_vertices : ndarray of float32, shape (W, 3), or None
        The isosurface, head frame, whose detail the quads of ``sculpt`` and ``light`` lack, with
        what `Options.detail` adds to it; None where the head is that surface itself.
    raw_faces : ndarray of int32, shape (T, 3), or None
        Its triangles.
    seen_png : bytes or None
        A PNG file as large as the texture or smaller, greyscale: white where the camera saw.
    normal_png : bytes or None
        For ``"light"``: the tangent-space normals of the raw surface as a PNG file, y up.
    photo_jpeg : bytes or None
        Where it was asked for: the whole photo, upright and sRGB, as a JPEG file.
    """

    name: str
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    texture_png: bytes
    landmarks: NDArray[np.float32]
    face_landmarks: NDArray[np.float32] | None
    face_number: int
    face_boxes: NDArray[np.float32]
    confidence: float | None
    camera: PhotoCamera
    device: str
    seconds: dict[str, float]
    surface: str
    regions: NDArray[np.float32]
    raw_vertices: NDArray[np.float32] | None = None
    raw_faces: NDArray[np.int32] | None = None
    seen_png: bytes | None = None
    normal_png: bytes | None = None
    photo_jpeg: bytes | None = None


@dataclass(frozen=True)
class Picture:
    """A photo to be looked at, upright as every station takes it.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (h, w, 3)
        sRGB, row 0 on top; the whole photo, perhaps smaller than it is.
    width, height : int
        Of the photo itself, pixels.
    """

    rgb: NDArray[np.uint8]
    width: int
    height: int


def describe_confidence(confidence: float | None) -> str:
    """Put a head's confidence into words.

    The bounds were held against 134 photos of rendered heads whose shape is known, at all angles,
    most of them blurred, darkened, shrunk or partly covered (``models/training/confidence.py``,
    240 photos). Their mean errors, as shares of the outer interocular distance, were 1.7 % where
    it says good, 2.1 % where fair, and 2.1 % where poor; the rank correlation of confidence and
    error was -0.31, as the fit no longer follows landmarks that are wrong.

    Parameters
    ----------
    confidence : float or None
        As `Head.confidence`.

    Returns
    -------
    str
        For the user: the word, and the number that it stands for.
    """
    if confidence is None:
        return "not known, as no landmarks were used"
    if confidence >= GOOD:
        word = "good"
    elif confidence >= FAIR:
        word = "fair"
    else:
        word = "poor, look closely"
    return f"{word} (landmarks {100 * (1 - confidence):.1f} % apart)"
