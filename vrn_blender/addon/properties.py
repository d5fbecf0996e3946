# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the user may choose, and how Blender's buttons and tooltips put it."""

from collections.abc import Iterable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..reconstruction.result import (
    ALL_FACES,
    DEFAULT_SMOOTHING,
    DEFAULT_SURFACE,
    DEFAULT_TEXTURE_SIZE,
    LARGEST_FACE,
    Options,
)
from .choices import SceneChoices

DEVICE_ITEMS = (
    ("AUTO", "Automatic", "The graphics card where it works, otherwise the processor"),
    ("CUDA", "CUDA", "An NVIDIA graphics card; the processor steps in if it fails"),
    ("CPU", "CPU", "The processor, even where there is a graphics card"),
)
SIZE_ITEMS = (
    ("TRUE", "True Size", "As large as a real head, about 25 cm, measured by the eyes"),
    ("UNIT", "One Unit High", "Exactly one Blender unit from neck to crown"),
)
SURFACE_ITEMS = (
    ("RAW", "Raw", "The surface as the network drew it, in about 120,000 triangles"),
    ("SCULPT", "Sculpt", "Even quads with the raw surface's detail in a Multires modifier"),
    ("LIGHT", "Light", "Few quads, for games, with a normal map of the raw surface"),
)
PAINT_ITEMS = (
    ("TEXTURE", "Texture", "A picture, placed by UV coordinates and packed into the file"),
    ("VERTEX", "Vertex Colors", "A color for each vertex and no picture; finest with Raw"),
)
LANDMARK_ITEMS = (
    ("0", "None", "No empties; the landmarks are still stored with the head"),
    ("68", "68", "The 68 of Multi-PIE: jaw, brows, nose, eyes and lips"),
    ("478", "478", "MediaPipe's 478 all over the face; of a face from a box the 68"),
)
TEXTURE_ITEMS = tuple(
    (str(size), f"{size} px", f"At most {size} pixels a side, and never more than the photo has")
    for size in (1024, 2048, 4096, 8192)
)


def _suggest_faces(
    _owner: object, _context: bpy.types.Context, _typed: str
) -> Iterable[tuple[str, str]]:
    return [
        (LARGEST_FACE, "the one that is nearest"),
        (ALL_FACES, "a head for each"),
        ("2", "the second largest"),
        ("3", "the third largest"),
    ]


class FaceOptions:
    """The choices that the panel and the operator share; both inherit them."""

    face: StringProperty(
        name="Face",
        description=(
            "Which face, where the photo shows several: largest, all, or a number; "
            "1 is the largest, 2 the second largest"
        ),
        default=LARGEST_FACE,
        search=_suggest_faces,
        search_options={"SUGGESTION"},
    )
    surface: EnumProperty(
        name="Surface",
        description="What the head is made of",
        items=SURFACE_ITEMS,
        default=DEFAULT_SURFACE.upper(),
    )
    face_only: BoolProperty(
        name="Face Only",
        description="Keep a mask from ear to ear, with an open border, in place of the whole head",
        default=False,
    )
    smoothing: IntProperty(
        name="Smoothing",
        description=(
            "How often the surface is smoothed. More makes the skin calmer, less keeps the "
            "network's finest detail, and 0 leaves it untouched"
        ),
        default=DEFAULT_SMOOTHING,
        min=0,
        soft_max=30,
        max=200,
    )
    detail: FloatProperty(
        name="Detail",
        description=(
            "How deep to carve the wrinkles, folds and eyelids that the photo's shading shows into "
            "the surface, or into the normal map of Light. 0 leaves them to the texture"
        ),
        default=0.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    texture_size: EnumProperty(
        name="Resolution",
        description="The longest side that the texture may have; the photo may ask for less",
        items=TEXTURE_ITEMS,
        default=str(DEFAULT_TEXTURE_SIZE),
    )
    even_light: BoolProperty(
        name="Even Light",
        description=(
            "Take the photo's light and shadow out of the texture, so that the skin keeps its own "
            "color and can be lit anew"
        ),
        default=False,
    )
    symmetric: BoolProperty(
        name="Symmetric Texture",
        description="Make both sides of the texture the same, from the side that was seen better",
        default=False,
    )
    paint: EnumProperty(
        name="Paint",
        description="What gives the skin its color",
        items=PAINT_ITEMS,
        default="TEXTURE",
    )
    size: EnumProperty(
        name="Size",
        description="How large the head is in the scene",
        items=SIZE_ITEMS,
        default="TRUE",
    )
    camera: BoolProperty(
        name="Camera",
        description=(
            "Add a camera that sees the head exactly as the photo does, with the photo behind "
            "the head, to compare and to paint from"
        ),
        default=False,
    )
    landmarks: EnumProperty(
        name="Landmarks",
        description="Add an empty at each landmark, to snap and to rig to",
        items=LANDMARK_ITEMS,
        default="0",
    )


class RunOptions(FaceOptions):
    """The choices of an operator; what its caller leaves out is what the sidebar says."""

    device: EnumProperty(
        name="Device",
        description="Where the network runs",
        items=DEVICE_ITEMS,
        default="AUTO",
        options={"SKIP_SAVE"},
    )


class VRN_PG_options(FaceOptions, bpy.types.PropertyGroup):
    """The choices of the sidebar, which the button hands to the operator."""


def to_options(chosen: FaceOptions, box: Iterable[float], device: str) -> Options:
    """Put what Blender's properties say into the reconstruction's words.

    Parameters
    ----------
    chosen : FaceOptions
        The operator or the sidebar's choices.
    box : iterable of float
        The face's place in the photo, pixels; empty or all zero when there is none.
    device : str
        One of `DEVICE_ITEMS`.

    Returns
    -------
    Options
        The same choices.

    Raises
    ------
    ReconstructionError
        If one of them makes no sense.
    """
    corners = tuple(box)
    x0, y0, x1, y1 = corners if any(corners) else (0.0,) * 4
    return Options(
        face=chosen.face.strip().lower() or LARGEST_FACE,
        box=(x0, y0, x1, y1) if any(corners) else None,
        surface=chosen.surface.lower(),
        smoothing=chosen.smoothing,
        # Blender keeps 32 bits, in which 0.3 is a little more.
        detail=round(chosen.detail, 6),
        texture_size=int(chosen.texture_size),
        device=device.lower(),
        face_only=chosen.face_only,
        even_light=chosen.even_light,
        symmetric=chosen.symmetric,
        photo=chosen.camera,
    )


def to_scene_choices(chosen: FaceOptions) -> SceneChoices:
    """Put what Blender's properties say about the scene into the add-on's words.

    Parameters
    ----------
    chosen : FaceOptions
        The operator or the sidebar's choices.

    Returns
    -------
    SceneChoices
        The same choices.
    """
    return SceneChoices(
        unit_size=chosen.size == "UNIT",
        paint=chosen.paint.lower(),
        camera=chosen.camera,
        landmarks=int(chosen.landmarks),
    )


def chosen_photos(filepath: str, directory: str, names: Iterable[str]) -> list[Path]:
    """Tell which photos a file browser, a drop or a script means.

    Parameters
    ----------
    filepath : str
        One photo; ``//`` stands for the folder of the open file.
    directory : str
        The folder of the names.
    names : iterable of str
        Several photos; where there are any, the file path only repeats one of them.

    Returns
    -------
    list of Path
        The photos; empty when none was given.
    """
    several = [Path(bpy.path.abspath(directory)) / name for name in names if name]
    if several:
        return several
    return [Path(bpy.path.abspath(filepath))] if filepath else []
