# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Blender as the bpy wheel, with a fresh file round each test and a fake worker behind it."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker.fake_worker import fake_command, make_head
from vrn_blender.worker.client import Client, Settings

EXIT_STATUS = pytest.StashKey[int]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep how it went until everything has been printed."""
    session.config.stash[EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the bpy wheel 4.2 before it frees, after Python is gone, what its exporter registered."""
    blender = sys.modules.get("bpy")
    if blender is not None and blender.app.version < (4, 3) and EXIT_STATUS in config.stash:
        shutil.rmtree(blender.app.tempdir, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT_STATUS])


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder for temporary files, which must be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def make_client(temporary: Path) -> Callable[[Settings], Client]:
    """Give what makes clients of the fake worker."""
    return functools.partial(Client, command=fake_command)


@pytest.fixture
def bpy() -> Any:
    """Give Blender with the factory's file: a camera, a lamp and a cube, which is hidden."""
    blender = pytest.importorskip("bpy", reason="needs the bpy wheel")
    blender.ops.wm.read_homefile(use_factory_startup=True)
    blender.data.objects["Cube"].hide_set(True)
    return blender


@pytest.fixture
def addon(bpy: Any, make_client: Callable[[Settings], Client]) -> Iterator[Any]:
    """Give Blender with the add-on registered."""
    import vrn_blender
    from vrn_blender.addon.session import Session

    vrn_blender.register()
    bpy.types.WindowManager.vrn_session = Session(make_client)
    yield bpy
    vrn_blender.unregister()


@pytest.fixture
def made(bpy: Any) -> Callable[..., Any]:
    """Give what makes a ball that came from a photo."""
    from vrn_blender.addon.job import Made

    def make(name: str = "ball", number: int = 1, surface: str = "raw") -> Made:
        head = make_head(name, number, surface, photo=True)
        return Made(head, Path(f"/photos/{name}.jpg"), 1.5)

    return make
