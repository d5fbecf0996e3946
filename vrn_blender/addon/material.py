# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What a head looks like: a Principled BSDF for skin, painted by a texture or by its vertices.

The images are packed into the file. The mask of what the camera saw is a node of its own, labelled
"Seen" and connected to nothing, so that renderers and exporters pass it by; a painter who wants to
redo what nobody saw finds it there.

References
----------
H. W. Jensen, S. R. Marschner, M. Levoy, P. Hanrahan: A Practical Model for Subsurface Light
Transport, SIGGRAPH 2001; table 2, skin1.
"""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from ..reconstruction.result import Head
from .choices import VERTEX

COLOURS = "Color"
SEEN = "Seen"

_ROUGHNESS = 0.5
_REFRACTION = 1.4
# The photo shows skin that light has been under already, so only some of it goes there again.
_SUBSURFACE = 0.25
# How far red, green and blue light gets under the skin, as shares of red's, which is in metres.
_RED_REACH = 0.00367
_REACH = (1.0, 0.373, 0.185)

_LARGEST_SAMPLED = 1024
"""Pixels a side that vertices take their colours from. The largest texture has dozens to a vertex,
of which one would be noise, so they are averaged."""


def build_material(head: Head, scale: float, paint: str) -> bpy.types.Material:
    """Make a head's material.

    Parameters
    ----------
    head : Head
        The head.
    scale : float
        Blender units per metre.
    paint : str
        One of `choices.PAINTS`.

    Returns
    -------
    Material
        Named after the head.
    """
    material = bpy.data.materials.new(head.name)
    # From Blender 5.0 on every material has nodes, and setting this is deprecated.
    if not material.use_nodes:
        material.use_nodes = True
    tree = material.node_tree
    principled = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    _make_skin(principled, scale)
    colour = _add_vertex_colours(tree) if paint == VERTEX else _add_texture(tree, head)
    colour.location = principled.location.x - 340, principled.location.y
    tree.links.new(colour.outputs["Color"], principled.inputs["Base Color"])
    # The active image is what Solid view shows and what Texture Paint paints on.
    tree.nodes.active = colour
    if head.normal_png is not None:
        _add_normal_map(tree, principled, head)
    if head.seen_png is not None and paint != VERTEX:
        seen = _image_node(tree, f"{head.name} seen", head.seen_png, "Non-Color")
        seen.label = seen.name = SEEN
        seen.location = principled.location.x - 340, principled.location.y + 320
    return material


def paint_vertices(mesh: bpy.types.Mesh, head: Head) -> None:
    """Give a head's mesh the texture's colours, one per vertex.

    Parameters
    ----------
    mesh : Mesh
        The head's, with as many vertices and corners.
    head : Head
        The head.
    """
    picture = _averaged(_pixels(head.texture_png), _LARGEST_SAMPLED)
    size = np.array(picture.shape[1::-1])
    corners = head.faces.ravel()
    column, row = np.clip((head.uv.reshape(-1, 2) * size).astype(int), 0, size - 1).T
    total = np.zeros((len(head.vertices), 4), np.float32)
    np.add.at(total, corners, picture[row, column])
    # Every pixel counts as opaque, so the sum of opacities tells how many there were.
    colours = total / np.maximum(total[:, 3:], 1.0)
    attribute = mesh.color_attributes.new(COLOURS, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", colours.ravel())
    mesh.color_attributes.active_color = attribute
    mesh.color_attributes.render_color_index = mesh.color_attributes.active_color_index


def images_of(material: bpy.types.Material) -> dict[str, bpy.types.Image]:
    """Tell which images a head's material holds.

    Parameters
    ----------
    material : Material
        One that `build_material` made, or what became of it in another file.

    Returns
    -------
    dict of str to Image
        ``texture``, ``normals`` and ``seen``, those that there are.
    """
    nodes = material.node_tree.nodes
    principled = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    found = {
        "texture": _source(principled.inputs["Base Color"]),
        "normals": _source(principled.inputs["Normal"]),
        "seen": nodes.get(SEEN),
    }
    return {
        name: node.image
        for name, node in found.items()
        if node is not None and node.type == "TEX_IMAGE"
    }


def pack_image(name: str, content: bytes, ending: str) -> bpy.types.Image:
    """Make an image of a picture file that is in memory.

    Parameters
    ----------
    name : str
        What it is to be called.
    content : bytes
        The file.
    ending : str
        What such a file's name ends in, without the dot.

    Returns
    -------
    Image
        Packed into the blend file; it has its size as soon as Blender reads it.
    """
    image = bpy.data.images.new(name, 1, 1)
    image.pack(data=content, data_len=len(content))
    image.source = "FILE"
    image.filepath_raw = f"//{name}.{ending}"
    return image


def _source(socket: bpy.types.NodeSocket) -> bpy.types.Node | None:
    """Give the node that a socket gets its value from, past one that makes normals of colour."""
    if not socket.links:
        return None
    node = socket.links[0].from_node
    return _source(node.inputs["Color"]) if node.type == "NORMAL_MAP" else node


def _make_skin(principled: bpy.types.ShaderNode, scale: float) -> None:
    inputs = principled.inputs
    inputs["Roughness"].default_value = _ROUGHNESS
    inputs["IOR"].default_value = _REFRACTION
    inputs["Subsurface Weight"].default_value = _SUBSURFACE
    inputs["Subsurface Radius"].default_value = _REACH
    inputs["Subsurface Scale"].default_value = _RED_REACH * scale


def _add_texture(tree: bpy.types.NodeTree, head: Head) -> bpy.types.ShaderNode:
    return _image_node(tree, head.name, head.texture_png, "sRGB")


def _add_vertex_colours(tree: bpy.types.NodeTree) -> bpy.types.ShaderNode:
    node = tree.nodes.new("ShaderNodeVertexColor")
    node.layer_name = COLOURS
    return node


def _add_normal_map(tree: bpy.types.NodeTree, principled: bpy.types.ShaderNode, head: Head) -> None:
    assert head.normal_png is not None  # noqa: S101 - the caller has looked
    picture = _image_node(tree, f"{head.name} normals", head.normal_png, "Non-Color")
    normals = tree.nodes.new("ShaderNodeNormalMap")
    picture.location = principled.location.x - 560, principled.location.y - 320
    normals.location = principled.location.x - 220, principled.location.y - 320
    tree.links.new(picture.outputs["Color"], normals.inputs["Color"])
    tree.links.new(normals.outputs["Normal"], principled.inputs["Normal"])


def _image_node(
    tree: bpy.types.NodeTree, name: str, png: bytes, colour_space: str
) -> bpy.types.ShaderNode:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image = pack_image(name, png, "png")
    node.image.colorspace_settings.name = colour_space
    return node


def _pixels(png: bytes) -> NDArray[np.float32]:
    """Read a PNG file by Blender's own reader, (H, W, 4), sRGB, the lowest row first."""
    image = pack_image("Read", png, "png")
    width, height = image.size
    pixels = np.empty((height, width, 4), np.float32)
    image.pixels.foreach_get(pixels.ravel())
    bpy.data.images.remove(image)
    return pixels


def _averaged(pixels: NDArray[np.float32], largest: int) -> NDArray[np.float32]:
    """Average squares of pixels, so that no side is longer; what makes no whole square is cut."""
    step = -(-max(pixels.shape[:2]) // largest)
    height, width = (side // step for side in pixels.shape[:2])
    squares = pixels[: height * step, : width * step].reshape(height, step, width, step, 4)
    return squares.mean(axis=(1, 3))
