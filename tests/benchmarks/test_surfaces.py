# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The table of the surfaces' benchmark."""

from __future__ import annotations

import pytest

pytest.importorskip("resource", reason="this system has no getrusage")

from tests.benchmarks.surfaces import as_table


def test_times_stand_beside_the_isosurface_s() -> None:
    lines = as_table({"isosurface": 0.2, "fit": 0.3}, 40_000).splitlines()
    assert "40000 vertices" in lines[0]
    assert lines[2].split() == ["fit", "0.300", "1.50"]
