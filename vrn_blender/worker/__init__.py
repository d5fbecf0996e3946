# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The reconstruction in a process of its own, so that nothing in it can freeze or end Blender."""
