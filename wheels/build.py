# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Fetches the wheels that the lock file names and builds the extension's zips from them.

::

    python wheels/build.py build                     every Python and platform
    python wheels/build.py build --python 3.13 --platform linux-x64 --flavour cpu
    python wheels/build.py release 0.2.0             new version, changelog entry, every zip
    python wheels/build.py lock                      bundle.toml becomes lock.toml

A zip holds the wheels of one Python. Blender itself would pick the right ones out of several, but
of two that fit it takes the higher version, which is the wrong MediaPipe on Python 3.11, and each
Python would add some hundred megabytes to everybody's download.

Blender builds and validates the zips: the executable that ``--blender`` or the environment
variable VRN_BLENDER names (a command, with arguments if need be), else the same program out of the
installed bpy wheel.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = ROOT / "wheels" / "bundle.toml"
LOCK = ROOT / "wheels" / "lock.toml"
CACHE = ROOT / "wheels" / "cache"
MANIFEST = ROOT / "blender_manifest.toml"
PYPROJECT = ROOT / "pyproject.toml"
CHANGELOG = ROOT / "CHANGELOG.md"

SHIPPED = ("__init__.py", "LICENSE", "vrn_blender", "models")
"""What Blender is given to build from, besides the manifest, which excludes some, and wheels."""
NOT_COPIED = ("__pycache__", "training")
"""What the manifest excludes and can be large."""
NETWORK = ("models/vrn.onnx", "models/vrn.json")

PIP_PLATFORMS = {
    "linux-x64": ["manylinux2014_x86_64", *(f"manylinux_2_{n}_x86_64" for n in range(17, 29))],
    "windows-x64": ["win_amd64"],
    "macos-arm64": ["macosx_14_0_arm64"],
}
"""The platform tags that pip is asked for, by Blender's name of the platform."""

LOCK_HEAD = """\
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors

# Written by `python wheels/build.py lock` from bundle.toml; not to be edited by hand.
"""

UNRELEASED = "## [Unreleased]"


class BuildError(Exception):
    """What went wrong, in one sentence for whoever builds."""


@dataclass(frozen=True)
class Target:
    """What a set of wheels is for.

    Attributes
    ----------
    python : str
        CPython's version, such as "3.13".
    platform : str
        Blender's name of the platform, such as "linux-x64".
    flavour : str
        "gpu", "cpu" or "cuda".
    """

    python: str
    platform: str
    flavour: str


@dataclass(frozen=True)
class Wheel:
    """A wheel of the lock file.

    Attributes
    ----------
    name, version, filename, sha256 : str
        As in the package index; the SHA-256 in 64 hexadecimal digits.
    pythons, platforms, flavours : tuple of str
        The targets that bundle it: every combination of these.
    """

    name: str
    version: str
    filename: str
    sha256: str
    pythons: tuple[str, ...]
    platforms: tuple[str, ...]
    flavours: tuple[str, ...]

    def suits(self, target: Target) -> bool:
        """Say whether a target bundles this wheel."""
        return (
            target.python in self.pythons
            and target.platform in self.platforms
            and target.flavour in self.flavours
        )


def read_bundle() -> dict[Target, list[str]]:
    """Read which packages each target wants.

    Returns
    -------
    dict of Target to list of str
        Requirements, each pinned to one version.
    """
    bundle = tomllib.loads(BUNDLE.read_text(encoding="utf-8"))
    return {
        Target(python, platform, flavour): [*wanted["packages"], *extra[platform]]
        for python, wanted in bundle["python"].items()
        for platform in wanted["platforms"]
        for flavour, extra in bundle["flavour"].items()
        if platform in extra
    }


def read_lock() -> list[Wheel]:
    """Read the lock file."""
    return [
        Wheel(
            name=entry["name"],
            version=entry["version"],
            filename=entry["filename"],
            sha256=entry["sha256"],
            pythons=tuple(entry["pythons"]),
            platforms=tuple(entry["platforms"]),
            flavours=tuple(entry["flavours"]),
        )
        for entry in tomllib.loads(LOCK.read_text(encoding="utf-8"))["wheel"]
    ]


def resolve(target: Target, requirements: Sequence[str]) -> list[dict[str, str]]:
    """Ask the package index which wheels fulfil pinned requirements on a target.

    Parameters
    ----------
    target : Target
        What the wheels are for.
    requirements : sequence of str
        Each pinned to one version.

    Returns
    -------
    list of dict
        Name, version, filename and sha256 of each wheel.

    Raises
    ------
    BuildError
        When pip finds no wheel for a requirement.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ["--dry-run", "--ignore-installed", "--target", folder, "--report", "-"]
        report = json.loads(_pip("install", target, [*options, *requirements]))
    return [
        {
            "name": item["metadata"]["name"],
            "version": item["metadata"]["version"],
            "filename": item["download_info"]["url"].rpartition("/")[2],
            "sha256": item["download_info"]["archive_info"]["hashes"]["sha256"],
        }
        for item in report["install"]
    ]


def lock() -> None:
    """Write the lock file anew from ``bundle.toml``."""
    targets: dict[str, list[Target]] = {}
    found: dict[str, dict[str, str]] = {}
    for target, requirements in read_bundle().items():
        print(f"Resolving {target.python} {target.platform} {target.flavour} ...", flush=True)
        for entry in resolve(target, requirements):
            found[entry["filename"]] = entry
            targets.setdefault(entry["filename"], []).append(target)
    blocks = [LOCK_HEAD]
    for filename, entry in sorted(found.items(), key=lambda item: item[0].lower()):
        lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
        for key in ("python", "platform", "flavour"):
            values = list(dict.fromkeys(getattr(target, key) for target in targets[filename]))
            lines.append(f"{key}s = {json.dumps(values)}")
        blocks.append("[[wheel]]\n" + "\n".join(lines) + "\n")
    _write_whole(LOCK, "\n".join(blocks))


def is_genuine(path: Path, wheel: Wheel) -> bool:
    """Say whether a file is there and has the content that the lock file names."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256


def fetch(wheels: Iterable[Wheel], target: Target, cache: Path = CACHE) -> list[Path]:
    """Bring wheels into the cache, unmodified.

    Parameters
    ----------
    wheels : iterable of Wheel
        What the target bundles.
    target : Target
        What they are for.
    cache : Path
        Where they are kept from build to build.

    Returns
    -------
    list of Path
        The files, in the order of the wheels.

    Raises
    ------
    BuildError
        When a wheel cannot be had, or is not the one that the lock file names.
    """
    wheels = list(wheels)
    cache.mkdir(parents=True, exist_ok=True)
    missing = [wheel for wheel in wheels if not is_genuine(cache / wheel.filename, wheel)]
    if missing:
        print(f"Fetching {len(missing)} wheels for {target.python} ...", flush=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            listed = Path(folder, "requirements.txt")
            listed.write_text(
                "".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in missing)
            )
            _pip("download", target, ["--require-hashes", "--dest", folder, "-r", str(listed)])
            for wheel in missing:
                if not is_genuine(Path(folder, wheel.filename), wheel):
                    raise BuildError(f"{wheel.filename} is not the one in lock.toml; lock anew.")
                Path(folder, wheel.filename).replace(cache / wheel.filename)
    return [cache / wheel.filename for wheel in wheels]


def manifest_text(source: str, platforms: Sequence[str], wheels: Sequence[str]) -> str:
    """Fill in the manifest's lists of platforms and of wheels.

    Parameters
    ----------
    source : str
        The manifest in the checkout.
    platforms : sequence of str
        Blender's names.
    wheels : sequence of str
        Filenames.

    Returns
    -------
    str
        The manifest for the zip.

    Raises
    ------
    BuildError
        When the manifest has not one line for each of the two lists.
    """
    listed = "".join(f"  {json.dumps('./wheels/' + name)},\n" for name in wheels)
    for key, value in (("platforms", json.dumps(list(platforms))), ("wheels", f"[\n{listed}]")):
        source, count = re.subn(rf"(?m)^{key} = \[.*\]$", f"{key} = {value}", source)
        if count != 1:
            raise BuildError(f"{MANIFEST.name} needs one line that begins with '{key} = ['.")
    return source


def stage(folder: Path, platforms: Sequence[str], wheels: Sequence[Path]) -> None:
    """Lay out what goes into the zips of one Python.

    Parameters
    ----------
    folder : Path
        Emptied first.
    platforms : sequence of str
        Blender's names.
    wheels : sequence of Path
        The wheels of all these platforms.

    Raises
    ------
    BuildError
        When the network is missing in the checkout.
    """
    for name in NETWORK:
        if not (ROOT / name).is_file():
            raise BuildError(f"{name} is missing; train the network or take it from a release.")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "wheels").mkdir(parents=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns(*NOT_COPIED)
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy2(source, folder / name)
    for wheel in wheels:
        shutil.copy2(wheel, folder / "wheels" / wheel.name)
    text = manifest_text(
        MANIFEST.read_text(encoding="utf-8"), platforms, [wheel.name for wheel in wheels]
    )
    (folder / MANIFEST.name).write_text(text, encoding="utf-8")


def extension_command(blender: str | None) -> list[str]:
    """Give the command line that starts Blender's own extension builder.

    Parameters
    ----------
    blender : str or None
        A Blender executable, with arguments if need be; by default the environment variable
        VRN_BLENDER, else the builder in the bpy wheel.

    Raises
    ------
    BuildError
        When there is neither an executable nor a bpy wheel.
    """
    command = blender or os.environ.get("VRN_BLENDER")
    if command:
        return [*shlex.split(command), "--command", "extension"]
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        raise BuildError("No Blender: name one with --blender, or install the bpy wheel.")
    builder = next(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    return [sys.executable, str(builder)]


def build(targets: Sequence[Target], output: Path, blender: str | None = None) -> list[Path]:
    """Build and validate the zips of targets.

    Parameters
    ----------
    targets : sequence of Target
        What to build for.
    output : Path
        The folder that the zips go into.
    blender : str or None
        As for `extension_command`.

    Returns
    -------
    list of Path
        The zips.

    Raises
    ------
    BuildError
        When a wheel cannot be had or Blender refuses what it is given.
    """
    locked = read_lock()
    extension = extension_command(blender)
    output.mkdir(parents=True, exist_ok=True)
    version = read_version()
    zips: list[Path] = []
    for python, flavour in dict.fromkeys((t.python, t.flavour) for t in targets):
        same = [t for t in targets if (t.python, t.flavour) == (python, flavour)]
        wheels = [p for t in same for p in fetch((w for w in locked if w.suits(t)), t)]
        suffix = "" if flavour == "gpu" else f"-{flavour}"
        name = f"vrn_blender-{version}-py{python.replace('.', '')}{suffix}"
        folder = ROOT / "build" / name
        platforms = [t.platform for t in same]
        stage(folder, platforms, list(dict.fromkeys(wheels)))
        archive = output / f"{name}.zip"
        command = [*extension, "build", "--split-platforms"]
        _run([*command, f"--source-dir={folder}", f"--output-filepath={archive}"])
        shutil.rmtree(folder)
        for platform in platforms:
            path = output / f"{name}-{platform.replace('-', '_')}.zip"
            _run([*extension, "validate", str(path)])
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", flush=True)
            zips.append(path)
    return zips


def read_version() -> str:
    """Read the version in the manifest."""
    return str(tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["version"])


def changelog_text(source: str, version: str, date: datetime.date) -> str:
    """Turn what is listed as unreleased into a version's entry.

    Parameters
    ----------
    source : str
        The changelog.
    version : str
        The new version.
    date : datetime.date
        Its day.

    Returns
    -------
    str
        The changelog with that entry, and nothing unreleased.

    Raises
    ------
    BuildError
        When nothing is listed as unreleased.
    """
    unreleased = source.partition(UNRELEASED)[2].partition("\n## ")[0].strip()
    if not unreleased:
        raise BuildError(f"{CHANGELOG.name} lists nothing under '{UNRELEASED}'; write it first.")
    return source.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {date.isoformat()}", 1)


def bump(version: str) -> None:
    """Write a new version into manifest, project file and changelog.

    Parameters
    ----------
    version : str
        Three numbers with dots between them, above the present ones.

    Raises
    ------
    BuildError
        When the version is not above the present one, or the changelog has nothing to say of it.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or _numbers(version) <= _numbers(read_version()):
        raise BuildError(f"{version} is not a version above {read_version()}, such as 1.2.3.")
    today = datetime.datetime.now(datetime.UTC).date()
    texts = {CHANGELOG: changelog_text(CHANGELOG.read_text(encoding="utf-8"), version, today)}
    for path in (MANIFEST, PYPROJECT):
        source = path.read_text(encoding="utf-8")
        texts[path] = re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', source, count=1)
    for path, text in texts.items():
        _write_whole(path, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "lock":
            lock()
            return 0
        if options.command == "release":
            bump(options.version)
        targets = [
            target
            for target in read_bundle()
            if target.flavour == options.flavour
            and (not options.python or target.python in options.python)
            and (not options.platform or target.platform in options.platform)
        ]
        if not targets:
            raise BuildError("bundle.toml has no such Python for such a platform.")
        build(targets, options.output.resolve(), options.blender)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Build the extension's zips.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lock", help="write lock.toml anew from bundle.toml")
    known = list(read_bundle())
    release = commands.add_parser("release", help="set a new version, date the changelog, build")
    release.add_argument("version", help="such as 1.2.3")
    for command in (release, commands.add_parser("build", help="build the zips")):
        command.add_argument(
            "--python",
            action="append",
            choices=sorted({target.python for target in known}),
            help="only for this Python; may be given again",
        )
        command.add_argument(
            "--platform",
            action="append",
            choices=sorted({target.platform for target in known}),
            help="only for this platform; may be given again",
        )
        command.add_argument(
            "--flavour",
            default="gpu",
            choices=sorted({target.flavour for target in known}),
            help="gpu (default) runs on CUDA where found, cpu is smaller, cuda brings it along",
        )
        command.add_argument("--output", type=Path, default=ROOT / "dist", help="default: dist")
        command.add_argument("--blender", help="the Blender executable that builds")
    return parser


def _pip(command: str, target: Target, arguments: Sequence[str]) -> str:
    tags = [f"--platform={tag}" for tag in PIP_PLATFORMS[target.platform]]
    only = ["--no-deps", "--only-binary=:all:", f"--python-version={target.python}", *tags]
    return _run([sys.executable, "-m", "pip", command, "--quiet", *only, *arguments])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise BuildError(f"this command failed: {shlex.join(command)}\n{said}")
    return done.stdout


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
