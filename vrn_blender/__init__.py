# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A photo becomes a textured head in Blender, by volumetric CNN regression.

Only `register` and `unregister` need Blender, and they import it when they are called: the
reconstruction and the worker run under plain Python.
"""


def register() -> None:
    """Add the operators, panels, preferences and the batch command to Blender."""
    from .addon import registration

    registration.register()


def unregister() -> None:
    """Take everything out of Blender again and end the worker process."""
    from .addon import registration

    registration.unregister()
