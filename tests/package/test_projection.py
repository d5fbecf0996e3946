# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The photo's camera is one that Blender's own projection works from, in the window."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.package.conftest import Blender
from tests.package.screen import missing_programs

SCRIPT = Path(__file__).with_name("projection.py")
PATIENCE_SECONDS = 300

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_project_from_view_gives_each_corner_its_place_in_the_photo(
    installed: Blender, portrait: Path
) -> None:
    if "xvfb-run" in missing_programs(installed.prefix):
        pytest.skip("no virtual screen: xvfb-run missing where Blender runs")
    report = installed.folder / "projection.json"
    screen = ("xvfb-run", "-a", "-s", "-screen 0 1280x800x24 +extension GLX")
    script = ("--python", str(SCRIPT), "--", str(portrait), str(report))
    done = subprocess.run(
        [*installed.prefix, *screen, installed.executable, *script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert report.is_file(), done.stdout + done.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert "failure" not in found, found
    assert found["size"] == [512, 512]
    assert found["corners"] > 100
    assert found["off"] < 0.1
