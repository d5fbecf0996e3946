# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What Blender's process and the worker say to each other, and how.

Each message is one line of ASCII JSON with a ``type``. Blender's process writes to the worker's
stdin, the worker to its stdout; arrays go through files in a folder that both know.

==============  ==========  =====================================================================
type            who writes  further keys
==============  ==========  =====================================================================
``reconstruct`` Blender     ``id``, ``photo``, ``options``, ``seconds`` (how long it may take)
``picture``     Blender     ``id``, ``photo``, ``max_side`` (pixels), ``seconds``
``fetch``       Blender     ``id``, ``folder`` (where the bundle goes), ``seconds``
``look``        Blender     ``id``, ``seconds``
``progress``    worker      ``id``, ``station``, ``fraction``
``heads``       worker      ``id``, ``files`` (names of .npz files in the folder)
``seen``        worker      ``id``, ``file`` (name of an .npz file in the folder: the picture)
``fetched``     worker      ``id``, ``path``
``status``      worker      ``id``, ``status`` (what the worker has to work with)
``error``       worker      ``id``, ``message`` (one sentence for the user), ``no_face`` (whether it
                            is that no face was found)
``idle``        worker      nothing; the worker ends because nobody needed it for a while
==============  ==========  =====================================================================
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..reconstruction.result import Head, Options, PhotoCamera, Picture

Message = dict[str, Any]

MAX_LINE = 1 << 20
"""Bytes beyond which a line without an end cannot be a message."""

_ARRAYS = (
    "vertices",
    "faces",
    "uv",
    "landmarks",
    "face_landmarks",
    "face_boxes",
    "regions",
    "raw_vertices",
    "raw_faces",
)
_FILES = ("texture_png", "seen_png", "normal_png", "photo_jpeg")

_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a damaged file raises."""


class ProtocolError(ValueError):
    """A line is no message of this protocol."""


def encode(message: Message) -> bytes:
    """Write a message as one line.

    Parameters
    ----------
    message : dict
        Anything that JSON can say.

    Returns
    -------
    bytes
        ASCII, so that neither end's locale matters and undecodable file names survive.
    """
    return json.dumps(message).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """Read one line.

    Parameters
    ----------
    line : bytes
        Without its end of line or with it.

    Returns
    -------
    dict
        The message; it has a ``type``.

    Raises
    ------
    ProtocolError
        If the line is no JSON object with a ``type``.
    """
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ProtocolError(f"not JSON: {line[:80]!r}") from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError(f"not a message: {line[:80]!r}")
    return message


def options_to_json(options: Options) -> Message:
    """Give the options as JSON can say them.

    Parameters
    ----------
    options : Options
        The user's choices.

    Returns
    -------
    dict
        What `options_from_json` reads.
    """
    return asdict(options)


def options_from_json(message: Message) -> Options:
    """Read the options out of a message.

    Parameters
    ----------
    message : dict
        As `options_to_json` gave it.

    Returns
    -------
    Options
        The user's choices.
    """
    box = message["box"]
    return Options(**{**message, "box": None if box is None else tuple(box)})


def save_head(path: Path, head: Head) -> None:
    """Write a head into an .npz file.

    Parameters
    ----------
    path : Path
        The file; it exists only once it is whole.
    head : Head
        The head.
    """
    arrays = {name: value for name in _ARRAYS if (value := getattr(head, name)) is not None}
    for name in _FILES:
        if (content := getattr(head, name)) is not None:
            arrays[name] = np.frombuffer(content, np.uint8)
    rest = {
        "name": head.name,
        "surface": head.surface,
        "face_number": head.face_number,
        "confidence": head.confidence,
        "device": head.device,
        "camera": {**asdict(head.camera), "matrix": head.camera.matrix.tolist()},
        "seconds": head.seconds,
    }
    _save(path, {**arrays, "rest": np.array(json.dumps(rest))})


def load_head(path: Path) -> Head:
    """Read a head back.

    Parameters
    ----------
    path : Path
        A file that `save_head` wrote.

    Returns
    -------
    Head
        The head.

    Raises
    ------
    ProtocolError
        If the file is missing, damaged, or holds something else.
    """
    try:
        arrays = _load(path)
        rest = json.loads(str(arrays.pop("rest")))
        camera = rest.pop("camera")
        camera["matrix"] = np.array(camera["matrix"], np.float64)
        files = {name: arrays.pop(name).tobytes() for name in _FILES if name in arrays}
        arrays.setdefault("face_landmarks", None)
        return Head(**arrays, **files, camera=PhotoCamera(**camera), **rest)
    except _DAMAGE as error:
        raise ProtocolError(f"{path.name} holds no head: {error}") from error


def save_picture(path: Path, picture: Picture) -> None:
    """Write a picture into an .npz file.

    Parameters
    ----------
    path : Path
        The file; it exists only once it is whole.
    picture : Picture
        The picture.
    """
    _save(path, {"rgb": picture.rgb, "size": np.array([picture.width, picture.height])})


def load_picture(path: Path) -> Picture:
    """Read a picture back.

    Parameters
    ----------
    path : Path
        A file that `save_picture` wrote.

    Returns
    -------
    Picture
        The picture.

    Raises
    ------
    ProtocolError
        If the file is missing, damaged, or holds something else.
    """
    try:
        arrays = _load(path)
        width, height = arrays["size"].tolist()
        return Picture(arrays["rgb"], width, height)
    except _DAMAGE as error:
        raise ProtocolError(f"{path.name} holds no picture: {error}") from error


def _save(path: Path, arrays: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, **arrays)
    unfinished.replace(path)


def _load(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}
