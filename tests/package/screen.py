# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Blender's window on a virtual screen, with a mouse and a keyboard that a test can use."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

OBSERVER = Path(__file__).with_name("observer.py")
WIDTH, HEIGHT = 1280, 800
PROGRAMS = ("xvfb-run", "xdotool", "import")
PATIENCE_SECONDS = 240.0
"""Without a graphics card, on a busy machine, Blender's first picture alone takes a minute."""

State = dict[str, Any]
_END = "-- end of the answer --"


def missing_programs(prefix: Sequence[str]) -> list[str]:
    """Name what a virtual screen needs and is not there.

    Parameters
    ----------
    prefix : sequence of str
        What comes before a program's name, so that it runs where Blender runs.
    """
    lookup = "; ".join(f"command -v {name} >&2 || echo {name}" for name in PROGRAMS)
    done = subprocess.run(
        [*prefix, "sh", "-c", lookup], capture_output=True, text=True, check=False
    )
    return done.stdout.split()


class Window:
    """A Blender with a window on a screen of its own.

    Parameters
    ----------
    prefix : sequence of str
        What comes before a program's name, so that it runs where Blender runs.
    blender : str
        The executable there.
    folder : Path
        For the observer's file and for what Blender prints; Blender must see it.
    pictures : Path
        Where screenshots go; Blender must see it.
    """

    def __init__(self, prefix: Sequence[str], blender: str, folder: Path, pictures: Path) -> None:
        self._state = folder / "state.json"
        self._log = folder / "window.log"
        self._pictures = pictures
        screen = ["xvfb-run", "-a", "-s", f"-screen 0 {WIDTH}x{HEIGHT}x24 +extension GLX", "sh"]
        self._shell = subprocess.Popen(
            [*prefix, *screen], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        command = [blender, "--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
        command += ["--python", str(OBSERVER), "--", str(self._state)]
        self.shell(f"{shlex.join(command)} >{shlex.quote(str(self._log))} 2>&1 &")
        self.wait_for("its first picture", lambda state: state["drawn"] > 0)

    @property
    def state(self) -> State:
        """What the observer wrote last; ``drawn`` is 0 before its first word."""
        try:
            state: State = json.loads(self._state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"drawn": 0}
        return state

    def shell(self, command: str) -> str:
        """Run a shell command on the screen; give what it printed."""
        if self._shell.stdin is None or self._shell.stdout is None:
            raise ValueError("the shell was started without pipes")
        self._shell.stdin.write(f"{command}\necho '{_END}'\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.strip() == _END:
                return "".join(lines)
            lines.append(line)
        raise EOFError(f"the screen is gone after: {command}\n{''.join(lines)}")

    def becomes(self, is_so: Callable[[State], Any], seconds: float) -> bool:
        """Say whether the observer's state is so within some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if is_so(self.state):
                return True
            time.sleep(0.1)
        return False

    def wait_for(self, what: str, is_so: Callable[[State], Any]) -> State:
        """Wait until the observer's state is so; a screenshot tells why it never was."""
        if self.becomes(is_so, PATIENCE_SECONDS):
            return self.state
        self.photograph("failure")
        log = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise AssertionError(f"Blender's window waited in vain for {what}: {self.state}\n{log}")

    def settle(self) -> None:
        """Wait until the state has been written anew twice, so that events have been handled."""
        for _ in range(2):
            self._wait_for_news(self._state.stat().st_mtime_ns)

    def has(self, editor: str) -> bool:
        """Say whether an editor of a type is open."""
        return any(area["type"] == editor for area in self.state["areas"])

    def area(self, editor: str) -> dict[str, Any]:
        """Give the first editor of a type."""
        area: dict[str, Any]
        area = next(area for area in self.state["areas"] if area["type"] == editor)
        return area

    def region(self, editor: str, kind: str) -> dict[str, Any]:
        """Give a region of the first editor of a type."""
        region: dict[str, Any] = self.area(editor)["regions"][kind]
        return region

    def point(self, region: dict[str, Any], right: int, down: int) -> None:
        """Move the mouse to a place in a region, counted from its upper left corner.

        Negative numbers count from its right and lower edge.
        """
        left, top = region["left"], HEIGHT - region["bottom"] - region["height"]
        x = left + right + (region["width"] if right < 0 else 0)
        y = top + down + (region["height"] if down < 0 else 0)
        self.shell(f"xdotool mousemove {x} {y}")
        self.settle()

    def click(self, region: dict[str, Any], right: int, down: int, *, times: int = 1) -> None:
        """Click at a place as `point` counts it."""
        self.point(region, right, down)
        self.shell(f"xdotool click --repeat {times} --delay 100 1")
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys, one after another, by xdotool's names."""
        self.shell(f"xdotool key --delay 50 {shlex.join(keys)}")
        self.settle()

    def write(self, text: str) -> None:
        """Type a text."""
        self.shell(f"xdotool type --delay 20 {shlex.quote(text)}")
        self.settle()

    def photograph(self, name: str) -> Path:
        """Keep what the screen shows as a PNG file."""
        path = self._pictures / f"{name}.png"
        self.shell(f"import -window root {shlex.quote(str(path))}")
        return path

    def close(self) -> None:
        """End Blender and the screen."""
        self.shell(f"kill {self.state['blender']}; wait")
        if self._shell.stdin is not None:
            self._shell.stdin.close()
        self._shell.wait(60)

    def _wait_for_news(self, seen: int) -> None:
        self.wait_for("a sign of life", lambda _state: self._state.stat().st_mtime_ns != seen)
