# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Everything that an artist sees in Blender: operators, panels, preferences, scene and batch."""
