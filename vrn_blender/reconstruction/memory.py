# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the stations gave for the last photos, so that changed options redo only what they touch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from .photo import Photo, read_photo

PHOTOS = 3
"""Most photos that are remembered."""
PHOTO_BYTES = 256 << 20
"""Most memory that the pixels of remembered photos take; the last photo may take more."""

Value = TypeVar("Value")


class Kept:
    """What is known of one photo.

    Parameters
    ----------
    photo : Photo
        The photo.

    Attributes
    ----------
    photo : Photo
        The photo.
    """

    def __init__(self, photo: Photo) -> None:
        self.photo = photo
        self._values: dict[Hashable, tuple[Hashable, Any]] = {}

    def once(self, place: Hashable, source: Hashable, make: Callable[[], Value]) -> Value:
        """Give what a station gave before, or have it made.

        Parameters
        ----------
        place : hashable
            The station, and the face where there may be several. One value is kept for each, the
            last one, which bounds the memory.
        source : hashable
            The options that the value depends on; with others it is made anew.
        make : callable
            Makes the value; an error in it is passed on and nothing is kept.

        Returns
        -------
        Value
            What `make` gave, now or earlier; nobody may change it.
        """
        known = self._values.get(place)
        if known is not None and known[0] == source:
            return known[1]
        value = make()
        self._values[place] = (source, value)
        return value


class Memory:
    """The last photos, at most `PHOTOS`, and what is known of them."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Kept] = {}

    def read(self, path: Path) -> Kept:
        """Read a photo unless it is known and its file has not changed since.

        Parameters
        ----------
        path : Path
            The photo.

        Returns
        -------
        Kept
            The photo, with what the stations have given for it so far.

        Raises
        ------
        PhotoError
            As `read_photo`.
        """
        state = _state(path)
        kept = self._kept.pop(state, None) or Kept(read_photo(path))
        self._kept[state] = kept
        while len(self._kept) > 1 and (len(self._kept) > PHOTOS or self._bytes() > PHOTO_BYTES):
            del self._kept[next(iter(self._kept))]
        return kept

    def _bytes(self) -> int:
        return sum(kept.photo.rgb.nbytes for kept in self._kept.values())


def _state(path: Path) -> Hashable:
    try:
        status = path.stat()
    except OSError:
        # Whatever is wrong with the file, reading it says so.
        return path
    return path, status.st_mtime_ns, status.st_size
