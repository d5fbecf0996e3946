# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A photo fills the space in the viewport, and the mouse hits what it points at."""

from __future__ import annotations

import pytest

from vrn_blender.addon.placement import Placement, drawn_box, fit, hit_box


@pytest.mark.parametrize("size", [(400, 100), (100, 400), (7000, 5000), (33, 32)])
def test_a_photo_fits_whole_and_in_the_middle(size: tuple[int, int]) -> None:
    place = fit(size, (50.0, 20.0, 650.0, 420.0))
    left, top = place.to_region((0, 0))
    right, bottom = place.to_region((float(size[0]), float(size[1])))
    assert (left + right) / 2 == pytest.approx(350)
    assert (bottom + top) / 2 == pytest.approx(220)
    assert (right - left) / (top - bottom) == pytest.approx(size[0] / size[1])
    fills_width = right - left == pytest.approx(600)
    fills_height = top - bottom == pytest.approx(400)
    assert fills_width or fills_height
    assert right - left <= 600 + 1e-6
    assert top - bottom <= 400 + 1e-6


def test_a_space_that_is_nothing_is_no_error() -> None:
    assert fit((100, 50), (300.0, 300.0, 100.0, 10.0)).scale > 0


def test_the_photos_first_row_is_on_top() -> None:
    place = fit((100, 50), (0.0, 0.0, 200.0, 100.0))
    assert place.to_region((0, 0)) == (0, 100)
    assert place.to_photo((0, 100)) == (0, 0)


@pytest.mark.parametrize("point", [(0.0, 0.0), (12.5, 700.25), (-30.0, 5000.0)])
def test_there_and_back_is_the_same_place(point: tuple[float, float]) -> None:
    place = fit((1234, 777), (31.0, 17.0, 905.0, 566.0))
    assert place.to_region(place.to_photo(point)) == pytest.approx(point)


@pytest.fixture
def double() -> Placement:
    """Put a photo of 100 x 50 pixels at twice its size into the corner."""
    return Placement(0.0, 0.0, 2.0, 100, 50)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ((20.0, 90.0), (80.0, 30.0)),
        ((80.0, 30.0), (20.0, 90.0)),
        ((80.0, 90.0), (20.0, 30.0)),
    ],
)
def test_a_box_is_drawn_from_any_corner(
    double: Placement, begin: tuple[float, float], end: tuple[float, float]
) -> None:
    assert drawn_box(double, begin, end) == (10, 5, 40, 35)


def test_a_box_ends_at_the_photos_border(double: Placement) -> None:
    assert drawn_box(double, (-50.0, 500.0), (60.0, 40.0)) == (0, 0, 30, 30)


@pytest.mark.parametrize("end", [(20.0, 90.0), (23.0, 30.0), (180.0, 88.0)])
def test_a_click_is_no_box(double: Placement, end: tuple[float, float]) -> None:
    assert drawn_box(double, (20.0, 90.0), end) is None


def test_a_drag_beside_the_photo_is_no_box(double: Placement) -> None:
    assert drawn_box(double, (300.0, 90.0), (400.0, 20.0)) is None


@pytest.mark.parametrize(
    ("point", "number"),
    [((5.0, 5.0), 1), ((15.0, 15.0), 2), ((50.0, 50.0), None), ((20.0, 20.0), 2)],
)
def test_the_smallest_box_under_the_mouse_is_hit(
    point: tuple[float, float], number: int | None
) -> None:
    boxes = [(0.0, 0.0, 30.0, 30.0), (10.0, 10.0, 20.0, 20.0)]
    assert hit_box(boxes, point) == number
