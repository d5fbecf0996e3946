# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Messages and heads survive the way between the two processes."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pytest

from tests.worker.fake_worker import make_head, make_picture
from vrn_blender.reconstruction.result import Options, PhotoCamera
from vrn_blender.worker import protocol


@pytest.mark.parametrize("surface", ["raw", "sculpt", "light"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_head_comes_back_as_it_went(tmp_path: Path, number: int, surface: str) -> None:
    head = make_head("Лицо 🙂", number, surface, photo=number == 1)
    protocol.save_head(tmp_path / "head.npz", head)
    loaded = protocol.load_head(tmp_path / "head.npz")
    for field in fields(head):
        there, here = getattr(loaded, field.name), getattr(head, field.name)
        if isinstance(here, PhotoCamera):
            there, here = asdict(there), asdict(here)
        np.testing.assert_equal(there, here)
    assert loaded.vertices.dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["head.npz"]


def test_a_picture_comes_back_as_it_went(tmp_path: Path) -> None:
    picture = make_picture()
    protocol.save_picture(tmp_path / "picture.npz", picture)
    loaded = protocol.load_picture(tmp_path / "picture.npz")
    np.testing.assert_array_equal(loaded.rgb, picture.rgb)
    assert (loaded.width, loaded.height) == (picture.width, picture.height)
    with pytest.raises(protocol.ProtocolError, match="no head"):
        protocol.load_head(tmp_path / "picture.npz")


def test_a_head_is_no_picture(tmp_path: Path) -> None:
    protocol.save_head(tmp_path / "head.npz", make_head())
    with pytest.raises(protocol.ProtocolError, match="no picture"):
        protocol.load_picture(tmp_path / "head.npz")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_damaged_head_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(protocol.ProtocolError, match=r"head\.npz"):
        protocol.load_head(tmp_path / "head.npz")


def test_an_npz_file_of_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "head.npz", vertices=np.zeros((3, 3)))
    with pytest.raises(protocol.ProtocolError):
        protocol.load_head(tmp_path / "head.npz")


def test_undecodable_file_names_survive() -> None:
    photo = b"/photos/\xff\xfe \xd0\xb0.jpg".decode("utf-8", "surrogateescape")
    line = protocol.encode({"type": "reconstruct", "photo": photo})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert protocol.decode(line)["photo"] == photo


@pytest.mark.parametrize("line", [b"", b"\xff\xfe", b"[]", b"{}", b'{"type": 3}', b"null"])
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)


@pytest.mark.parametrize(
    "options",
    [Options(), Options("all", (1.5, 2.0, 30.0, 40.0), "sculpt", 3, 0.3, 1024, "cpu", True)],
)
def test_options_come_back_as_they_went(options: Options) -> None:
    line = protocol.encode({"type": "x", "options": protocol.options_to_json(options)})
    assert protocol.options_from_json(protocol.decode(line)["options"]) == options
