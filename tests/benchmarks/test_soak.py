# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The soak test runs, deletes what it makes, and reckons growth as it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("bpy", reason="needs the bpy wheel")

import bpy

from tests.benchmarks.soak import WARM_UP, Sample, growth, registered, soak


def test_growth_is_counted_from_the_end_of_the_warm_up() -> None:
    samples = [Sample(number, 500.0, 100.0 * number) for number in range(1, 2 * WARM_UP + 1)]
    assert growth(samples) == pytest.approx(2500 / 1500 - 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory from /proc, which Linux has")
def test_a_few_photos_leave_no_head_and_hold_steady_memory(tmp_path: Path) -> None:
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    before = sorted(bpy.data.meshes.keys())
    with registered() as session:
        samples = list(soak(session, tmp_path, WARM_UP + 4))
    assert sorted(bpy.data.meshes.keys()) == before
    assert samples[-1].photos == WARM_UP + 4
    assert samples[-1].worker > 50
    assert -0.5 < growth(samples) < 0.25
