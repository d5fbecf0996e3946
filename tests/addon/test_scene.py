# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head becomes one well-made object, and nothing else in the scene changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_worker import RADIUS, make_head

Maker = Callable[..., Any]


def put(bpy: Any, *entries: Any, unit_size: bool = False) -> list[Any]:
    from vrn_blender.addon.scene import add_heads

    context = bpy.context
    return add_heads(context.scene, context.view_layer, entries, unit_size=unit_size)


def image_of(head: Any) -> Any:
    nodes = head.data.materials[0].node_tree.nodes
    return next(node.image for node in nodes if node.type == "TEX_IMAGE")


def test_the_mesh_is_the_heads(bpy: Any, made: Maker) -> None:
    (head,) = put(bpy, made())
    expected = make_head()
    mesh = head.data
    coordinates = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", coordinates)
    np.testing.assert_array_equal(coordinates.reshape(-1, 3), expected.vertices)
    assert [tuple(polygon.vertices) for polygon in mesh.polygons] == [
        tuple(face) for face in expected.faces
    ]
    assert all(polygon.use_smooth for polygon in mesh.polygons)
    assert not mesh.validate()
    normals = np.array([polygon.normal[:] for polygon in mesh.polygons])
    centres = np.array([polygon.center[:] for polygon in mesh.polygons])
    assert (np.einsum("ij,ij->i", normals, centres) > 0).all()
    uv = np.array([entry.vector[:] for entry in mesh.uv_layers.active.uv])
    np.testing.assert_array_equal(uv, expected.uv.reshape(-1, 2))


def test_one_principled_material_holds_the_packed_texture(bpy: Any, made: Maker) -> None:
    (head,) = put(bpy, made())
    (material,) = head.data.materials
    principled = [n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED"]
    assert len(principled) == 1
    (link,) = principled[0].inputs["Base Color"].links
    image = link.from_node.image
    assert image.packed_file.data == make_head().texture_png
    assert tuple(image.size) == (16, 32)
    assert image.colorspace_settings.name == "sRGB"


def test_everything_is_named_after_the_photo(bpy: Any, made: Maker) -> None:
    (head,) = put(bpy, made("Анна 🙂"))
    assert head.name == "Анна 🙂"
    assert head.data.name == "Анна 🙂"
    assert head.data.materials[0].name == "Анна 🙂"
    assert image_of(head).name == "Анна 🙂"


def test_the_rest_of_the_scene_stays_as_it_is(bpy: Any, made: Maker) -> None:
    before = {
        other.name: (other.matrix_world.copy(), tuple(other.users_collection))
        for other in bpy.context.scene.objects
    }
    (head,) = put(bpy, made())
    for name, (matrix, collections) in before.items():
        other = bpy.context.scene.objects[name]
        assert other.matrix_world == matrix
        assert tuple(other.users_collection) == collections
    assert len(bpy.context.scene.objects) == len(before) + 1
    assert [collection.name for collection in head.users_collection] == ["Face from Photo"]


def test_the_head_alone_is_selected_and_active(bpy: Any, made: Maker) -> None:
    assert bpy.data.objects["Cube"].select_get()
    (head,) = put(bpy, made())
    assert list(bpy.context.view_layer.objects.selected) == [head]
    assert bpy.context.view_layer.objects.active == head


def test_the_head_stands_at_the_cursor(bpy: Any, made: Maker) -> None:
    bpy.context.scene.cursor.location = (1, 2, 3)
    (head,) = put(bpy, made())
    assert tuple(head.location) == (1, 2, 3)


def test_several_heads_stand_side_by_side_in_one_collection(bpy: Any, made: Maker) -> None:
    first, second = put(bpy, made("a"), made("b"))
    third = put(bpy, made("c"))[0]
    # The third one comes later, and the cursor is where the first one stands.
    places = [head.location.x for head in (first, second, third)]
    assert places[0] == 0
    assert np.diff(places) == pytest.approx([2.5 * RADIUS] * 2)
    assert first.users_collection == second.users_collection == third.users_collection


def test_true_size_obeys_the_scenes_unit_scale(bpy: Any, made: Maker) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    (head,) = put(bpy, made())
    assert head.dimensions.z == pytest.approx(2 * RADIUS / 0.01)


def test_unit_size_makes_the_head_one_unit_high(bpy: Any, made: Maker) -> None:
    from vrn_blender.addon.scene import landmarks_of

    (head,) = put(bpy, made(), unit_size=True)
    assert head.dimensions.z == pytest.approx(1)
    landmarks = landmarks_of(head)
    np.testing.assert_allclose(landmarks, make_head().landmarks / (2 * RADIUS), rtol=1e-5)


def test_the_landmarks_survive_saving_and_loading(bpy: Any, made: Maker, tmp_path: Path) -> None:
    from vrn_blender.addon.scene import LANDMARKS_478, is_head, landmarks_of

    put(bpy, made("guided", 1), made("unguided", 2))
    path = tmp_path / "heads.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_factory_startup=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    guided, unguided = bpy.data.objects["guided"], bpy.data.objects["unguided"]
    np.testing.assert_allclose(landmarks_of(guided), make_head().landmarks, rtol=1e-6)
    assert landmarks_of(guided, LANDMARKS_478).shape == (478, 3)
    assert is_head(unguided)
    with pytest.raises(KeyError):
        landmarks_of(unguided, LANDMARKS_478)
    assert not is_head(bpy.data.objects["Cube"])
    assert not is_head(None)
    assert guided["vrn_photo"] == "/photos/guided.jpg"
    assert image_of(guided).packed_file.data == make_head().texture_png


def test_a_collection_that_is_excluded_from_the_view_layer_is_no_obstacle(
    bpy: Any, made: Maker
) -> None:
    put(bpy, made("a"))
    bpy.context.view_layer.layer_collection.children["Face from Photo"].exclude = True
    (head,) = put(bpy, made("b"))
    assert head.name in bpy.context.scene.objects
