# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Training of the VRN on synthetic heads: prepare, synthesise, train, evaluate, export."""
