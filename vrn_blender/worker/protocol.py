# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What Blender's process and the worker say to each other, and how.

Each message is one line of ASCII JSON with a ``type``. Blender's process writes to the worker's
stdin, the worker to its stdout; arrays go through files in a folder that both know.

==============  ==========  =====================================================================
type            who writes  further keys
==============  ==========  =====================================================================
``reconstruct`` Blender     ``id``, ``photo``, ``options``, ``seconds`` (how long it may take)
``fetch``       Blender     ``id``, ``folder`` (where the bundle goes), ``seconds``
``progress``    worker      ``id``, ``station``, ``fraction``
``heads``       worker      ``id``, ``files`` (names of .npz files in the folder)
``fetched``     worker      ``id``, ``path``
``error``       worker      ``id``, ``message`` (one sentence for the user)
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

from ..reconstruction.result import Head, Options, PhotoCamera

Message = dict[str, Any]

MAX_LINE = 1 << 20
"""Bytes beyond which a line without an end cannot be a message."""

_OPTIONAL_ARRAYS = ("face_landmarks", "raw_vertices", "raw_faces")
_ARRAYS = ("vertices", "faces", "uv", "regions", "landmarks", *_OPTIONAL_ARRAYS)


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
    rest = {
        "name": head.name,
        "surface": head.surface,
        "face_number": head.face_number,
        "device": head.device,
        "camera": {**asdict(head.camera), "matrix": head.camera.matrix.tolist()},
        "seconds": head.seconds,
    }
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            texture_png=np.frombuffer(head.texture_png, np.uint8),
            rest=np.array(json.dumps(rest)),
            **arrays,
        )
    unfinished.replace(path)


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
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        rest = json.loads(str(arrays.pop("rest")))
        camera = rest.pop("camera")
        camera["matrix"] = np.array(camera["matrix"], np.float64)
        texture_png = arrays.pop("texture_png").tobytes()
        arrays = dict.fromkeys(_OPTIONAL_ARRAYS) | arrays
        return Head(texture_png=texture_png, camera=PhotoCamera(**camera), **arrays, **rest)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ProtocolError(f"{path.name} holds no head: {error}") from error
