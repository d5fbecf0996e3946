# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The file of the network, and the check that it is whole; needs no library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from .errors import ModelError

MODEL = Path(__file__).resolve().parents[2] / "models" / "vrn.onnx"


def read_model(path: Path = MODEL) -> bytes:
    """Read a network and check it against the description beside it.

    Parameters
    ----------
    path : Path
        An ONNX file; its size and SHA-256 stand in the ``.json`` file of the same name.

    Returns
    -------
    bytes

    Raises
    ------
    ModelError
        If the network or its description is missing, or the two do not belong together.
    """
    remedy = "install the add-on again, or fetch the file again from where the add-on came from"
    try:
        data = path.read_bytes()
        description = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        expected = str(description["sha256"])
    except OSError as error:
        raise ModelError(f"The network {error.filename} cannot be read; {remedy}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"The description of the network {path.name} is damaged; {remedy}."
        ) from error
    if hashlib.sha256(data).hexdigest() != expected:
        raise ModelError(f"The network {path.name} is damaged (its checksum is wrong); {remedy}.")
    return data
