# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Whatever happens to the worker, the client says one sentence and the next request works."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.worker.fake_worker import MISBEHAVIOUR, fake_command, make_head
from vrn_blender.reconstruction.errors import NoFaceError
from vrn_blender.reconstruction.result import DEFAULT_SURFACE, Head, Options
from vrn_blender.worker.client import (
    Client,
    Progress,
    Settings,
    WorkerError,
    worker_environment,
)

ENDINGS = ("dies", "leaves", "crashes")
NONSENSE = tuple(name for name in MISBEHAVIOUR if name not in (*ENDINGS, "hangs", "farewell"))


def heads_of(client: Client, photo: Path, seconds: float = 30.0) -> list[Head]:
    client.reconstruct(photo, Options(), seconds)
    heads = client.wait()
    assert isinstance(heads, list)
    return heads


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for_its_end(client: Client) -> None:
    """Wait until a kill has come through: the system takes a moment for it."""
    deadline = time.monotonic() + 10
    while client.alive and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not client.alive


def test_heads_arrive_as_the_worker_made_them(client: Client, tmp_path: Path) -> None:
    heads = heads_of(client, tmp_path / "Фото 🙂.jpg")
    assert [head.name for head in heads] == ["Фото 🙂"]
    np.testing.assert_array_equal(heads[0].vertices, make_head(surface=DEFAULT_SURFACE).vertices)


def test_progress_comes_before_the_heads(client: Client, tmp_path: Path) -> None:
    told: list[Progress] = []
    client.reconstruct(tmp_path / "a.jpg", Options())
    client.wait(told.append)
    assert told == [Progress("photo", 0.25)]


def test_the_worker_stays_warm(client: Client, tmp_path: Path) -> None:
    heads_of(client, tmp_path / "a.jpg")
    first = client.process_id
    heads_of(client, tmp_path / "b.jpg")
    assert client.process_id == first


def test_the_workers_own_sentence_is_passed_on(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NoFaceError, match="No face was found in faceless"):
        heads_of(client, tmp_path / "faceless.jpg")
    assert client.alive
    assert len(heads_of(client, tmp_path / "a.jpg")) == 1


@pytest.mark.parametrize("name", ENDINGS)
def test_a_worker_that_ends_gives_one_sentence_and_the_next_request_works(
    client: Client, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WorkerError, match=r"ended unexpectedly .*: try again"):
        heads_of(client, tmp_path / f"{name}.jpg")
    assert not client.busy
    assert len(heads_of(client, tmp_path / "a.jpg")) == 1


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_on_the_pipe_ends_the_worker_and_the_next_request_works(
    client: Client, tmp_path: Path, name: str
) -> None:
    client.start()
    process_id = client.process_id
    with pytest.raises(WorkerError, match=r"unreadable.*try again"):
        heads_of(client, tmp_path / f"{name}.jpg")
    assert process_id is not None
    assert is_gone(process_id)
    assert len(heads_of(client, tmp_path / "a.jpg")) == 1


def test_a_worker_that_hangs_is_ended_at_its_deadline(client: Client, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="did not answer in time"):
        heads_of(client, tmp_path / "hangs.jpg", seconds=0.5)
    assert not client.alive
    assert len(heads_of(client, tmp_path / "a.jpg")) == 1


def test_a_worker_killed_between_requests_is_replaced(client: Client, tmp_path: Path) -> None:
    heads_of(client, tmp_path / "a.jpg")
    first = client.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_for_its_end(client)
    assert len(heads_of(client, tmp_path / "b.jpg")) == 1
    assert client.process_id != first


def test_a_request_that_crosses_the_workers_farewell_is_served_by_the_next(
    client: Client, tmp_path: Path
) -> None:
    assert len(heads_of(client, tmp_path / "farewell.jpg")) == 1


def test_cancelling_ends_the_worker_at_once(client: Client, tmp_path: Path) -> None:
    client.reconstruct(tmp_path / "hangs.jpg", Options())
    process_id = client.process_id
    assert process_id is not None
    begun = time.monotonic()
    client.cancel()
    assert time.monotonic() - begun < 1
    assert is_gone(process_id)
    assert client.poll() is None
    assert len(heads_of(client, tmp_path / "a.jpg")) == 1


def test_polling_never_waits(client: Client, tmp_path: Path) -> None:
    client.reconstruct(tmp_path / "hangs.jpg", Options())
    longest = 0.0
    for _ in range(200):
        begun = time.perf_counter()
        client.poll()
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.001)
    assert longest < 0.2


def test_a_second_request_has_to_wait(client: Client, tmp_path: Path) -> None:
    client.reconstruct(tmp_path / "hangs.jpg", Options())
    with pytest.raises(WorkerError, match="busy"):
        client.reconstruct(tmp_path / "a.jpg", Options())


def test_releasing_gives_everything_back(client: Client, temporary: Path, tmp_path: Path) -> None:
    heads_of(client, tmp_path / "a.jpg")
    process_id = client.process_id
    assert process_id is not None
    assert len(list(temporary.iterdir())) == 1
    client.release()
    assert is_gone(process_id)
    assert list(temporary.iterdir()) == []


def test_heads_leave_no_files(client: Client, temporary: Path, tmp_path: Path) -> None:
    heads_of(client, tmp_path / "a.jpg")
    assert list(temporary.rglob("*.npz")) == []


def test_a_worker_that_cannot_start_gives_one_sentence(temporary: Path, tmp_path: Path) -> None:
    client = Client(Settings(), lambda _settings, _folder: [str(tmp_path / "no such program")])
    with pytest.raises(WorkerError, match=r"could not be started .*restart Blender"):
        client.reconstruct(tmp_path / "a.jpg", Options())
    assert not client.busy


def test_what_the_worker_printed_is_kept_for_the_console(temporary: Path, tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('libfoo.so is missing'); sys.exit(1)"
    client = Client(Settings(), lambda _settings, _folder: [sys.executable, "-c", script])
    with pytest.raises(WorkerError, match="exit status 1") as caught:
        heads_of(client, tmp_path / "a.jpg")
    assert caught.value.log == "libfoo.so is missing"


def test_the_worker_finds_the_extensions_libraries_and_not_the_users() -> None:
    environment = worker_environment(
        {"HOME": "/home/me", "PYTHONHOME": "/elsewhere", "PYTHONPATH": "/mine"},
        ["/blender/scripts/modules", "/extensions/.local/lib/python3.11/site-packages"],
    )
    own, *libraries = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(own) / "vrn_blender" / "worker" / "server.py").is_file()
    assert libraries == ["/extensions/.local/lib/python3.11/site-packages"]
    assert environment["PYTHONNOUSERSITE"] == "1"
    assert environment["HOME"] == "/home/me"
    assert "PYTHONHOME" not in environment


def test_fifty_random_kills_leave_nothing_behind(temporary: Path, tmp_path: Path) -> None:
    client = Client(Settings(), fake_command)
    generator = np.random.default_rng(1)
    for number in range(50):
        client.reconstruct(tmp_path / f"{number}.jpg", Options())
        time.sleep(generator.uniform(0, 0.2))
        process_id = client.process_id
        if process_id is not None and client.alive:
            os.kill(process_id, signal.SIGKILL)
            wait_for_its_end(client)
        try:
            client.wait()
        except WorkerError as error:
            assert "try again" in str(error)
        assert not client.busy
    assert len(heads_of(client, tmp_path / "last.jpg")) == 1
    client.release()
