# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What a worker has to work with: ONNX Runtime, the graphics card's libraries, the model files.

Blender's process reads `Status`; only the worker may call `take_status`, which loads libraries.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..reconstruction.bundle import find_bundle, read_bundle
from ..reconstruction.errors import ReconstructionError
from ..reconstruction.model_file import read_model


@dataclass(frozen=True)
class Library:
    """A shared library that ONNX Runtime needs for the graphics card.

    Parameters
    ----------
    name : str
        As the system looks for it: libcudnn.so.9.
    path : str
        Where it was found; the name again where the system does not say, nothing where it is
        missing.
    """

    name: str
    path: str


@dataclass(frozen=True)
class Status:
    """What a worker has to work with.

    Parameters
    ----------
    runtime : str
        ONNX Runtime's package and version.
    providers : tuple of str
        What this build of ONNX Runtime can run networks on, as it names them.
    cuda : str
        The version of CUDA that it was built for; empty where it was built without.
    gpu : str
        The first NVIDIA GPU's name, as its driver gives it; empty where there is none.
    libraries : tuple of Library
        The driver, CUDA and cuDNN, found or not; empty for a build without CUDA.
    model : str
        Path of the network.
    model_problem : str
        Why it cannot be used, a sentence; empty where size and SHA-256 are right.
    mediapipe : str
        MediaPipe's version; empty where it is missing.
    bundle : str
        Path of MediaPipe's bundle; empty where there is none.
    bundle_problem : str
        Why it cannot be used, a sentence; empty where size and SHA-256 are right, and where this
        MediaPipe needs none.
    memory : int
        Bytes of memory that the worker holds; 0 where the system does not say.
    """

    runtime: str
    providers: tuple[str, ...]
    cuda: str
    gpu: str
    libraries: tuple[Library, ...]
    model: str
    model_problem: str
    mediapipe: str
    bundle: str
    bundle_problem: str
    memory: int

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON can say it; `from_json` reads that."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Status:
        """Read what `to_json` gave.

        Parameters
        ----------
        content : dict
            As `to_json` gave it.

        Returns
        -------
        Status
            The same.

        Raises
        ------
        TypeError, KeyError
            If it is something else.
        """
        libraries = tuple(Library(**library) for library in content["libraries"])
        return cls(**{**content, "libraries": libraries, "providers": tuple(content["providers"])})


def take_status(model: Path, bundle_folders: Sequence[Path]) -> Status:
    """Look at everything; takes seconds when nothing is loaded yet.

    Parameters
    ----------
    model : Path
        The network.
    bundle_folders : sequence of Path
        Where MediaPipe's bundle may be, besides the usual folders.

    Returns
    -------
    Status
        What was found.

    Raises
    ------
    ImportError
        If ONNX Runtime is missing or broken.
    """
    # Imported here because Blender's process imports this module and must stay free of them.
    from ..reconstruction.landmarks import mediapipe_version, needs_bundle
    from ..reconstruction.network import DRIVER, find_cuda, gpu_name, runtime

    name, providers, cuda = runtime()
    if cuda:
        find_cuda()
    bundle, bundle_problem = _look_at_bundle(bundle_folders, needed=needs_bundle())
    return Status(
        runtime=name,
        providers=providers,
        cuda=cuda,
        gpu=gpu_name() or "",
        libraries=tuple(
            Library(file, _loaded_from(file)) for file in (DRIVER, *wanted_libraries(cuda))
        )
        if cuda
        else (),
        model=str(model),
        model_problem=_problem_of_model(model),
        mediapipe=mediapipe_version(),
        bundle=bundle,
        bundle_problem=bundle_problem,
        memory=held_memory(),
    )


def wanted_libraries(cuda: str, platform: str = sys.platform) -> tuple[str, ...]:
    """Name the libraries of CUDA and cuDNN that ONNX Runtime loads.

    Parameters
    ----------
    cuda : str
        The version of CUDA that it was built for.
    platform : str
        As `sys.platform`.

    Returns
    -------
    tuple of str
        File names.

    References
    ----------
    ONNX Runtime, "CUDA Execution Provider", requirements: builds for CUDA 12 and 13 want cuDNN 9.
    """
    major = int(cuda.partition(".")[0])
    # cuFFT counts its own versions.
    versions = {"cudart": major, "cublas": major, "cublasLt": major, "cufft": major - 1}
    versions |= {"curand": 10, "cudnn": 9}
    if platform == "win32":
        return tuple(f"{name}64_{version}.dll" for name, version in versions.items())
    return tuple(f"lib{name}.so.{version}" for name, version in versions.items())


def held_memory() -> int:
    """Tell how much memory this process holds.

    Returns
    -------
    int
        Bytes of it that are in the machine's memory; 0 where the system does not say.
    """
    if sys.platform == "win32":
        return _held_on_windows()
    try:
        if sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        ask = ["/bin/ps", "-o", "rss=", "-p", str(os.getpid())]
        answer = subprocess.run(ask, capture_output=True, check=True, timeout=5)
        return int(answer.stdout) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _look_at_bundle(folders: Sequence[Path], *, needed: bool) -> tuple[str, str]:
    """Give the path of MediaPipe's bundle and what is wrong with it; empty means none, nothing."""
    try:
        bundle = find_bundle(folders)
    except ReconstructionError as error:
        return "", str(error) if needed else ""
    try:
        read_bundle(bundle)
    except ReconstructionError as error:
        return str(bundle), str(error)
    return str(bundle), ""


def _problem_of_model(model: Path) -> str:
    try:
        read_model(model)
    except ReconstructionError as error:
        return str(error)
    return ""


def _loaded_from(name: str) -> str:
    """Load a library, as ONNX Runtime would, and tell where from."""
    try:
        ctypes.CDLL(name)
    except OSError:
        return ""
    if sys.platform != "linux":
        return name
    maps = Path("/proc/self/maps").read_text("utf-8", "replace")
    places = (line.split(maxsplit=5)[-1] for line in maps.splitlines())
    # What is mapped is the file behind the link: libcudart.so.12 is libcudart.so.12.9.79.
    return next((place for place in places if Path(place).name.startswith(name)), name)


if sys.platform == "win32":

    class _MemoryCounters(ctypes.Structure):
        """PROCESS_MEMORY_COUNTERS of psapi.h."""

        _fields_ = (
            ("cb", ctypes.c_uint32),
            ("PageFaultCount", ctypes.c_uint32),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("WorkingSetSize", ctypes.c_size_t),
            ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPagedPoolUsage", ctypes.c_size_t),
            ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
            ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
            ("PagefileUsage", ctypes.c_size_t),
            ("PeakPagefileUsage", ctypes.c_size_t),
        )

    def _held_on_windows() -> int:
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        counters = _MemoryCounters(cb=ctypes.sizeof(_MemoryCounters))
        asked = kernel.K32GetProcessMemoryInfo(
            ctypes.c_void_p(kernel.GetCurrentProcess()), ctypes.byref(counters), counters.cb
        )
        return counters.WorkingSetSize if asked else 0
