# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""``python -m vrn_blender``: photos become heads, with the bpy wheel as the Blender."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from .addon import batch


def main() -> int:
    """Run the batch; without a photo it takes scikit-image's portrait of an astronaut.

    Returns
    -------
    int
        The exit status.
    """
    if importlib.util.find_spec("bpy") is None:
        print(
            "Blender's Python module is missing: install it with "
            "pip install -e '.[blender]', or run blender --command vrn_blender.",
            file=sys.stderr,
        )
        return batch.SOME_FAILED
    return batch.main(sys.argv[1:], sample=save_sample)


def save_sample(folder: Path) -> Path:
    """Put the sample portrait into a folder.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    Path
        The photo: Eileen Collins, by NASA, in the public domain.
    """
    # Imported here because only this case needs them.
    from PIL import Image
    from skimage import data

    path = folder / "face.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    blender = sys.modules.get("bpy")
    if blender is not None and blender.app.version < (4, 3):
        # This one frees what the glTF exporter registered after Python is gone, and crashes. By
        # now everything is written and the worker has ended; only its folder is left to remove.
        shutil.rmtree(blender.app.tempdir, ignore_errors=True)
        os._exit(status)
    sys.exit(status)
