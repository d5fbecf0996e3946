# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""MediaPipe's Face Landmarker bundle: where it is looked for, and whether it is the right file.

Only the generation of MediaPipe that carries no models in its wheel needs it. The file is pinned,
so that everybody who makes a head makes it from the same landmarks.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from .errors import ModelError

BUNDLE_NAME = "face_landmarker.task"
BUNDLE_SIZE = 3_758_596
BUNDLE_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
BUNDLE_URL = (
    "https://storage.googleapis.com/mediapipe-models/"
    "face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)

_MODELS_FOLDER = Path(__file__).parents[2] / "models"


def find_bundle(extra_folders: Iterable[Path] = ()) -> Path:
    """Look for the bundle in the project's ``models`` folder, then in other folders.

    Parameters
    ----------
    extra_folders : iterable of Path
        Folders to look in as well, such as the extension's user folder; the last is the one that
        the user is told to put the bundle into.

    Returns
    -------
    Path
        The first file that has the bundle's name; `read_bundle` says whether it is whole.

    Raises
    ------
    ModelError
        When no folder has it.
    """
    folders = [_MODELS_FOLDER, *extra_folders]
    for folder in folders:
        path = folder / BUNDLE_NAME
        if path.is_file():
            return path
    raise ModelError(
        f"MediaPipe's face model {BUNDLE_NAME} is missing; "
        f"download it from {BUNDLE_URL} into {folders[-1]}."
    )


def read_bundle(path: Path) -> bytes:
    """Read the bundle and hold it against its pinned size and SHA-256.

    Parameters
    ----------
    path : Path
        The bundle, as `find_bundle` gives it.

    Returns
    -------
    bytes
        The file's content.

    Raises
    ------
    ModelError
        When the file cannot be read or is not the pinned one.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"MediaPipe's face model {path} cannot be read; download it from {BUNDLE_URL}."
        ) from error
    if len(content) != BUNDLE_SIZE or hashlib.sha256(content).hexdigest() != BUNDLE_SHA256:
        raise ModelError(
            f"MediaPipe's face model {path} is damaged or of another version; "
            f"replace it with the one at {BUNDLE_URL}."
        )
    return content
