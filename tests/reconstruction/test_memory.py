# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What a station gave is given again until what it was made from changes; the memory is bounded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from vrn_blender.reconstruction import memory
from vrn_blender.reconstruction.errors import PhotoError
from vrn_blender.reconstruction.memory import PHOTOS, Memory


def make_photo(folder: Path, name: str, side: int = 40) -> Path:
    path = folder / f"{name}.png"
    Image.new("RGB", (side, side), "grey").save(path)
    return path


def test_a_value_is_made_once_for_the_same_options(tmp_path: Path) -> None:
    kept = Memory().read(make_photo(tmp_path, "a"))
    made: list[int] = []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [kept.once("surface", 8, make) for _ in range(3)] == [1, 1, 1]
    assert kept.once("surface", 2, make) == 2
    assert kept.once("texture", 2, make) == 3
    # Only the last value of a station is kept.
    assert kept.once("surface", 8, make) == 4


def test_an_error_is_not_remembered(tmp_path: Path) -> None:
    kept = Memory().read(make_photo(tmp_path, "a"))
    with pytest.raises(ZeroDivisionError):
        kept.once("network", None, lambda: 1 // 0)
    assert kept.once("network", None, lambda: 7) == 7


def test_a_photo_is_read_again_once_its_file_has_changed(tmp_path: Path) -> None:
    remembered = Memory()
    path = make_photo(tmp_path, "a")
    first = remembered.read(path)
    assert remembered.read(path) is first
    make_photo(tmp_path, "a", 50)
    os.utime(path, ns=(1, 1))
    assert remembered.read(path).photo.rgb.shape == (50, 50, 3)


def test_the_oldest_photo_is_forgotten(tmp_path: Path) -> None:
    remembered = Memory()
    paths = [make_photo(tmp_path, str(number)) for number in range(PHOTOS + 1)]
    first = [remembered.read(path) for path in paths[:PHOTOS]]
    # Looking at it again makes it the newest.
    assert remembered.read(paths[0]) is first[0]
    remembered.read(paths[PHOTOS])
    assert remembered.read(paths[0]) is first[0]
    assert remembered.read(paths[1]) is not first[1]


def test_large_photos_crowd_others_out_but_never_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PHOTO_BYTES", 40 * 40 * 3)
    remembered = Memory()
    small, large = make_photo(tmp_path, "small"), make_photo(tmp_path, "large", 60)
    first = remembered.read(small)
    second = remembered.read(large)
    assert remembered.read(large) is second
    assert remembered.read(small) is not first


def test_a_photo_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PhotoError):
        Memory().read(tmp_path / "nothing.jpg")
