# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The worker process ends by itself, keeps its channel clean, and explains what went wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.stuck_server import stuck_command
from vrn_blender.reconstruction.errors import NoFaceError
from vrn_blender.reconstruction.result import Options
from vrn_blender.worker.client import Client, Progress, Settings, WorkerError
from vrn_blender.worker.server import explain

ROOT = Path(__file__).parents[2]

# A stand-in for Blender: starts a worker, has it work, and tells its process id.
PARENT = """
import sys, time
from pathlib import Path
from tests.worker.stuck_server import stuck_command
from vrn_blender.reconstruction.result import Options
from vrn_blender.worker.client import Client, Settings
client = Client(Settings(), stuck_command)
if sys.argv[1] != "idle":
    client.reconstruct(Path("busy.jpg"), Options())
    while client.poll() is None:
        time.sleep(0.01)
else:
    client.start()
    time.sleep(1)
print(client.process_id, flush=True)
time.sleep(60)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_gone(process_id: int) -> bool:
    try:
        # A process whose parent has not asked for its end is still listed, as a zombie.
        return "\nState:\tZ" in Path(f"/proc/{process_id}/status").read_text("ascii")
    except FileNotFoundError:
        return True


def work_until_it_speaks(client: Client, photo: Path, seconds: float) -> None:
    client.reconstruct(photo, Options(), seconds)
    assert wait_until(lambda: isinstance(client.poll(), Progress))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("state", ["idle", "busy"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_stays_when_blender_dies(temporary: Path, state: str, end: int) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, state],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert not is_gone(worker)
    parent.send_signal(end)
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: is_gone(worker))
    assert wait_until(lambda: list(temporary.iterdir()) == [])


def test_nobody_needing_it_ends_the_worker(temporary: Path) -> None:
    client = Client(Settings(idle_seconds=0.3), stuck_command)
    client.start()
    assert client.alive
    assert wait_until(lambda: not client.alive)
    assert wait_until(lambda: list(temporary.iterdir()) == [])
    client.release()


def test_what_libraries_print_stays_out_of_the_channel(temporary: Path, tmp_path: Path) -> None:
    client = Client(Settings(), stuck_command)
    # What the service prints comes before the progress, and would be taken for a message.
    work_until_it_speaks(client, tmp_path / "busy.jpg", 30.0)
    client.cancel()


def test_native_code_that_never_returns_is_ended_by_the_worker_itself(
    temporary: Path, tmp_path: Path
) -> None:
    client = Client(Settings(), stuck_command)
    work_until_it_speaks(client, tmp_path / "native.jpg", 2.0)
    assert client.alive
    # Nobody polls, as if Blender were gone without the worker noticing.
    assert wait_until(lambda: not client.alive)
    with pytest.raises(WorkerError, match="ended unexpectedly"):
        client.wait()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (NoFaceError("No face; use another photo."), "No face; use another photo."),
        (MemoryError(), "choose a smaller texture"),
        (ImportError("libcudnn.so.9: cannot open"), "install the extension again"),
        (ZeroDivisionError("division by zero"), "try another photo"),
    ],
)
def test_every_error_becomes_one_sentence(error: Exception, sentence: str) -> None:
    explained = explain(error)
    assert sentence in explained
    assert "\n" not in explained
    assert "Traceback" not in explained
