# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The zip in a real Blender without a window: built by it, installed into it, used from it."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.package.conftest import PACKAGE, Blender
from wheels import build

KILLS = Path(__file__).with_name("kills.py")
INFERENCE_MODULES = (
    "cv2",
    "mediapipe",
    "onnxruntime",
    "PIL.Image",
    "scipy.sparse",
    "skimage.measure",
)

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_zip_holds_its_locked_wheels_unmodified_and_nothing_else(
    archive: Path, target: build.Target
) -> None:
    locked = [wheel for wheel in build.read_lock() if wheel.suits(target)]
    with zipfile.ZipFile(archive) as file:
        bundled = sorted(name for name in file.namelist() if name.startswith("wheels/"))
        assert bundled == sorted(f"wheels/{wheel.filename}" for wheel in locked)
        for wheel in locked:
            extracted = file.extract(f"wheels/{wheel.filename}", archive.parent)
            assert build.is_genuine(Path(extracted), wheel)


def test_zip_holds_the_network_and_no_tests(archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    assert {*build.NETWORK, "__init__.py", "LICENSE"} <= set(names)
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {"models", "vrn_blender", "wheels"}
    assert not [name for name in names if name.startswith("models/training/")]


def test_add_on_is_enabled_and_keeps_inference_out_of_blenders_process(installed: Blender) -> None:
    assert installed.evaluate(f"{PACKAGE!r} in bpy.context.preferences.addons") == "True"
    loaded = installed.evaluate(f"sorted(set(sys.modules) & set({INFERENCE_MODULES!r}))")
    assert loaded == "[]"


def test_bundled_wheels_work_with_blenders_numpy_in_a_child_process(installed: Blender) -> None:
    child = f"import {', '.join(INFERENCE_MODULES)}; print('imported')"
    setup = (
        "import os, subprocess; "
        "environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}; "
        f"done = subprocess.run([sys.executable, '-c', {child!r}], env=environment, "
        "capture_output=True, text=True)"
    )
    assert installed.evaluate("repr(done.stdout + done.stderr)", setup=setup) == r"'imported\n'"


def test_batch_command_makes_a_head_and_writes_nothing_into_the_add_ons_folder(
    installed: Blender, portrait: Path
) -> None:
    output = installed.folder / "heads"
    setup = f"import pathlib; own = pathlib.Path(sys.modules[{PACKAGE!r}].__file__).parent"
    listing = (
        "sorted((str(path), path.stat().st_mtime_ns) for path in own.rglob('*.*') "
        "if path.suffix != '.pyc' and path.name != '__pycache__')"
    )
    before = installed.evaluate(listing, setup=setup)
    done = installed.run(
        "--command", "vrn_blender", str(portrait), "--output", str(output), "--format", "glb"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (output / "astronaut.glb").read_bytes().startswith(b"glTF")
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert [photo["state"] for photo in summary["photos"]] == ["done"]
    assert installed.evaluate(listing, setup=setup) == before


def test_operator_without_a_window_waits_for_the_head_and_raises_where_there_is_none(
    installed: Blender, portrait: Path
) -> None:
    """What scripts and render farms do."""
    saved = installed.folder / "head.blend"
    setup = (
        f"result = bpy.ops.vrn.face_from_photo(filepath={str(portrait)!r}); "
        f"bpy.ops.wm.save_as_mainfile(filepath={str(saved)!r})"
    )
    assert installed.evaluate("result", setup=setup) == "{'FINISHED'}"
    setup = (
        f"bpy.ops.wm.open_mainfile(filepath={str(saved)!r}); head = bpy.data.objects['astronaut']"
    )
    assert int(installed.evaluate("len(head.data.vertices)", setup=setup)) > 1000
    code = "import bpy; bpy.ops.vrn.face_from_photo(filepath='/no/such/photo.jpg')"
    done = installed.run("--background", "--python-exit-code", "3", "--python-expr", code)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "photo.jpg" in done.stdout + done.stderr


def test_fifty_kills_of_the_worker_leave_blender_alive_and_nothing_behind(
    installed: Blender, portrait: Path
) -> None:
    report = installed.folder / "kills.json"
    arguments = [str(portrait), "50", str(report)]
    done = installed.run("--background", "--python", str(KILLS), "--", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    killed = [sentence for sentence in told["said"] if sentence]
    # A head that was ready just before its worker was killed is no failure.
    assert len(told["said"]) == 50
    assert len(killed) > 25
    assert [sentence for sentence in killed if "ended unexpectedly" not in sentence] == []
    assert [*told["first"], told["last"]] == ["", "", ""]
    assert told["changed"] == 0
    assert (told["children"], told["left"]) == ([], [])
