# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The package as it stands in the checkout: manifest, versions, lock file and builder."""

import datetime
import hashlib
import re
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from wheels import build

WHEEL = build.Wheel(
    name="demo",
    version="1.0",
    filename="demo-1.0-py3-none-any.whl",
    sha256=hashlib.sha256(b"genuine").hexdigest(),
    pythons=("3.13",),
    platforms=("linux-x64",),
    flavours=("cpu",),
)
TARGET = build.Target("3.13", "linux-x64", "cpu")
TODAY = datetime.date(2027, 1, 2)


def validate(manifest: str) -> subprocess.CompletedProcess[str]:
    """Ask Blender's own validator about a manifest."""
    pytest.importorskip("bpy", reason="the bpy wheel, which has Blender's validator, is missing")
    # A Blender in a folder of its own sees the checkout, and not where temporary files usually go.
    work = build.MANIFEST.parent / "build"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as name:
        folder = Path(name)
        (folder / build.MANIFEST.name).write_text(manifest, encoding="utf-8")
        (folder / "__init__.py").touch()
        command = [*build.extension_command(None), "validate", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def test_manifest_is_valid_for_blender() -> None:
    done = validate(build.MANIFEST.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_manifest_filled_in_for_a_zip_lists_platforms_and_wheels_and_is_valid() -> None:
    names = [wheel.filename for wheel in build.read_lock()]
    source = build.MANIFEST.read_text(encoding="utf-8")
    filled = build.manifest_text(source, ["linux-x64"], names)
    manifest = tomllib.loads(filled)
    assert manifest["platforms"] == ["linux-x64"]
    assert manifest["wheels"] == [f"./wheels/{name}" for name in names]
    done = validate(filled)
    assert done.returncode == 0, done.stdout + done.stderr


def test_manifest_without_the_line_for_wheels_is_refused() -> None:
    with pytest.raises(build.BuildError, match="wheels"):
        build.manifest_text("platforms = []\n", ["linux-x64"], [])


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads(build.PYPROJECT.read_text(encoding="utf-8"))
    changelog = build.CHANGELOG.read_text(encoding="utf-8")
    newest = re.search(r"(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", changelog)
    assert newest is not None
    assert build.read_version() == project["project"]["version"] == newest[1]


def test_manifest_supports_the_platforms_that_the_lock_file_covers() -> None:
    manifest = tomllib.loads(build.MANIFEST.read_text(encoding="utf-8"))
    assert set(manifest["platforms"]) == {target.platform for target in build.read_bundle()}


def test_lock_covers_every_python_on_every_platform() -> None:
    pairs = {(target.python, target.platform) for target in build.read_bundle()}
    platforms = ("linux-x64", "windows-x64", "macos-arm64")
    wanted = {(python, platform) for python in ("3.11", "3.13") for platform in platforms}
    assert pairs == wanted | {("3.14", "linux-x64")}


@pytest.mark.parametrize("target", build.read_bundle(), ids=str)
def test_lock_has_each_package_of_a_target_once(target: build.Target) -> None:
    wanted = sorted(build.read_bundle()[target])
    locked = sorted(f"{w.name}=={w.version}" for w in build.read_lock() if w.suits(target))
    assert locked == wanted


@pytest.mark.parametrize("target", build.read_bundle(), ids=str)
def test_locked_wheels_fit_the_python_of_their_target(target: build.Target) -> None:
    digits = target.python.replace(".", "")
    for wheel in build.read_lock():
        if wheel.suits(target):
            python_tag, abi_tag, _ = wheel.filename.removesuffix(".whl").split("-")[-3:]
            fits = python_tag == abi_tag == f"cp{digits}" or abi_tag == "abi3"
            assert fits or "py3" in python_tag.split("."), wheel.filename


def test_cuda_can_run_in_the_zips_for_linux_and_windows_and_not_for_macos() -> None:
    for target, packages in build.read_bundle().items():
        gpu = any(package.startswith("onnxruntime-gpu==") for package in packages)
        assert gpu == (target.flavour != "cpu" and target.platform != "macos-arm64"), target


def test_cuda_itself_is_in_the_flavour_of_its_name_only() -> None:
    libraries = {"cublas", "cuda-nvrtc", "cuda-runtime", "cudnn-cu13", "cufft", "curand"}
    for target in build.read_bundle():
        names = {wheel.name for wheel in build.read_lock() if wheel.suits(target)}
        nvidia = {name.removeprefix("nvidia-") for name in names if name.startswith("nvidia-")}
        wanted = {*libraries, "nvjitlink"} if target.flavour == "cuda" else set()
        assert nvidia == wanted, target


def test_flavour_with_cuda_becomes_a_zip_that_holds_nvidias_wheels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With empty files in the place of wheels, which are gigabytes."""
    pytest.importorskip("bpy", reason="the bpy wheel, which has Blender's builder, is missing")

    def stand_ins(wheels: Iterable[build.Wheel], _target: build.Target) -> list[Path]:
        paths = [tmp_path / wheel.filename for wheel in wheels]
        for path in paths:
            path.touch()
        return paths

    monkeypatch.setattr(build, "fetch", stand_ins)
    monkeypatch.delenv("VRN_BLENDER", raising=False)
    [archive] = build.build([build.Target("3.13", "linux-x64", "cuda")], tmp_path)
    assert archive.name == f"vrn_blender-{build.read_version()}-py313-cuda-linux_x64.zip"
    with zipfile.ZipFile(archive) as file:
        bundled = [name for name in file.namelist() if name.startswith("wheels/nvidia_")]
        manifest = tomllib.loads(file.read("blender_manifest.toml").decode())
    assert len(bundled) == 7
    assert {f"./{name}" for name in bundled} <= set(manifest["wheels"])


def test_numpy_is_never_bundled() -> None:
    assert not [w for w in build.read_lock() if w.filename.lower().startswith("numpy-")]


def test_every_locked_wheel_has_a_whole_sha256() -> None:
    assert [w for w in build.read_lock() if not re.fullmatch(r"[0-9a-f]{64}", w.sha256)] == []


def test_wheel_in_the_cache_is_taken_without_asking_the_index(tmp_path: Path) -> None:
    (tmp_path / WHEEL.filename).write_bytes(b"genuine")
    assert build.fetch([WHEEL], TARGET, tmp_path) == [tmp_path / WHEEL.filename]


def test_wheel_with_other_content_is_not_genuine(tmp_path: Path) -> None:
    (tmp_path / WHEEL.filename).write_bytes(b"tampered")
    assert not build.is_genuine(tmp_path / WHEEL.filename, WHEEL)
    assert not build.is_genuine(tmp_path / "missing.whl", WHEEL)


def test_wheel_that_the_index_changed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download_something_else(command: str, target: build.Target, arguments: list[str]) -> str:
        folder = Path(arguments[arguments.index("--dest") + 1])
        (folder / WHEEL.filename).write_bytes(b"tampered")
        return ""

    monkeypatch.setattr(build, "_pip", download_something_else)
    with pytest.raises(build.BuildError, match="lock"):
        build.fetch([WHEEL], TARGET, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_release_dates_what_was_unreleased() -> None:
    before = "# Changelog\n\n## [Unreleased]\n\n- Ears.\n\n## [0.1.0] - 2026-11-21\n\n- Heads.\n"
    after = build.changelog_text(before, "0.2.0", TODAY)
    assert after == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-02\n\n- Ears.\n\n"
        "## [0.1.0] - 2026-11-21\n\n- Heads.\n"
    )


def test_release_with_nothing_to_tell_users_is_refused() -> None:
    changelog = "## [Unreleased]\n\n## [0.1.0] - 2026-11-21\n\n- Heads.\n"
    with pytest.raises(build.BuildError, match="Unreleased"):
        build.changelog_text(changelog, "0.2.0", TODAY)


def test_release_writes_the_version_into_manifest_project_and_changelog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MANIFEST", "PYPROJECT", "CHANGELOG"):
        original: Path = getattr(build, name)
        copy = tmp_path / original.name
        text = original.read_text(encoding="utf-8")
        copy.write_text(text.replace(build.UNRELEASED, f"{build.UNRELEASED}\n\n- New.", 1))
        monkeypatch.setattr(build, name, copy)
    build.bump("99.0.0")
    assert build.read_version() == "99.0.0"
    project = tomllib.loads(build.PYPROJECT.read_text(encoding="utf-8"))
    assert project["project"]["version"] == "99.0.0"
    assert "## [99.0.0] - " in build.CHANGELOG.read_text(encoding="utf-8")


@pytest.mark.parametrize("version", ["0.0.1", "1.0", "one", ""])
def test_release_of_a_version_that_is_not_above_the_present_is_refused(version: str) -> None:
    with pytest.raises(build.BuildError, match="not a version above"):
        build.bump(version)
