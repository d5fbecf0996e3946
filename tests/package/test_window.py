# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What an artist does, with mouse and keyboard, in the window of a real Blender.

Screenshots stay in ``.ci/artefacts``. The tests share one window, because a Blender without a
graphics card takes its time to open one; each leaves the scene as it found it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.package.conftest import ROOT, Blender
from tests.package.screen import Window, missing_programs

ARTEFACTS = ROOT / ".ci" / "artefacts"

pytestmark = [pytest.mark.blender, pytest.mark.slow]


@pytest.fixture(scope="module")
def window(installed: Blender) -> Iterator[Window]:
    """Open Blender, the sidebar and in it the tab Face."""
    missing = missing_programs(installed.prefix)
    if missing:
        pytest.skip(f"no virtual screen: {', '.join(missing)} missing where Blender runs")
    version = installed.evaluate("bpy.app.version_string").partition(" ")[0]
    pictures = ARTEFACTS / f"blender-{version}"
    pictures.mkdir(parents=True, exist_ok=True)
    window = Window(installed.prefix, installed.executable, installed.folder, pictures)
    # Beside the splash screen, which goes away.
    window.click(window.region("VIEW_3D", "WINDOW"), 100, 300)
    # The cube, in which the head would stand.
    window.press("h")
    window.press("n")
    window.wait_for("the sidebar", lambda _state: window.region("VIEW_3D", "UI")["width"] > 100)
    open_tab(window, "Face")
    yield window
    window.close()


def open_tab(window: Window, name: str) -> None:
    """Click the sidebar's tabs from the top down until the wanted one is open."""
    sidebar = window.region("VIEW_3D", "UI")
    for down in range(15, sidebar["height"], 25):
        window.click(sidebar, -8, down)
        if window.area("VIEW_3D")["tab"] == name:
            return
    window.photograph("failure")
    raise AssertionError(f"no tab {name}")


def choose(window: Window, photo: Path) -> None:
    """Press the button, and pick a photo in the file browser."""
    sidebar = window.region("VIEW_3D", "UI")
    for down in (50, 75, 100):
        window.click(sidebar, 120, down)
        if window.has("FILE_BROWSER"):
            break
    window.wait_for("the file browser", lambda _state: window.has("FILE_BROWSER"))
    # Where nothing manages windows, Blender opens it partly outside of the screen.
    window.shell("xdotool search --sync --onlyvisible --name 'File View' windowmove 60 40")
    window.settle()
    path = window.region("FILE_BROWSER", "UI")
    window.click(path, 300, 20, times=2)
    window.press("ctrl+a")
    window.write(f"{photo.parent}/")
    window.press("Return")
    # The first thumbnail, which takes a while to appear.
    files = window.region("FILE_BROWSER", "WINDOW")
    for _ in range(10):
        window.click(files, 65, 60)
        if window.becomes(lambda _state: window.area("FILE_BROWSER")["file"] == photo.name, 3):
            break
    window.photograph("file-browser")
    window.click(window.region("FILE_BROWSER", "EXECUTE"), -70, 22)
    window.point(window.region("VIEW_3D", "WINDOW"), 250, 400)


def is_gone(process_id: int) -> bool:
    """Say whether a process has ended, or is about to be forgotten by the one that started it."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


@contextmanager
def held(process_id: int) -> Iterator[None]:
    """Stop a process for a while, so that its work lasts for as long as a test looks at it."""
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGCONT)


def test_the_viewport_turns_meanwhile_and_esc_leaves_the_scene_as_it_was(
    window: Window, portrait: Path
) -> None:
    before = window.state
    choose(window, portrait)
    worker = window.wait_for("the worker", lambda state: state["worker"])["worker"]
    with held(worker):
        view = window.area("VIEW_3D")["view"]
        window.press("KP_4")
        window.wait_for("another view", lambda _state: window.area("VIEW_3D")["view"] != view)
        window.photograph("working")
        assert window.state["running"]
        window.press("Escape")
    after = window.wait_for("the end of the work", lambda state: not state["running"])
    assert after["worker"] is None
    assert is_gone(worker)
    assert (after["blocks"], after["active"]) == (before["blocks"], before["active"])
    window.press("KP_6")


def test_the_head_appears_goes_with_one_undo_and_comes_back_with_redo(
    window: Window, portrait: Path
) -> None:
    before = window.state
    choose(window, portrait)
    made = window.wait_for("the head", lambda state: state["heads"] and not state["running"])
    assert made["heads"][portrait.stem] > 1000
    assert made["active"] == portrait.stem
    window.press("KP_1", "KP_4", "KP_4")
    window.photograph("head")
    window.press("ctrl+z")
    undone = window.wait_for("the undo", lambda state: not state["heads"])
    assert undone["blocks"] == before["blocks"]
    window.press("ctrl+shift+z")
    redone = window.wait_for("the redo", lambda state: state["heads"])
    assert (redone["heads"], redone["blocks"]) == (made["heads"], made["blocks"])
    window.press("ctrl+z")
    window.wait_for("the undo", lambda state: not state["heads"])


def test_a_blender_that_is_killed_leaves_no_worker(window: Window, portrait: Path) -> None:
    choose(window, portrait)
    state = window.wait_for("the worker", lambda state: state["worker"])
    os.kill(state["blender"], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not is_gone(state["worker"]) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert is_gone(state["worker"])
