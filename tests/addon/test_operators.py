# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The operators do what the buttons say, and say in one sentence why not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from tests.worker.fake_worker import RADIUS
from vrn_blender.addon.photos import SUFFIXES


def heads(bpy: Any) -> list[str]:
    from vrn_blender.addon.scene import is_head

    return sorted(entry.name for entry in bpy.data.objects if is_head(entry))


def everything(bpy: Any) -> set[str]:
    blocks = (bpy.data.objects, bpy.data.meshes, bpy.data.materials, bpy.data.images)
    return {repr(block) for kind in (*blocks, bpy.data.collections) for block in kind}


def test_a_photo_becomes_a_head(addon: Any, tmp_path: Path) -> None:
    assert addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "Анна.jpg")) == {"FINISHED"}
    head = addon.context.view_layer.objects.active
    assert head.name == "Анна"
    assert head["vrn_device"] == "CPU"
    assert head["vrn_seconds"] > 0
    assert head["vrn_face_number"] == 1


def test_several_photos_become_several_heads(addon: Any, tmp_path: Path) -> None:
    files = [{"name": "a.jpg"}, {"name": "b.png"}]
    addon.ops.vrn.face_from_photo(directory=str(tmp_path), files=files)
    assert heads(addon) == ["a", "b"]


def test_one_bad_photo_does_not_stop_the_rest(addon: Any, tmp_path: Path) -> None:
    files = [{"name": name} for name in ("a.jpg", "faceless.jpg", "dies.jpg", "b.jpg")]
    assert addon.ops.vrn.face_from_photo(directory=str(tmp_path), files=files) == {"FINISHED"}
    assert heads(addon) == ["a", "b"]


def test_all_faces_of_a_photo_stand_side_by_side(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "two.jpg"), face="all")
    assert heads(addon) == ["two", "two.001"]
    first, second = addon.data.objects["two"], addon.data.objects["two.001"]
    assert abs(first.location.x - second.location.x) > 2 * RADIUS


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"filepath": "faceless.jpg"}, "No face was found in faceless; use another photo."),
        ({"filepath": "dies.jpg"}, "ended unexpectedly"),
        ({"filepath": "noise.jpg"}, "unreadable"),
        ({}, "No photo is given"),
        ({"filepath": "a.jpg", "face": "prettiest"}, "names no face"),
        ({"filepath": "a.jpg", "box": (5, 5, 2, 9)}, "face box is empty"),
    ],
)
def test_a_failure_is_one_sentence_and_leaves_the_scene_alone(
    addon: Any, arguments: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    before = everything(addon)
    with pytest.raises(RuntimeError, match=sentence) as caught:
        addon.ops.vrn.face_from_photo(**arguments)
    assert "Traceback" not in str(caught.value)
    assert everything(addon) == before
    assert addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "next.jpg")) == {"FINISHED"}


def test_one_undo_step_takes_the_head_away_and_redo_brings_it_back(
    addon: Any, tmp_path: Path
) -> None:
    addon.ops.ed.undo_push(message="before")
    before = everything(addon)
    addon.ops.vrn.face_from_photo("EXEC_DEFAULT", True, filepath=str(tmp_path / "a.jpg"))
    after = everything(addon)
    assert heads(addon) == ["a"]
    addon.ops.ed.undo()
    assert everything(addon) == before
    addon.ops.ed.redo()
    assert everything(addon) == after
    assert addon.data.images["a"].packed_file is not None


def test_one_undo_step_takes_all_that_a_head_brings_along(addon: Any, tmp_path: Path) -> None:
    addon.ops.ed.undo_push(message="before")
    before = everything(addon)
    choices = {"surface": "SCULPT", "camera": True, "landmarks": "68"}
    photo = str(tmp_path / "a.jpg")
    addon.ops.vrn.face_from_photo("EXEC_DEFAULT", True, filepath=photo, **choices)
    after = everything(addon)
    kinds = sorted(child.type for child in addon.data.objects["a"].children)
    assert kinds == ["CAMERA", *["EMPTY"] * 68]
    addon.ops.ed.undo()
    assert everything(addon) == before
    addon.ops.ed.redo()
    assert everything(addon) == after
    assert addon.data.objects["a"].modifiers[0].total_levels == 2


def test_edit_mode_is_left(addon: Any, tmp_path: Path) -> None:
    addon.ops.object.mode_set(mode="EDIT")
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    assert addon.context.mode == "OBJECT"
    assert addon.context.view_layer.objects.active.name == "a"


def test_unit_size(addon: Any, tmp_path: Path) -> None:
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"), size="UNIT")
    assert addon.data.objects["a"].dimensions.z == pytest.approx(1, abs=0.002)


def test_a_worker_that_died_a_moment_before_the_press_is_not_noticed(
    addon: Any, tmp_path: Path
) -> None:
    session = addon.types.WindowManager.vrn_session
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    for _ in range(5):
        os.kill(session.process_id, signal.SIGKILL)
        result = addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
        assert result == {"FINISHED"}
    assert len([entry for entry in addon.data.objects if entry.name.startswith("a")]) == 6


def test_releasing_the_worker_ends_it(addon: Any, tmp_path: Path) -> None:
    session = addon.types.WindowManager.vrn_session
    with pytest.raises(RuntimeError, match="No memory is held"):
        addon.ops.vrn.release_worker()
    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    assert session.worker_is_alive
    addon.ops.vrn.release_worker()
    assert not session.worker_is_alive


def test_a_running_job_greys_the_button_out_and_can_be_cancelled(
    addon: Any, tmp_path: Path
) -> None:
    from vrn_blender.addon.job import PhotoJob
    from vrn_blender.reconstruction.result import Options
    from vrn_blender.worker.client import Settings

    session = addon.types.WindowManager.vrn_session
    photos = [tmp_path / "hangs.jpg"]
    job = session.begin(Settings(), lambda client: PhotoJob(client, photos, Options()))
    job.step()
    assert session.running
    assert session.worker_is_alive
    with pytest.raises(RuntimeError, match="A photo is being worked on"):
        addon.ops.vrn.face_from_photo(filepath="a.jpg")
    addon.ops.vrn.cancel()
    assert job.cancelled
    assert not session.worker_is_alive
    with pytest.raises(RuntimeError, match="Nothing is being worked on"):
        addon.ops.vrn.cancel()


def test_the_download_asks_for_online_access(addon: Any) -> None:
    with pytest.raises(RuntimeError, match="online access"):
        addon.ops.vrn.fetch_bundle()


def test_every_button_and_choice_explains_itself(addon: Any) -> None:
    from vrn_blender.addon.preferences import VRN_preferences
    from vrn_blender.addon.properties import VRN_PG_options
    from vrn_blender.addon.registration import CLASSES

    for cls in CLASSES:
        if issubclass(cls, addon.types.Operator):
            # Blender ends tooltips with a full stop itself.
            assert cls.bl_description  # type: ignore[attr-defined]
            assert not cls.bl_description.endswith(".")  # type: ignore[attr-defined]
    operator = addon.ops.vrn.face_from_photo.get_rna_type().properties
    described = [entry for entry in operator if entry.identifier != "rna_type"]
    for group in (VRN_PG_options, VRN_preferences):
        described += [group.bl_rna.properties[name] for name in typing.get_type_hints(group)]
    assert len(described) >= 15
    for entry in described:
        assert entry.description, entry.identifier
        assert not entry.description.endswith("."), entry.identifier


def test_every_choice_stands_in_one_group() -> None:
    pytest.importorskip("bpy", reason="needs the bpy wheel")
    from vrn_blender.addon.operators import OPTION_GROUPS
    from vrn_blender.addon.properties import FaceOptions

    shown = [name for names in OPTION_GROUPS.values() for name in names]
    assert sorted([*shown, "surface"]) == sorted(FaceOptions.__annotations__)


def test_photos_can_be_dropped(addon: Any) -> None:
    handler = addon.types.VRN_FH_face_from_photo
    assert handler.bl_import_operator == "vrn.face_from_photo"
    assert set(handler.bl_file_extensions.split(";")) == set(SUFFIXES)


def test_blenders_process_stays_free_of_the_workers_libraries() -> None:
    pytest.importorskip("bpy", reason="needs the bpy wheel")
    script = (
        "import sys, bpy, vrn_blender; vrn_blender.register(); import vrn_blender.addon.export;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} &"
        "{'onnxruntime', 'mediapipe', 'cv2', 'skimage', 'scipy', 'PIL'}));"
        "vrn_blender.unregister()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_nothing_is_left_when_the_add_on_is_disabled(addon: Any, tmp_path: Path) -> None:
    import vrn_blender

    addon.ops.vrn.face_from_photo(filepath=str(tmp_path / "a.jpg"))
    session = addon.types.WindowManager.vrn_session
    vrn_blender.unregister()
    assert not session.worker_is_alive
    assert not hasattr(addon.types.WindowManager, "vrn_session")
    assert not hasattr(addon.types, "VRN_PT_face")
    vrn_blender.register()
