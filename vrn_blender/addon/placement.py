# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Where a photo lies in a region of a window, and what a mouse hits there; knows no Blender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
Box = tuple[float, float, float, float]

SMALLEST_DRAG = 12.0
"""Pixels of the window that both sides of a drawn box must have; less is a click."""


@dataclass(frozen=True)
class Placement:
    """A photo in a region.

    Parameters
    ----------
    left, bottom : float
        Of the photo in the region's frame: pixels, x right, y up.
    scale : float
        Region pixels a photo pixel.
    width, height : int
        Of the photo, pixels.
    """

    left: float
    bottom: float
    scale: float
    width: int
    height: int

    def to_region(self, point: Point) -> Point:
        """Take a point from the photo frame to the region's.

        Parameters
        ----------
        point : (x, y)
            Photo frame, pixels.

        Returns
        -------
        (x, y)
            Region's frame, pixels.
        """
        x, y = point
        return self.left + x * self.scale, self.bottom + (self.height - y) * self.scale

    def to_photo(self, point: Point) -> Point:
        """Take a point from the region's frame to the photo frame; inverse of `to_region`.

        Parameters
        ----------
        point : (x, y)
            Region's frame, pixels.

        Returns
        -------
        (x, y)
            Photo frame, pixels; outside of the photo where the point is.
        """
        x, y = point
        return (x - self.left) / self.scale, self.height - (y - self.bottom) / self.scale


def fit(size: tuple[int, int], space: Box) -> Placement:
    """Put a photo into the middle of a space, as large as it goes.

    Parameters
    ----------
    size : (width, height)
        Of the photo, pixels.
    space : (left, bottom, right, top)
        Region's frame, pixels; one without any width or height counts as a pixel.

    Returns
    -------
    Placement
        The whole photo, in its own proportions.
    """
    width, height = size
    left, bottom, right, top = space
    scale = min(max(right - left, 1.0) / width, max(top - bottom, 1.0) / height)
    return Placement(
        left=(left + right - width * scale) / 2,
        bottom=(bottom + top - height * scale) / 2,
        scale=scale,
        width=width,
        height=height,
    )


def drawn_box(placement: Placement, begin: Point, end: Point) -> Box | None:
    """Turn a drag of the mouse into a box in the photo.

    Parameters
    ----------
    placement : Placement
        Where the photo lies.
    begin, end : (x, y)
        Where the button was pressed and released, region's frame, pixels; any two corners.

    Returns
    -------
    (x0, y0, x1, y1) or None
        Photo frame, pixels, cut to the photo; None where that is too small to be meant.
    """
    (ax, ay), (bx, by) = placement.to_photo(begin), placement.to_photo(end)
    x0, x1 = (min(max(x, 0.0), float(placement.width)) for x in sorted((ax, bx)))
    y0, y1 = (min(max(y, 0.0), float(placement.height)) for y in sorted((ay, by)))
    if min(x1 - x0, y1 - y0) * placement.scale < SMALLEST_DRAG:
        return None
    return x0, y0, x1, y1


def hit_box(boxes: Sequence[Box], point: Point) -> int | None:
    """Tell which of several boxes a point lies in.

    Parameters
    ----------
    boxes : sequence of (x0, y0, x1, y1)
        The boxes, in the point's frame.
    point : (x, y)
        The point.

    Returns
    -------
    int or None
        Number of the box, counted from 1; where boxes overlap, the smallest. None outside of all.
    """
    x, y = point
    hits = [
        ((x1 - x0) * (y1 - y0), number)
        for number, (x0, y0, x1, y1) in enumerate(boxes, start=1)
        if x0 <= x <= x1 and y0 <= y <= y1
    ]
    return min(hits)[1] if hits else None
