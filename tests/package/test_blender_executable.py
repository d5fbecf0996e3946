# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The zip in a real Blender: built by it, installed into it, used from it.

VRN_BLENDER names the Blender: a command that starts it, with arguments if need be. It must see the
checkout under its own path.
"""

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from skimage.data import astronaut

from wheels import build

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT.parent / "shared" / "models" / "face_landmarker.task"
PACKAGE = "bl_ext.user_default.vrn_blender"
INFERENCE_MODULES = (
    "cv2",
    "mediapipe",
    "onnxruntime",
    "PIL.Image",
    "scipy.sparse",
    "skimage.measure",
)

pytestmark = [
    pytest.mark.blender,
    pytest.mark.slow,
    pytest.mark.skipif(
        "VRN_BLENDER" not in os.environ,
        reason="no Blender executable: the environment variable VRN_BLENDER does not name one",
    ),
]


@dataclass(frozen=True)
class Blender:
    """A Blender executable, and a folder that it sees."""

    command: tuple[str, ...]
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, check=False
        )

    def evaluate(self, expression: str, *, setup: str = "pass") -> str:
        """Run Python in Blender and give what an expression is worth there."""
        code = f"import bpy, sys; {setup}; print('VALUE', {expression}, flush=True)"
        done = self.run("--background", "--python-exit-code", "1", "--python-expr", code)
        assert done.returncode == 0, done.stdout + done.stderr
        values = [line for line in done.stdout.splitlines() if line.startswith("VALUE ")]
        return values[-1].removeprefix("VALUE ")


@pytest.fixture(scope="module")
def blender() -> Iterator[Blender]:
    """Give the Blender, and a folder inside the checkout, because it may see nothing else."""
    work = ROOT / "build"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        yield Blender(tuple(shlex.split(os.environ["VRN_BLENDER"])), Path(folder))


@pytest.fixture(scope="module")
def target(blender: Blender) -> build.Target:
    """Say what to build for: this Blender's Python, without CUDA to keep the zip small."""
    return build.Target(blender.evaluate("'%d.%d' % sys.version_info[:2]"), "linux-x64", "cpu")


@pytest.fixture(scope="module")
def archive(blender: Blender, target: build.Target) -> Path:
    """Build the zip with this very Blender."""
    return build.build([target], blender.folder)[0]


@pytest.fixture(scope="module")
def installed(blender: Blender, archive: Path) -> Iterator[Blender]:
    """Install the zip, with MediaPipe's bundle where the add-on would have downloaded it to."""
    done = blender.run(
        "--command", "extension", "install-file", "-r", "user_default", "-e", str(archive)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if not BUNDLE.is_file():
        pytest.skip("MediaPipe's bundle is not there: no ../shared/models/face_landmarker.task")
    copy = shutil.copy2(BUNDLE, blender.folder)
    blender.evaluate(
        f"shutil.copy2({str(copy)!r}, bpy.utils.extension_path_user({PACKAGE!r}, create=True))",
        setup="import shutil",
    )
    yield blender
    blender.run("--command", "extension", "remove", "vrn_blender")


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
    installed: Blender,
) -> None:
    photo = installed.folder / "astronaut.png"
    Image.fromarray(astronaut()).save(photo)
    output = installed.folder / "heads"
    setup = f"import pathlib; own = pathlib.Path(sys.modules[{PACKAGE!r}].__file__).parent"
    listing = (
        "sorted((str(path), path.stat().st_mtime_ns) for path in own.rglob('*.*') "
        "if path.suffix != '.pyc' and path.name != '__pycache__')"
    )
    before = installed.evaluate(listing, setup=setup)
    done = installed.run(
        "--command", "vrn_blender", str(photo), "--output", str(output), "--format", "glb"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (output / "astronaut.glb").read_bytes().startswith(b"glTF")
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert [photo["state"] for photo in summary["photos"]] == ["done"]
    assert installed.evaluate(listing, setup=setup) == before
