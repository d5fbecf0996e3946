# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Where no face or several were found, the sidebar knows what to offer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_worker import STATUS, make_picture


def test_a_photo_without_a_face_is_offered_for_a_box_until_it_has_a_head(
    addon: Any, tmp_path: Path
) -> None:
    session = addon.types.WindowManager.vrn_session
    photo, other = tmp_path / "faceless.jpg", tmp_path / "a.jpg"
    files = [{"name": "a.jpg"}, {"name": "faceless.jpg"}]
    addon.ops.vrn.face_from_photo(directory=str(tmp_path), files=files)
    assert session.faceless == [photo]
    addon.ops.vrn.face_from_photo(filepath=str(other), box=(1, 1, 50, 50))
    assert session.faceless == [photo]
    addon.ops.vrn.face_from_photo(filepath=str(photo), box=(1, 1, 50, 50))
    assert session.faceless == []


def test_other_failures_are_not_offered_for_a_box(addon: Any, tmp_path: Path) -> None:
    session = addon.types.WindowManager.vrn_session
    with pytest.raises(RuntimeError):
        addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "dies.jpg"))
    assert session.faceless == []


def test_opening_another_file_forgets_what_was_offered(addon: Any, tmp_path: Path) -> None:
    session = addon.types.WindowManager.vrn_session
    with pytest.raises(RuntimeError):
        addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "faceless.jpg"))
    addon.ops.wm.read_homefile(use_factory_startup=True)
    assert session.faceless == []


class _Overlay:
    """What the session knows of an overlay."""

    closed = False

    def close(self) -> None:
        self.closed = True


def test_another_file_and_the_end_of_the_add_on_take_the_photo_off_the_viewport(
    addon: Any,
) -> None:
    import vrn_blender

    session = addon.types.WindowManager.vrn_session
    first, second = _Overlay(), _Overlay()
    session.overlay = first
    addon.ops.wm.read_homefile(use_factory_startup=True)
    assert first.closed
    assert session.overlay is None
    session.overlay = second
    vrn_blender.unregister()
    assert second.closed
    vrn_blender.register()


def test_buttons_are_greyed_out_while_a_photo_covers_the_viewport(
    addon: Any, tmp_path: Path
) -> None:
    session = addon.types.WindowManager.vrn_session
    session.overlay = _Overlay()
    with pytest.raises(RuntimeError, match="press Esc there"):
        addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    session.close_overlay()


@pytest.mark.parametrize("name", ["pick_face", "draw_box"])
def test_without_a_window_nothing_is_shown(addon: Any, name: str) -> None:
    with pytest.raises(RuntimeError, match="needs Blender's window"):
        getattr(addon.ops.vrn, name)()


def test_the_photo_comes_from_the_worker(addon: Any, tmp_path: Path) -> None:
    from vrn_blender.addon.job import PictureJob
    from vrn_blender.worker.client import Settings

    session = addon.types.WindowManager.vrn_session
    photo = tmp_path / "a.jpg"
    job = session.begin(Settings(), lambda client: PictureJob(client, photo, 20))
    job.wait()
    picture, expected = job.picture, make_picture()
    assert (picture.width, picture.height) == (expected.width, expected.height)
    np.testing.assert_array_equal(picture.rgb, expected.rgb)


def test_the_preferences_know_what_the_worker_has(addon: Any) -> None:
    from vrn_blender.addon.preferences import describe_status

    session = addon.types.WindowManager.vrn_session
    assert addon.ops.vrn.refresh_status() == {"FINISHED"}
    assert session.status == STATUS
    lines = dict(describe_status(session.status, alive=True))
    assert lines["libcudnn.so.9: missing"] == "X"
    assert lines["libcuda.so.1: /usr/lib/libcuda.so.1"] == "CHECKMARK"
    assert lines["Memory held by the worker: 812 MB when last looked at"] == "MEMORY"
    assert lines["MediaPipe's face model is missing; download it."] == "ERROR"
    (wants,) = [line for line in lines if "CUDA 13.0 with cuDNN 9" in line]
    assert "install" in wants
    assert "Memory held by the worker: none" in dict(describe_status(STATUS, alive=False))


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "3 faces in the photo; this is the largest."), (3, "3 faces in the photo; this is numbe")],
)
def test_the_panel_says_which_of_several_faces_it_is(number: int, words: str) -> None:
    pytest.importorskip("bpy", reason="needs the bpy wheel")
    from vrn_blender.addon.panels import describe_faces

    assert describe_faces(number, 3).startswith(words)
