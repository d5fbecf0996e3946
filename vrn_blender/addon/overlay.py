# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A photo that covers a 3D viewport, with boxes on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..reconstruction.result import Picture
from .placement import Box, Placement, Point, fit

MAX_SIDE = 2048
"""Longest side of the picture in pixels; a viewport is hardly larger."""

_MARGIN = 24
"""Free pixels round the photo, at the user's interface scale."""
_TEXT_SIZE = 16
_NUMBER_SIZE = 26
_FONT = 0
_BACKDROP = (0.03, 0.03, 0.03, 0.96)
_WHITE = (1.0, 1.0, 1.0, 1.0)
_BLACK = (0.0, 0.0, 0.0, 1.0)
_CALM = (0.55, 0.8, 1.0, 1.0)
_CHOSEN = (1.0, 0.62, 0.1, 1.0)


class Overlay:
    """Draws until it is closed; closing it gives back all that the graphics card holds for it.

    Parameters
    ----------
    area : Area
        The 3D viewport.
    picture : Picture
        The photo, at most `MAX_SIDE` pixels large.
    hint : str
        One line above it.
    boxes : sequence of (x0, y0, x1, y1)
        Boxes with numbers, from 1 on; photo frame, pixels.

    Attributes
    ----------
    highlighted : int or None
        Number of the box that stands out.
    drag : (x0, y0, x1, y1) or None
        A box under way; photo frame, pixels.
    """

    def __init__(
        self, area: bpy.types.Area, picture: Picture, hint: str, boxes: Sequence[Box] = ()
    ) -> None:
        self.highlighted: int | None = None
        self.drag: Box | None = None
        self.boxes = list(boxes)
        self._size = (picture.width, picture.height)
        self._hint = hint
        self._area = area.as_pointer()
        self._texture: Any = _upload(picture.rgb)
        self._handler: Any = bpy.types.SpaceView3D.draw_handler_add(
            self._draw, (), "WINDOW", "POST_PIXEL"
        )
        bpy.context.window.cursor_modal_set("CROSSHAIR")
        area.tag_redraw()

    @property
    def closed(self) -> bool:
        """Whether it draws no more."""
        return self._handler is None

    def close(self) -> None:
        """Stop drawing and give texture and mouse pointer back; a second time does nothing."""
        if self._handler is None:
            return
        bpy.types.SpaceView3D.draw_handler_remove(self._handler, "WINDOW")
        self._handler = self._texture = None
        for window in bpy.context.window_manager.windows:
            window.cursor_modal_restore()
        area = self._find_area()
        if area is not None:
            area.tag_redraw()

    def mouse(self, event: bpy.types.Event) -> tuple[Placement, Point] | None:
        """Tell where the mouse is.

        Parameters
        ----------
        event : Event
            Any.

        Returns
        -------
        placement : Placement
            Where the photo lies now.
        point : (x, y)
            Frame of the viewport's region, pixels. None in place of both where the viewport is
            gone.
        """
        area = self._find_area()
        if area is None:
            return None
        region = _window(area)
        place = (float(event.mouse_x - region.x), float(event.mouse_y - region.y))
        return self._place(area), place

    def redraw(self) -> None:
        """Have it drawn again, after something has changed."""
        area = self._find_area()
        if area is not None:
            area.tag_redraw()

    def _find_area(self) -> bpy.types.Area | None:
        """Look the viewport up, because it may have been closed since."""
        for window in bpy.context.window_manager.windows:
            for area in window.screen.areas:
                if area.as_pointer() == self._area and area.type == "VIEW_3D":
                    return area
        return None

    def _place(self, area: bpy.types.Area) -> Placement:
        left, bottom, right, top = _free_space(area)
        margin = _MARGIN * bpy.context.preferences.system.ui_scale
        # The hint has a line of its own above the photo.
        space = (left + margin, bottom + margin, right - margin, top - 2.5 * margin)
        return fit(self._size, space)

    def _draw(self) -> None:
        area = bpy.context.area
        if area is None or area.as_pointer() != self._area:
            return
        region, place = _window(area), self._place(area)
        gpu.state.blend_set("ALPHA")
        _fill((0.0, 0.0, float(region.width), float(region.height)), _BACKDROP)
        whole = (0.0, 0.0, float(place.width), float(place.height))
        _draw_texture(self._texture, _in_region(whole, place))
        for number, box in enumerate(self.boxes, start=1):
            chosen = number == self.highlighted
            _draw_numbered(_in_region(box, place), number, _CHOSEN if chosen else _CALM)
        if self.drag is not None:
            _outline(_in_region(self.drag, place), _CHOSEN)
        scale = bpy.context.preferences.system.ui_scale
        top = place.bottom + place.height * place.scale
        middle = place.left + place.width * place.scale / 2
        _write(self._hint, (middle, top + 0.9 * _MARGIN * scale), _TEXT_SIZE * scale, _WHITE)
        gpu.state.blend_set("NONE")


def _upload(rgb: np.ndarray) -> Any:
    """Make a texture of pixels (h, w, 3) uint8; the first row is its bottom."""
    height, width = rgb.shape[:2]
    pixels = np.ones((height, width, 4), np.float32)
    np.divide(rgb, 255.0, out=pixels[..., :3])
    data = gpu.types.Buffer("FLOAT", pixels.size, pixels.ravel())
    return gpu.types.GPUTexture((width, height), format="SRGB8_A8", data=data)


def _window(area: bpy.types.Area) -> bpy.types.Region:
    return next(region for region in area.regions if region.type == "WINDOW")


def _free_space(area: bpy.types.Area) -> Box:
    """Give what no sidebar, toolbar or header covers: left, bottom, right, top in the region."""
    window = _window(area)
    left, bottom = 0.0, 0.0
    right, top = float(window.width), float(window.height)
    for region in area.regions:
        # Hidden regions are a pixel large.
        if region == window or region.width <= 1 or region.height <= 1:
            continue
        x, y = region.x - window.x, region.y - window.y
        if region.alignment == "LEFT":
            left = max(left, x + region.width)
        elif region.alignment == "RIGHT":
            right = min(right, x)
        elif region.alignment == "TOP":
            top = min(top, y)
        elif region.alignment == "BOTTOM":
            bottom = max(bottom, y + region.height)
    return left, bottom, right, top


def _in_region(box: Box, place: Placement) -> Box:
    """Take a box of the photo to left, bottom, right, top in the region."""
    left, top = place.to_region(box[:2])
    right, bottom = place.to_region(box[2:])
    return left, bottom, right, top


def _corners(box: Box) -> tuple[Point, ...]:
    left, bottom, right, top = box
    return (left, bottom), (right, bottom), (right, top), (left, top)


def _fill(box: Box, colour: tuple[float, ...]) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": _corners(box)})
    shader.uniform_float("color", colour)
    batch.draw(shader)


def _outline(box: Box, colour: tuple[float, ...]) -> None:
    """Draw a coloured line on a wider black one, so that it shows on any photo."""
    corners = _corners(box)
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    loop = [corners[index] for index in (0, 1, 1, 2, 2, 3, 3, 0)]
    # This shader wants three dimensions.
    batch = batch_for_shader(shader, "LINES", {"pos": [(x, y, 0.0) for x, y in loop]})
    scale = bpy.context.preferences.system.ui_scale
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    for width, line in ((5.0, _BLACK), (2.5, colour)):
        shader.uniform_float("lineWidth", width * scale)
        shader.uniform_float("color", line)
        batch.draw(shader)


def _draw_texture(texture: Any, box: Box) -> None:
    shader = gpu.shader.from_builtin("IMAGE")
    # The texture's first row is the photo's top.
    corners = ((0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0))
    batch = batch_for_shader(shader, "TRI_FAN", {"pos": _corners(box), "texCoord": corners})
    shader.uniform_sampler("image", texture)
    batch.draw(shader)


def _draw_numbered(box: Box, number: int, colour: tuple[float, ...]) -> None:
    _outline(box, colour)
    left, _, _, top = box
    scale = bpy.context.preferences.system.ui_scale
    side = 1.4 * _NUMBER_SIZE * scale
    # Above the box, so that the face stays free.
    _fill((left, top, left + side, top + side), colour)
    place = (left + side / 2, top + side / 2 - 0.36 * _NUMBER_SIZE * scale)
    _write(str(number), place, _NUMBER_SIZE * scale, _BLACK)


def _write(text: str, middle: Point, size: float, colour: tuple[float, ...]) -> None:
    """Write a line whose baseline's middle is given."""
    blf.size(_FONT, size)
    width, _ = blf.dimensions(_FONT, text)
    blf.position(_FONT, middle[0] - width / 2, middle[1], 0.0)
    blf.color(_FONT, *colour)
    blf.draw(_FONT, text)
