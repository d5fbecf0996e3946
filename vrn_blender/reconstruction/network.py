# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Crop and guidance become an occupancy volume: the ONNX VRN.

References
----------
Jackson, Bulat, Argyriou, Tzimiropoulos, "Large Pose 3D Face Reconstruction from a Single Image via
Direct Volumetric CNN Regression", ICCV 2017, section 3: the volume, and the three ways of use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .crop import Crop
from .errors import ModelError
from .model_file import MODEL, read_model

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"

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
    """

    volume: NDArray[np.uint8]
    landmarks: NDArray[np.float32]


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
            return onnxruntime.InferenceSession(self._data, options, providers=providers)
        except Exception as error:
            # ONNX Runtime's exceptions share no base class but Exception.
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"The network {self._name} cannot be loaded ({reason}); install the add-on again."
            ) from error

    def _open_cuda(self) -> onnxruntime.InferenceSession:
        # Finds CUDA and cuDNN in the nvidia wheels and beside PyTorch; the system's are found
        # without it. Its complaints are ours to make, so it is kept from printing.
        onnxruntime.set_default_logger_severity(_LOG_FATAL)
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        session = self._open([CUDA, CPU])
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
            outputs = self._session.run(("volume", "landmarks"), inputs)
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            if self.provider == "CPU":
                raise ModelError(
                    f"The network {self._name} failed ({reason}); close other programs to free "
                    "memory and try again."
                ) from error
            self._session = self._open([CPU])
            self.provider_note = f"the GPU failed ({reason})"
            outputs = self._session.run(("volume", "landmarks"), inputs)
        return Prediction(volume=outputs[0][0], landmarks=outputs[1][0])
