# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The benchmark's report says what was measured; the measuring itself is too slow to test."""

from __future__ import annotations

import pytest

pytest.importorskip("resource", reason="this system has no getrusage")

from tests.benchmarks.stations import as_table, medians, peak_memory

STATIONS = ["photo", "landmarks", "network", "surface", "head", "texture"]


def test_medians_are_taken_station_by_station() -> None:
    rows = [{"photo": 1.0, "whole": 9.0}, {"photo": 3.0, "whole": 7.0}, {"photo": 2.0, "whole": 8}]
    assert medians(rows) == {"photo": 2.0, "whole": 8.0}


def test_peak_memory_is_in_mebibytes() -> None:
    assert 10 < peak_memory() < 100_000


def test_the_table_shows_every_station_and_the_ratio() -> None:
    warm = dict.fromkeys([*STATIONS, "whole"], 0.25)
    report = {
        "runs": 3,
        "cold": {"seconds": {"start": 1.5, **warm}, "peak_mib": 700.4},
        "warm": {"seconds": warm, "peak_mib": 650.0},
        "network": {
            "gflop": 5.0,
            "not_counted": {"GridSample": 1_600_000},
            "seconds": 0.5,
            "gflop_per_second": 10.0,
            "processor_gflop_per_second": 100.0,
            "share": 0.1,
        },
    }
    lines = as_table(report).splitlines()
    assert [line.split()[0] for line in lines[1:9]] == ["start", *STATIONS, "whole"]
    assert lines[1].split()[1:] == ["1.500", "s", "-"]
    assert lines[2].split()[1:] == ["0.250", "s", "0.250", "s"]
    assert lines[9].split() == ["peak", "memory", "700", "MiB", "650", "MiB"]
    assert "the network reaches 10.0% of that" in lines[-1]
    assert "GridSample 1.6 million" in lines[-1]
