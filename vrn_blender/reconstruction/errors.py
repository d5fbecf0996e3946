# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The errors that a user gets to read.

Each message is one sentence that says what is wrong and what to do about it, so that every caller
can show ``str(error)`` as it stands.
"""


class ReconstructionError(Exception):
    """A reconstruction cannot go on; the message is one sentence for the user."""


class PhotoError(ReconstructionError):
    """The photo cannot be read, or is no photo that a head can be made from."""


class NoFaceError(ReconstructionError):
    """No face was found in the photo, or none that is large enough."""


class ModelError(ReconstructionError):
    """A model file (the network or MediaPipe's bundle) is missing, corrupt or cannot be run."""


class EmptyVolumeError(ReconstructionError):
    """The network saw no head in the crop."""


class Cancelled(ReconstructionError):  # noqa: N818 - the user's wish, not a fault
    """The user asked to stop."""
