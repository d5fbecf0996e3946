# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""First station: a file becomes RGB pixels, upright and eight bits deep.

Pillow does the reading because it is the one reader at hand that tells a truncated file from a
whole one, turns the picture as its EXIF orientation says, and knows palettes, CMYK and colour
profiles.
"""

import io
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .errors import PhotoError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
MIN_SIDE = 32
"""Least width and height of a photo, in pixels; no smaller picture holds a usable face."""

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")


@dataclass(frozen=True)
class Photo:
    """An upright photo.

    Attributes
    ----------
    rgb : (H, W, 3) uint8 array
        sRGB pixels, row 0 on top, C-contiguous and read-only. In the photo frame the centre of
        pixel (row, column) is at x = column + 0.5, y = row + 0.5.
    name : str
        What the user calls the photo: the file's name without folder and suffix.
    """

    rgb: NDArray[np.uint8]
    name: str


def read_photo(path: str | os.PathLike[str]) -> Photo:
    """Read a JPEG, PNG, TIFF, WebP or BMP file.

    The EXIF orientation is obeyed, an embedded colour profile is converted to sRGB, transparency
    is laid over white, sixteen bits are scaled to eight, and of several frames the first is taken.

    Parameters
    ----------
    path : str or path-like
        The file; any characters that the file system allows.

    Returns
    -------
    Photo
        The photo at its full resolution.

    Raises
    ------
    PhotoError
        When the file is missing, may not be read, is no picture of these formats, is damaged or
        cut short, or is smaller than `MIN_SIDE` pixels.
    """
    path = Path(path)
    shown = _printable(path.name)
    try:
        _require_file(path, shown)
        with path.open("rb") as file:
            rgb = _decode(file, shown)
    except FileNotFoundError as error:
        raise PhotoError(f"{shown} was not found; check its name and its folder.") from error
    except PermissionError as error:
        raise PhotoError(
            f"{shown} may not be read; allow reading it or copy it to a folder of your own."
        ) from error
    except (OSError, ValueError) as error:
        raise PhotoError(f"{shown} cannot be opened ({error}); check its path.") from error
    _require_size(rgb, shown)
    return photo_from_array(rgb, _printable(path.stem))


def photo_from_array(rgb: ArrayLike, name: str) -> Photo:
    """Take pixels that are already in memory as a photo.

    Parameters
    ----------
    rgb : (H, W, 3) uint8 array_like
        Upright sRGB pixels, row 0 on top; shared, not copied, where they are C-contiguous.
    name : str
        What the user calls the photo.

    Returns
    -------
    Photo
        The photo.

    Raises
    ------
    PhotoError
        When the array is no RGB picture of eight bits, or smaller than `MIN_SIDE` pixels.
    """
    pixels = np.asarray(rgb)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise PhotoError(
            f"{name} is an array of shape {pixels.shape} and type {pixels.dtype}; "
            "give rows x columns x 3 RGB values of type uint8."
        )
    _require_size(pixels, name)
    view = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    return Photo(view, name)


def _printable(text: str) -> str:
    """Replace what cannot be shown on one line, such as line breaks and undecodable bytes."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _require_file(path: Path, shown: str) -> None:
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise PhotoError(f"{shown} is a folder; choose a photo inside it.")
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError(f"{shown} is not an ordinary file; choose a photo.")
    if status.st_size == 0:
        raise PhotoError(f"{shown} is empty; copy or export the photo again.")


def _require_size(rgb: NDArray[np.uint8], shown: str) -> None:
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise PhotoError(
            f"{shown} is only {width} x {height} pixels; "
            f"use a photo of at least {MIN_SIDE} x {MIN_SIDE} pixels."
        )


def _decode(file: IO[bytes], shown: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata, and from 89 megapixels on, which cameras reach. What it
            # refuses, from 179 megapixels on, stays refused.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                ImageOps.exif_transpose(image, in_place=True)
                return _to_rgb(image, shown)
    except PhotoError:
        raise
    except UnidentifiedImageError as error:
        raise PhotoError(
            f"{shown} is not a photo that can be read; save it as JPEG, PNG, TIFF, WebP or BMP."
        ) from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise PhotoError(
            f"{shown} has too many pixels; scale it down to 100 megapixels."
        ) from error
    except Exception as error:
        # What Pillow's decoders raise on damaged data is not of one class.
        raise PhotoError(
            f"{shown} is damaged or cut short; copy or export the photo again."
        ) from error


def _to_rgb(image: Image.Image, shown: str) -> NDArray[np.uint8]:
    if image.mode == "F":
        raise PhotoError(f"{shown} has floating-point pixels; save it with 8 or 16 bits a channel.")
    if image.mode in _SIXTEEN_BIT_MODES:
        image = _scaled_to_eight_bits(image, shown)
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        image = _over_white(image)
    if image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _scaled_to_eight_bits(image: Image.Image, shown: str) -> Image.Image:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise PhotoError(f"{shown} has more than 16 bits a pixel; save it with 8 or 16 bits.")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in ImageCms.getProfileDescription(source):
            return image
        converted = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError):
        # A profile that is broken or of another colour space says nothing about these pixels.
        return image
    return image if converted is None else converted
