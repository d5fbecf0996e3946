# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The way from a photo to a head, one module a station, in plain Python without Blender.

photo -> landmarks -> crop -> guidance -> network -> surface -> texture -> head; ``reconstruct``
walks the stations in this order.
"""
