# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The batch goes on whatever a photo is like, and tells in the end what became of each."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vrn_blender.addon.batch import (
    ProgressLine,
    Record,
    describe,
    find_photos,
    finished,
    main,
    write_summary,
)
from vrn_blender.worker.client import Client, Settings

MakeClient = Callable[[Settings], Client]


@pytest.fixture
def batch(bpy: Any, make_client: MakeClient, tmp_path: Path) -> Callable[..., int]:
    """Give what runs the batch on photos of the current folder, which the fake worker takes."""

    def run(*arguments: str | Path, formats: tuple[str, ...] = ("glb",)) -> int:
        chosen = [f"--format={name}" for name in formats]
        output = ["--output", str(tmp_path / "out")]
        return main([*map(str, arguments), *output, *chosen], make_client=make_client)

    return run


def summary(tmp_path: Path) -> dict[str, dict[str, Any]]:
    records = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["photos"]
    return {Path(record["photo"]).name: record for record in records}


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_when_all_goes_well_the_status_is_0(
    batch: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(tmp_path / "Анна 🙂.jpg", tmp_path / "b c.png", formats=("glb", "stl")) == 0
    names = ["b c.glb", "b c.stl", "summary.json", "Анна 🙂.glb", "Анна 🙂.stl"]
    assert files(tmp_path / "out") == names
    record = summary(tmp_path)["b c.png"]
    assert record["state"] == "done"
    assert record["files"] == ["b c.glb", "b c.stl"]
    assert record["stations"] == {"photo": 0.25, "network": 0.5}
    assert record["device"] == "CPU"
    assert record["seconds"] > 0
    printed = capsys.readouterr().out
    assert str(tmp_path / "out" / "b c.glb") in printed
    assert "photo 0.25, network 0.50) on CPU" in printed
    assert "photos/s, 0:00 left" in printed
    assert "2 of 2 done" in printed


def test_a_bad_photo_does_not_stop_the_rest_and_the_status_is_1(
    batch: Callable[..., int], tmp_path: Path
) -> None:
    photos = [tmp_path / f"{name}.jpg" for name in ("a", "faceless", "dies", "noise", "b")]
    assert batch(*photos) == 1
    assert files(tmp_path / "out") == ["a.glb", "b.glb", "summary.json"]
    records = summary(tmp_path)
    assert {name: record["state"] for name, record in records.items()} == {
        "a.jpg": "done",
        "faceless.jpg": "failed",
        "dies.jpg": "failed",
        "noise.jpg": "failed",
        "b.jpg": "done",
    }
    assert records["faceless.jpg"]["reason"] == "No face was found in faceless; use another photo."
    assert "ended unexpectedly" in records["dies.jpg"]["reason"]
    assert records["a.jpg"]["reason"] == ""


def test_resuming_skips_what_is_done_and_tries_again_what_failed(
    batch: Callable[..., int], tmp_path: Path
) -> None:
    photos = [tmp_path / f"{name}.jpg" for name in ("a", "faceless")]
    assert batch(*photos) == 1
    written = (tmp_path / "out" / "a.glb").stat().st_mtime_ns
    assert batch(*photos, tmp_path / "b.jpg", "--resume") == 1
    assert (tmp_path / "out" / "a.glb").stat().st_mtime_ns == written
    assert {name: record["state"] for name, record in summary(tmp_path).items()} == {
        "a.jpg": "done",
        "faceless.jpg": "failed",
        "b.jpg": "done",
    }
    assert batch(photos[0], tmp_path / "b.jpg", "--resume") == 0


def test_resuming_writes_again_what_is_missing(batch: Callable[..., int], tmp_path: Path) -> None:
    assert batch(tmp_path / "a.jpg") == 0
    (tmp_path / "out" / "a.glb").unlink()
    assert batch(tmp_path / "a.jpg", "--resume") == 0
    assert (tmp_path / "out" / "a.glb").is_file()
    assert batch(tmp_path / "a.jpg", "--resume", formats=("glb", "stl")) == 0
    assert files(tmp_path / "out") == ["a.glb", "a.stl", "summary.json"]


def test_photos_of_one_name_do_not_overwrite_each_other(
    batch: Callable[..., int], tmp_path: Path
) -> None:
    photos = [tmp_path / name for name in ("a.jpg", "a.png", "A.jpg", "other/a.jpg")]
    assert batch(*photos) == 0
    assert files(tmp_path / "out") == ["A_3.glb", "a.glb", "a_2.glb", "a_4.glb", "summary.json"]
    # A new photo of that name must not take the place of those that are done.
    assert batch(tmp_path / "third" / "a.jpg", "--resume") == 0
    assert len(files(tmp_path / "out")) == 6


def test_all_faces_get_files_of_their_own(batch: Callable[..., int], tmp_path: Path) -> None:
    assert batch(tmp_path / "two.jpg", "--face", "all") == 0
    assert files(tmp_path / "out") == ["summary.json", "two_face1.glb", "two_face2.glb"]


def test_a_blend_file_holds_what_was_asked_for(
    batch: Callable[..., int], bpy: Any, tmp_path: Path
) -> None:
    wanted = ("--surface", "sculpt", "--paint", "vertex", "--camera", "--landmarks", "68")
    assert batch(tmp_path / "a.jpg", *wanted, formats=("blend",)) == 0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "out" / "a.blend"))
    head = bpy.data.objects["a"]
    assert [modifier.type for modifier in head.modifiers] == ["MULTIRES"]
    assert len(head.data.color_attributes) == 1
    assert sorted(child.type for child in head.children) == ["CAMERA", *["EMPTY"] * 68]


def test_a_folder_stands_for_its_photos(batch: Callable[..., int], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for name in ("b.JPG", "a.webp", "notes.txt", "deeper/c.jpg"):
        (folder / name).touch()
    assert batch(folder, folder / "a.webp") == 0
    assert files(tmp_path / "out") == ["a.glb", "b.glb", "summary.json"]


def test_a_folder_without_photos_is_a_failure(batch: Callable[..., int], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert batch(tmp_path / "empty") == 1
    assert "empty holds no photo" in summary(tmp_path)["empty"]["reason"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a.jpg", "--colour"],
        ["a.jpg", "--format", "dae"],
        ["a.jpg", "--surface", "rough"],
        ["a.jpg", "--landmarks", "70"],
        ["a.jpg", "--face", "prettiest"],
        ["a.jpg", "--face", "0"],
        ["a.jpg", "--smoothing", "-1"],
        ["a.jpg", "--detail", "1.5"],
        ["a.jpg", "--detail", "nan"],
        ["a.jpg", "--texture-size", "huge"],
        ["a.jpg", "--device", "tpu"],
        ["a.jpg", "b.jpg", "--box", "1", "2", "3", "4"],
        ["a.jpg", "--box", "5", "2", "3", "4"],
    ],
)
def test_wrong_usage_has_status_2_and_writes_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert list(tmp_path.iterdir()) == []


def test_help_has_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--resume" in capsys.readouterr().out


def test_an_output_folder_that_is_a_file_is_one_sentence(
    tmp_path: Path, make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file", encoding="ascii")
    assert main(["a.jpg", "--output", str(tmp_path / "out")], make_client=make_client) == 1
    said = capsys.readouterr()
    assert "cannot be written to" in said.err
    assert "--output" in said.err
    assert said.err.count("\n") == 1


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into any folder"
)
def test_a_read_only_output_folder_is_one_sentence(
    tmp_path: Path, make_client: MakeClient, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    output.mkdir(mode=0o555)
    assert main(["a.jpg", "--output", str(output)], make_client=make_client) == 1
    assert "cannot be written to" in capsys.readouterr().err
    assert list(output.iterdir()) == []


def test_an_interruption_ends_the_worker_and_keeps_what_is_done(
    batch: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from vrn_blender.addon import export

    whole = export.write_head

    def interrupted(made: Any, *arguments: Any, **more: Any) -> list[Path]:
        if made.head.name == "b":
            raise KeyboardInterrupt
        return whole(made, *arguments, **more)

    monkeypatch.setattr(export, "write_head", interrupted)
    assert batch(*(tmp_path / f"{name}.jpg" for name in "abc")) == 130
    assert list(summary(tmp_path)) == ["a.jpg"]
    assert "--resume" in capsys.readouterr().err


def test_a_damaged_summary_is_no_obstacle(tmp_path: Path) -> None:
    for text in ("", "[]", "{", '{"photos": [{"colour": "red"}]}', '{"photos": 7}'):
        (tmp_path / "summary.json").write_text(text, encoding="utf-8")
        assert finished(tmp_path, ["glb"]) == {}


def test_the_summary_keeps_any_file_name(tmp_path: Path) -> None:
    photo = b"/photos/\xff \xd0\xb0.jpg".decode("utf-8", "surrogateescape")
    record = Record(photo, "a", "done", ["a.glb"])
    (tmp_path / "a.glb").touch()
    write_summary(tmp_path, [record])
    assert finished(tmp_path, ["glb"]) == {photo: record}
    assert files(tmp_path) == ["a.glb", "summary.json"]


def test_a_missing_photo_stays_in_the_list(tmp_path: Path) -> None:
    photos, failures = find_photos([tmp_path / "missing.jpg"])
    assert photos == [tmp_path / "missing.jpg"]
    assert failures == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_written_over(tmp_path: Path) -> None:
    terminal = Terminal()
    line = ProgressLine(2, terminal)
    line.show(tmp_path / "a.jpg", "a very long station", 0.25)
    line.show(tmp_path / "a.jpg", "short", 0.5)
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith("\r[1/2] a.jpg: short 50%")
    longest = max(len(part) for part in terminal.getvalue().split("\r"))
    assert longest == len("[1/2] a.jpg: a very long station 25%")
    line.finish_photo(Record(str(tmp_path / "a.jpg"), "a", "done", ["a.glb"], 1.0), tmp_path)
    line.show(tmp_path / "b.jpg", "photo", 0.0)
    assert "photos/s" in terminal.getvalue().rsplit("\r", 1)[1]


def test_in_a_log_each_photo_has_one_line(tmp_path: Path) -> None:
    log = io.StringIO()
    line = ProgressLine(1, log)
    line.show(tmp_path / "a.jpg", "photo", 0.25)
    line.finish_photo(Record(str(tmp_path / "a.jpg"), "a", "failed", reason="No."), tmp_path)
    assert log.getvalue() == "[1/1] a.jpg: No.\n"


def test_a_photo_that_is_done_is_described_by_its_stations() -> None:
    record = Record("/p/a.jpg", "a", "done", [], 2.25, {"photo": 0.5, "network": 1}, "CPU")
    assert describe(record) == "a.jpg: 2.2 s (photo 0.50, network 1.00) on CPU"
