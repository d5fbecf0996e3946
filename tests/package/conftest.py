# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The zip, built by a real Blender and installed into it.

VRN_BLENDER names that Blender: a command whose last word is the executable, after whatever it needs
before it. It must see the checkout under its own path.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
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


@dataclass(frozen=True)
class Blender:
    """A Blender executable with a user folder of its own, and a folder that it sees.

    Attributes
    ----------
    prefix : tuple of str
        What comes before a program's name, so that it runs where Blender runs.
    executable : str
        The Blender there.
    folder : Path
        For whatever a test writes.
    """

    prefix: tuple[str, ...]
    executable: str
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, self.executable, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    def evaluate(self, expression: str, *, setup: str = "pass") -> str:
        """Run Python in Blender and give what an expression is worth there."""
        code = f"import bpy, sys; {setup}; print('VALUE', {expression}, flush=True)"
        done = self.run("--background", "--python-exit-code", "1", "--python-expr", code)
        assert done.returncode == 0, done.stdout + done.stderr
        values = [line for line in done.stdout.splitlines() if line.startswith("VALUE ")]
        return values[-1].removeprefix("VALUE ")


@pytest.fixture(scope="session")
def blender() -> Iterator[Blender]:
    """Give the Blender, and a folder inside the checkout, because it may see nothing else."""
    if "VRN_BLENDER" not in os.environ:
        pytest.skip("no Blender executable: the environment variable VRN_BLENDER names none")
    *prefix, executable = shlex.split(os.environ["VRN_BLENDER"])
    work = ROOT / "build"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        temporary = folder / "temporary"
        temporary.mkdir()
        # Nothing is seen that was installed, chosen or left behind in another run.
        own = (f"BLENDER_USER_RESOURCES={folder / 'user'}", f"TMPDIR={temporary}")
        yield Blender((*prefix, "env", *own), executable, folder)


@pytest.fixture(scope="session")
def target(blender: Blender) -> build.Target:
    """Say what to build for: this Blender's Python, without CUDA to keep the zip small."""
    return build.Target(blender.evaluate("'%d.%d' % sys.version_info[:2]"), "linux-x64", "cpu")


@pytest.fixture(scope="session")
def archive(blender: Blender, target: build.Target) -> Path:
    """Build the zip with this very Blender, which validates it too."""
    command = shlex.join([*blender.prefix, blender.executable])
    return build.build([target], blender.folder, command)[0]


@pytest.fixture(scope="session")
def installed(blender: Blender, archive: Path) -> Blender:
    """Install the zip, with MediaPipe's bundle where the add-on would have downloaded it to."""
    if not BUNDLE.is_file():
        pytest.skip("MediaPipe's bundle is not there: no ../shared/models/face_landmarker.task")
    done = blender.run(
        "--command", "extension", "install-file", "-r", "user_default", "-e", str(archive)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    copy = shutil.copy2(BUNDLE, blender.folder)
    blender.evaluate(
        f"shutil.copy2({str(copy)!r}, bpy.utils.extension_path_user({PACKAGE!r}, create=True))",
        setup="import shutil",
    )
    return blender


@pytest.fixture(scope="session")
def portrait(blender: Blender) -> Path:
    """Give a photo of one face, alone in its folder."""
    photo = blender.folder / "photos" / "astronaut.png"
    photo.parent.mkdir()
    Image.fromarray(astronaut()).save(photo)
    return photo
