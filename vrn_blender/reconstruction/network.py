# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Crop and guidance become an occupancy volume: the ONNX VRN.

References
----------
Jackson, Bulat, Argyriou, Tzimiropoulos, "Large Pose 3D Face Reconstruction from a Single Image via
Direct Volumetric CNN Regression", ICCV 2017, section 3: the volume, and the three ways of use.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# From 1.29 on ONNX Runtime reports to Microsoft unless it is told not to before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

from .crop import CROP_SIZE, VOLUME_DEPTH, Crop
from .errors import ModelError
from .guidance import CHANNELS
from .model_file import MODEL, read_model

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""NVIDIA's driver, as the system finds it."""

CONTRACT = {
    "image": [3, CROP_SIZE, CROP_SIZE],
    "guidance": [CHANNELS, CROP_SIZE, CROP_SIZE],
    "volume": [VOLUME_DEPTH, CROP_SIZE, CROP_SIZE],
    "landmarks": [68, 3],
    "doubt": [68],
}
"""Inputs and outputs of every network that this version can run, and their shapes after N."""

OUTPUTS = ["volume", "landmarks", "doubt"]

# ONNX Runtime's level for fatal errors only: that a GPU cannot be used is said by
# `Network.provider_note`, in one line instead of twenty.
_LOG_FATAL = 4


@dataclass(frozen=True)
class Prediction:
    """What the network says of a crop.

    Attributes
    ----------
    volume : (200, 192, 192) uint8
        255 times the probability that a voxel lies in the head; volume frame, (z, y, x).
    landmarks : (68, 3) float32
        Multi-PIE landmarks (x, y, z), volume frame, voxels.
    doubt : (68,) float32
        How far apart, in the image plane, the network puts each landmark when it looks at the crop
        and at its mirror image; voxels.
    """

    volume: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    doubt: NDArray[np.float32]


class Network:
    """The VRN, loaded once.

    Parameters
    ----------
    path : Path
        The ONNX file; its description lies beside it.
    device : {"auto", "cuda", "cpu"}
        "auto" and "cuda" take the GPU where it works and fall back to the processor.

    Attributes
    ----------
    provider : str
        "CUDA" or "CPU": what really runs the network, as read back from the session.
    provider_note : str or None
        Why the GPU is not used, where it was asked for.

    Raises
    ------
    ModelError
        If the file is missing, damaged, or no network that this version understands.
    """

    def __init__(self, path: Path = MODEL, device: str = "auto") -> None:
        self._data = read_model(path)
        self._name = path.name
        self.provider_note: str | None = None
        if device == "cpu":
            self._session = self._open([CPU])
        elif CUDA not in onnxruntime.get_available_providers():
            self.provider_note = "this build of ONNX Runtime has no CUDA"
            self._session = self._open([CPU])
        else:
            self._session = self._open_cuda()

    @property
    def provider(self) -> str:
        """See the class."""
        return "CUDA" if self._session.get_providers()[0] == CUDA else "CPU"

    def _open(self, providers: list[str]) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _LOG_FATAL
        try:
            # Its own fallback would print a paragraph and keep the reason from the user.
            session = onnxruntime.InferenceSession(
                self._data, options, providers=providers, enable_fallback=0
            )
        except Exception as error:
            # ONNX Runtime's exceptions share no base class but Exception.
            raise ModelError(
                f"The network {self._name} cannot be loaded ({_first_line(error)}); "
                "install the add-on again."
            ) from error
        shapes = {
            end.name: end.shape[1:] for end in (*session.get_inputs(), *session.get_outputs())
        }
        if shapes != CONTRACT:
            raise ModelError(
                f"The network {self._name} is not one for this version; install the add-on again."
            )
        return session

    def _open_cuda(self) -> onnxruntime.InferenceSession:
        find_cuda()
        try:
            session = self._open([CUDA, CPU])
        except ModelError as error:
            # The file may be at fault as well: then the processor cannot open it either.
            self.provider_note = f"the GPU failed ({_first_line(error.__cause__ or error)})"
            return self._open([CPU])
        if session.get_providers()[0] != CUDA:
            self.provider_note = "no NVIDIA GPU with CUDA 12 or 13 and cuDNN 9 was found"
        return session

    def predict(self, crop: Crop, guidance: NDArray[np.float32]) -> Prediction:
        """Run the network on one crop.

        Parameters
        ----------
        crop : Crop
        guidance : (5, 192, 192) float32
            From ``draw_guidance`` or ``no_guidance``.

        Returns
        -------
        Prediction

        Raises
        ------
        ModelError
            If the network fails on the processor too.
        """
        image = np.ascontiguousarray(crop.rgb.transpose(2, 0, 1), dtype=np.float32) / 255.0
        inputs = {"image": image[None], "guidance": guidance[None]}
        try:
            volume, landmarks, doubt = self._session.run(OUTPUTS, inputs)
        except Exception as error:
            if self.provider == "CPU":
                raise ModelError(
                    f"The network {self._name} failed ({_first_line(error)}); close other "
                    "programs to free memory and try again."
                ) from error
            self._session = self._open([CPU])
            self.provider_note = f"the GPU failed ({_first_line(error)})"
            return self.predict(crop, guidance)
        return Prediction(volume=volume[0], landmarks=landmarks[0], doubt=doubt[0])


def find_cuda() -> None:
    """Load CUDA and cuDNN from the nvidia wheels or from beside PyTorch.

    The system's are found without it. That some are missing is no error: `Network` and the status
    of the worker say so.
    """
    # Its complaints are ours to make, so it is kept from logging and printing.
    onnxruntime.set_default_logger_severity(_LOG_FATAL)
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()


def runtime() -> tuple[str, tuple[str, ...], str]:
    """Tell which ONNX Runtime is installed.

    Returns
    -------
    name : str
        Its package and version.
    providers : tuple of str
        What this build can run networks on, as it names them.
    cuda : str
        The version of CUDA that it was built for; empty where it was built without.
    """
    # A build without CUDA does not have the version, or has it empty.
    cuda = str(getattr(onnxruntime, "cuda_version", None) or "")
    name = f"{onnxruntime.package_name} {onnxruntime.__version__}"
    return name, tuple(onnxruntime.get_available_providers()), cuda


def gpu_name() -> str | None:
    """Ask the driver what the first GPU, which is the one that ONNX Runtime takes, is called.

    Returns
    -------
    str or None
        Such as "NVIDIA GeForce RTX 4070"; None where there is no NVIDIA driver or no GPU.

    References
    ----------
    NVIDIA, "CUDA Driver API", sections 6.2, initialization, and 6.5, device management.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    # Each call gives zero when it has worked.
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetName(name, len(name), device)
    )
    return None if failed else name.value.decode("utf-8", "replace")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
