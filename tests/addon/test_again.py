# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Run Again puts a new head in the place of the old one, and asks for the same face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_worker import FACE_BOXES, RADIUS


def active(bpy: Any) -> Any:
    return bpy.context.view_layer.objects.active


def coordinates(head: Any) -> Any:
    flat = np.empty(len(head.data.vertices) * 3, np.float32)
    head.data.vertices.foreach_get("co", flat)
    return flat


def requests_of(session: Any) -> list[Any]:
    """Note what the worker is asked from now on."""
    asked: list[Any] = []
    client = session._client
    reconstruct = client.reconstruct

    def note(photo: Path, options: Any, *rest: Any) -> None:
        asked.append(options)
        reconstruct(photo, options, *rest)

    client.reconstruct = note
    return asked


def test_the_object_stays_and_what_it_is_made_of_is_new(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    head, empty = active(addon), addon.data.objects.new("parent", None)
    addon.context.scene.collection.objects.link(empty)
    head.parent, head.location, head.name = empty, (1, 2, 3), "Anna"
    head.modifiers.new("Smooth", "SMOOTH")
    head.data.vertices[0].co = (9, 9, 9)
    counts = [len(kind) for kind in (addon.data.objects, addon.data.meshes, addon.data.images)]
    assert addon.ops.vrn.run_again() == {"FINISHED"}
    head = addon.data.objects["Anna"]
    assert head.parent == addon.data.objects["parent"]
    assert tuple(head.location) == (1, 2, 3)
    assert [modifier.name for modifier in head.modifiers] == ["Multires", "Smooth"]
    assert np.abs(coordinates(head)).max() <= RADIUS + 1e-6
    assert head.data.name == "a"
    assert [material.name for material in head.data.materials] == ["a"]
    after = [len(kind) for kind in (addon.data.objects, addon.data.meshes, addon.data.images)]
    assert after == counts


def test_the_sidebars_options_count(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    asked = requests_of(addon.types.WindowManager.vrn_session)
    options = addon.context.window_manager.vrn_options
    options.smoothing, options.texture_size, options.size = 3, "1024", "UNIT"
    options.detail = 0.3
    addon.ops.vrn.run_again()
    options.property_unset("smoothing")
    options.property_unset("detail")
    options.property_unset("texture_size")
    options.property_unset("size")
    assert (asked[0].smoothing, asked[0].texture_size, asked[0].face) == (3, 1024, "1")
    assert asked[0].detail == 0.3
    assert active(addon).dimensions.z == pytest.approx(1, abs=0.002)


def test_another_face_takes_the_place_of_this_one(addon: Any, tmp_path: Path) -> None:
    from vrn_blender.addon.again import face_boxes_of

    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "two.jpg"))
    assert face_boxes_of(active(addon)) == list(FACE_BOXES)
    addon.ops.vrn.run_again(number=2)
    (head,) = [entry for entry in addon.data.objects if entry.name.startswith("two")]
    assert head["vrn_face_number"] == 2
    # The second face's head knows neither, and none of the first one's may be left.
    assert "vrn_landmarks_478" not in head
    assert "vrn_confidence" not in head


def test_a_drawn_box_is_used_again(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"), box=(1, 2, 30, 40))
    asked = requests_of(addon.types.WindowManager.vrn_session)
    addon.ops.vrn.run_again()
    assert asked[0].box == (1, 2, 30, 40)


def test_one_undo_brings_an_edited_head_back(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo("EXEC_DEFAULT", True, filepath=str(tmp_path / "a.jpg"))
    addon.ops.object.mode_set(mode="EDIT")
    addon.ops.transform.translate(value=(0.5, 0, 0))
    addon.ops.vrn.run_again("EXEC_DEFAULT", True)
    assert addon.context.mode == "OBJECT"
    assert coordinates(active(addon)).max() <= RADIUS + 1e-6
    addon.ops.ed.undo()
    assert coordinates(active(addon)).max() > 0.5
    addon.ops.ed.redo()
    assert coordinates(active(addon)).max() <= RADIUS + 1e-6


def test_a_failure_leaves_the_head_as_it_is(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    head = active(addon)
    head["vrn_photo"] = str(tmp_path / "dies.jpg")
    before = coordinates(head)
    with pytest.raises(RuntimeError, match="ended unexpectedly"):
        addon.ops.vrn.run_again()
    np.testing.assert_array_equal(coordinates(head), before)


def test_it_is_greyed_out_where_no_head_is_active(addon: Any) -> None:
    assert addon.data.objects["Cube"] == active(addon)
    with pytest.raises(RuntimeError, match="Select a head"):
        addon.ops.vrn.run_again()


def test_a_head_that_is_gone_is_not_found(addon: Any, tmp_path: Path) -> None:
    from vrn_blender.addon.again import find_head

    photo = tmp_path / "a.jpg"
    addon.ops.vrn.face_from_photo(filepath=str(photo))
    assert find_head("a", photo) == active(addon)
    assert find_head("Cube", photo) is None
    assert find_head("a", tmp_path / "b.jpg") is None
    assert find_head("nothing", photo) is None
