# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Which files count as photos, and which output name each gets; knows nothing of Blender."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


def photos_in(folder: Path) -> list[Path]:
    """List the photos of a folder by name; folders inside it are left alone.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    list of Path
        Files whose ending is one of `SUFFIXES`.
    """
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
    )


def unique_names(photos: Iterable[Path], taken: Iterable[str] = ()) -> dict[Path, str]:
    """Name what is made from each photo after the photo, so that no two names are the same.

    Parameters
    ----------
    photos : iterable of Path
        The photos, no two the same.
    taken : iterable of str
        Names that are given away already.

    Returns
    -------
    dict of Path to str
        The file name without its ending; where that is taken, a number follows: face, face_2.
    """
    # Case is folded because some file systems take A.glb and a.glb for the same file.
    used = {name.casefold() for name in taken}
    names = {}
    for photo in photos:
        name, number = photo.stem, 1
        while name.casefold() in used:
            number += 1
            name = f"{photo.stem}_{number}"
        used.add(name.casefold())
        names[photo] = name
    return names
