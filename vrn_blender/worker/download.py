# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Fetches MediaPipe's Face Landmarker bundle; the only code here that uses the internet."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ..reconstruction.bundle import BUNDLE_NAME, BUNDLE_SIZE, BUNDLE_URL, read_bundle
from ..reconstruction.errors import ReconstructionError

_CHUNK = 1 << 16
_SECONDS_OF_SILENCE = 20.0


def fetch_bundle(folder: Path, progress: Callable[[float], None], url: str = BUNDLE_URL) -> Path:
    """Download the bundle, hold it against its size and SHA-256, and put it in place whole.

    Parameters
    ----------
    folder : Path
        Where it goes; made if it is missing.
    progress : callable
        Told the fraction that has arrived, 0 to 1.
    url : str
        Where it comes from.

    Returns
    -------
    Path
        The bundle.

    Raises
    ------
    ReconstructionError
        If it does not arrive, is not the pinned file, or cannot be written; nothing is left then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as part_folder:
            part = Path(part_folder) / BUNDLE_NAME
            _download(url, part, progress)
            read_bundle(part)
            return part.replace(folder / BUNDLE_NAME)
    except OSError as error:
        raise ReconstructionError(
            f"MediaPipe's face model could not be downloaded to {folder} ({error}): check the "
            f"internet connection, or put the file from {url} there yourself."
        ) from error


def _download(url: str, target: Path, progress: Callable[[float], None]) -> None:
    if not url.startswith("https://"):
        raise ReconstructionError(f"{url} is not a secure address: use one with https.")
    arrived = 0
    with (
        urllib.request.urlopen(url, timeout=_SECONDS_OF_SILENCE) as answer,  # noqa: S310 - https
        target.open("wb") as file,
    ):
        # One byte beyond the pinned size is enough to know that it is another file.
        while arrived <= BUNDLE_SIZE and (chunk := answer.read(_CHUNK)):
            file.write(chunk)
            arrived += len(chunk)
            progress(min(1.0, arrived / BUNDLE_SIZE))
