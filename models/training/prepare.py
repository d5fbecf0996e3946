# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Turn ICT-FaceKit's folder of OBJ files into the archive that ``load_head_model`` reads.

    python -m models.training.prepare ICT-FaceKit/FaceXModel --output ict_facekit_light.npz

References
----------
ICT Face Model Light, https://github.com/ICT-VGL/ICT-FaceKit (MIT licence): the tables of its README
give the parts' ranges, the landmarks, and the names of the expressions.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

NEUTRAL = "generic_neutral_mesh"
IDENTITIES = tuple(f"identity{i:03d}" for i in range(100))

# ARKit's names; where ARKit says Left and Right, ICT says _L and _R.
_TWO_SIDED = (
    *("PupilDilate", "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekRaiser"),
    *("cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *("eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress"),
    *("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer"),
)
_ONE_SIDED = (
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft"),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    "mouthShrugUpper",
)
EXPRESSIONS = tuple(sorted([f"{n}_{side}" for n in _TWO_SIDED for side in "LR"] + [*_ONE_SIDED]))

# The parts lie one after another: where each ends, in vertices and in polygons.
_PART_ENDS = {
    "face": (9409, 9230),
    "head_and_neck": (11248, 11144),
    "mouth_socket": (13294, 13226),
    "eye_socket_left": (13678, 13630),
    "eye_socket_right": (14062, 14034),
    "gums_and_tongue": (17039, 17006),
    "teeth": (21451, 21496),
    "eyeball_left": (23021, 23094),
    "eyeball_right": (24591, 24692),
    "lacrimal_fluid_left": (24795, 24855),
    "lacrimal_fluid_right": (24999, 25018),
    "eye_blend_left": (25023, 25033),
    "eye_blend_right": (25047, 25048),
    "eye_occlusion_left": (25199, 25176),
    "eye_occlusion_right": (25351, 25304),
    "eyelashes_left": (26035, 25844),
    "eyelashes_right": (26719, 26384),
}
_VERTICES, _POLYGONS = _PART_ENDS["eyelashes_right"]

_MULTIPIE68 = np.array(
    [
        # contour
        *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966),
        *(3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
        # brows
        *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509),
        # nose
        *(978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
        # eyes
        *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
        # lips, outside and inside
        *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
        *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
    ],
    dtype=np.int32,
)


class FaceKitError(Exception):
    """The folder is not what ICT-FaceKit ships; the message is one sentence for the user."""


@dataclass(frozen=True)
class ObjMesh:
    """What an OBJ file of the kit holds.

    Attributes
    ----------
    vertices : (V, 3) float32
        Centimetres: x to the subject's left, y up, z out of the face.
    uv : (T, 2) float32
    faces, face_uv : (F, 4) int32
        Corners of each polygon in ``vertices`` and ``uv``; a triangle has -1 in its fourth place.
    """

    vertices: np.ndarray
    uv: np.ndarray
    faces: np.ndarray
    face_uv: np.ndarray


def read_obj(path: Path) -> ObjMesh:
    """Read an OBJ file of triangles and quads with texture coordinates.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ObjMesh

    Raises
    ------
    FaceKitError
        If the file cannot be read, or is damaged.
    """
    lines: dict[bytes, list[list[bytes]]] = {b"v": [], b"vt": [], b"f": []}
    try:
        for line in path.read_bytes().splitlines():
            kind, *fields = line.split() or [b""]
            if kind in lines:
                lines[kind].append(fields)
        vertices = np.array(lines[b"v"], dtype=np.bytes_).astype(np.float32)
        uv = np.array(lines[b"vt"], dtype=np.bytes_).astype(np.float32)
        corners = np.full((len(lines[b"f"]), 4, 2), -1, dtype=np.int32)
        for polygon, fields in zip(corners, lines[b"f"], strict=True):
            polygon[: len(fields)] = [field.split(b"/")[:2] for field in fields]
    except OSError as error:
        raise FaceKitError(
            f"{path} cannot be read ({error.strerror}): name the folder FaceXModel of ICT-FaceKit."
        ) from error
    except ValueError as error:
        raise FaceKitError(f"{path} is damaged ({error}): fetch ICT-FaceKit again.") from error
    # OBJ counts from one.
    corners = np.where(corners > 0, corners - 1, -1)
    return ObjMesh(vertices[:, :3], uv[:, :2], corners[..., 0], corners[..., 1])


def require_files(folder: Path, names: tuple[str, ...]) -> None:
    """Check that OBJ files of these names are there, before minutes are spent on some of them.

    Raises
    ------
    FaceKitError
        If any is missing.
    """
    missing = [f"{name}.obj" for name in names if not (folder / f"{name}.obj").is_file()]
    if missing:
        rest = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise FaceKitError(
            f"{folder} lacks {', '.join(missing[:3])}{rest}: "
            "name the folder FaceXModel of a whole copy of ICT-FaceKit."
        )


def read_neutral(folder: Path) -> ObjMesh:
    """Read the neutral mean head, and check that it is the topology that the tables describe.

    Parameters
    ----------
    folder : Path
        ICT-FaceKit's FaceXModel.

    Returns
    -------
    ObjMesh

    Raises
    ------
    FaceKitError
        If the file is missing, damaged or of another topology.
    """
    mesh = read_obj(folder / f"{NEUTRAL}.obj")
    if mesh.vertices.shape != (_VERTICES, 3) or len(mesh.faces) != _POLYGONS:
        raise FaceKitError(
            f"{NEUTRAL}.obj has {len(mesh.vertices)} vertices and {len(mesh.faces)} polygons "
            f"instead of {_VERTICES} and {_POLYGONS}: use the ICT Face Model Light."
        )
    return mesh


def read_shapes(folder: Path, names: tuple[str, ...], neutral: np.ndarray) -> np.ndarray:
    """Read shapes as differences from the neutral head.

    Parameters
    ----------
    folder : Path
        ICT-FaceKit's FaceXModel.
    names : tuple of str
        The files' names without ``.obj``.
    neutral : (V, 3) float32

    Returns
    -------
    (N, V, 3) float16
        Centimetres.

    Raises
    ------
    FaceKitError
        If a file is missing, damaged or of another topology.
    """
    shapes = np.empty((len(names), *neutral.shape), dtype=np.float16)
    for shape, name in zip(shapes, tqdm(names, unit="shape"), strict=True):
        vertices = read_obj(folder / f"{name}.obj").vertices
        if vertices.shape != neutral.shape:
            raise FaceKitError(
                f"{name}.obj has {len(vertices)} vertices and {NEUTRAL}.obj has {len(neutral)}: "
                "fetch ICT-FaceKit again, all of one version."
            )
        shape[:] = vertices - neutral
    return shapes


def prepare(folder: Path) -> dict[str, np.ndarray]:
    """Read the whole kit.

    Parameters
    ----------
    folder : Path
        ICT-FaceKit's FaceXModel.

    Returns
    -------
    dict of str to ndarray
        ``neutral``, ``uv``, ``faces`` and ``face_uv`` as in ``ObjMesh``; ``identity``
        (100, V, 3) and ``expression`` (57, V, 3) float16, centimetres; ``expression_names``;
        ``landmarks_multipie68`` (68,) int32; ``part_names``, and each part's half-open range of
        vertices and polygons, ``part_vertices`` and ``part_faces`` (17, 2) int32.

    Raises
    ------
    FaceKitError
        If the folder is not what ICT-FaceKit ships.
    """
    require_files(folder, (NEUTRAL, *IDENTITIES, *EXPRESSIONS))
    neutral = read_neutral(folder)
    ends = np.array([(0, 0), *_PART_ENDS.values()], dtype=np.int32)
    ranges = np.array(list(pairwise(ends)), dtype=np.int32)
    return {
        "neutral": neutral.vertices,
        "identity": read_shapes(folder, IDENTITIES, neutral.vertices),
        "expression": read_shapes(folder, EXPRESSIONS, neutral.vertices),
        "expression_names": np.array(EXPRESSIONS),
        "faces": neutral.faces,
        "uv": neutral.uv,
        "face_uv": neutral.face_uv,
        "landmarks_multipie68": _MULTIPIE68,
        "part_names": np.array(list(_PART_ENDS)),
        "part_vertices": ranges[..., 0],
        "part_faces": ranges[..., 1],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="ICT-FaceKit's FaceXModel")
    parser.add_argument("--output", type=Path, default=Path("ict_facekit_light.npz"))
    arguments = parser.parse_args()
    try:
        arrays = prepare(arguments.folder)
    except FaceKitError as error:
        sys.exit(str(error))
    part = arguments.output.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    part.replace(arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
