# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The extension as Blender sees it: hands register and unregister on to vrn_blender.

Nothing is imported before Blender calls: pytest takes this file for that of a package with the
name of the checkout's folder, which need not be a name that Python can import from.
"""


def register() -> None:
    """Add the extension to Blender."""
    from . import vrn_blender

    vrn_blender.register()


def unregister() -> None:
    """Take the extension out of Blender again."""
    from . import vrn_blender

    vrn_blender.unregister()
