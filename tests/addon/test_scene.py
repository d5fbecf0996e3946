# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""A head becomes one well-made object, and nothing else in the scene changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.fake_worker import BOTTOM_COLOUR, RADIUS, TOP_COLOUR, make_head
from vrn_blender.addon.choices import SceneChoices
from vrn_blender.reconstruction.mesh import REGIONS

Maker = Callable[..., Any]


def put(bpy: Any, *entries: Any, **choices: Any) -> list[Any]:
    from vrn_blender.addon.scene import add_heads

    context = bpy.context
    return add_heads(context.scene, context.view_layer, entries, SceneChoices(**choices))


def image_of(head: Any) -> Any:
    from vrn_blender.addon.material import images_of

    return images_of(head.data.materials[0])["texture"]


def evaluated(bpy: Any, head: Any) -> Any:
    """Give the vertices that are shown, object space, shape (V, 3)."""
    mesh = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    return points.reshape(-1, 3)


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
    bpy.data.objects["Cube"].hide_set(False)
    bpy.data.objects["Cube"].select_set(True)
    assert bpy.data.objects["Cube"].select_get()
    (head,) = put(bpy, made())
    assert list(bpy.context.view_layer.objects.selected) == [head]
    assert bpy.context.view_layer.objects.active == head


def test_the_head_stands_at_the_cursor(bpy: Any, made: Maker) -> None:
    bpy.context.scene.cursor.location = (1, 2, 3)
    (head,) = put(bpy, made())
    assert tuple(head.location) == (1, 2, 3)


def test_a_head_does_not_stand_inside_of_a_cube(bpy: Any, made: Maker) -> None:
    bpy.data.objects["Cube"].hide_set(False)
    (head,) = put(bpy, made())
    assert min(corner[0] for corner in head.bound_box) + head.location.x > 1


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


@pytest.mark.parametrize("scale_length", [1.0, 0.01])
def test_multires_holds_the_raw_surfaces_detail(bpy: Any, made: Maker, scale_length: float) -> None:
    from mathutils.bvhtree import BVHTree

    scene = bpy.context.scene
    scene.unit_settings.scale_length = scale_length
    entry = made(surface="sculpt")
    (head,) = put(bpy, entry)
    (multires,) = head.modifiers
    assert multires.type == "MULTIRES"
    levels = multires.total_levels, multires.levels, multires.sculpt_levels, multires.render_levels
    assert levels == (2, 2, 2, 2)
    assert len(head.data.polygons) == len(entry.head.faces)
    top = evaluated(bpy, head) * scale_length
    assert len(top) == len(entry.head.raw_vertices)
    raw = BVHTree.FromPolygons(entry.head.raw_vertices.tolist(), entry.head.raw_faces.tolist())
    distance = [raw.find_nearest(point)[3] for point in top.tolist()]
    assert max(distance) < 1e-5
    assert np.abs(np.linalg.norm(top, axis=1) - RADIUS).max() > 0.0005
    # Its coarse level is the mesh that was given.
    multires.levels = 0
    base = evaluated(bpy, head) * scale_length
    np.testing.assert_allclose(base, entry.head.vertices, atol=1e-6)


def test_multires_keeps_the_quads_own_edge_where_the_neck_is_cut(bpy: Any, made: Maker) -> None:
    from vrn_blender.addon.multires import hold_detail
    from vrn_blender.addon.scene import build_mesh

    head = made(surface="sculpt").head
    quads = build_mesh("Quads", head.vertices, head.faces, 1.0)
    raw = build_mesh("Raw", head.raw_vertices * np.float32(1.02), head.raw_faces, 1.0)
    tops = []
    for rim in (np.empty(0, np.intp), np.array([5])):
        entry = bpy.data.objects.new("Head", quads.copy())
        bpy.context.scene.collection.objects.link(entry)
        hold_detail(entry, raw, 1.0, bpy.context.scene, rim)
        tops.append(evaluated(bpy, entry))
    moved = np.linalg.norm(tops[1] - tops[0], axis=1)
    far = np.linalg.norm(tops[0] - head.vertices[5], axis=1) > 0.5 * RADIUS
    assert moved[5] > 0.0001
    assert far.any()
    assert moved[far].max() < 0.2 * moved[5]


def test_making_a_head_leaves_nothing_else_behind(bpy: Any, made: Maker) -> None:
    kinds = ("objects", "meshes", "images", "materials", "collections", "cameras")
    before = {kind: len(getattr(bpy.data, kind)) for kind in kinds}
    put(bpy, made(surface="sculpt"), paint="vertex")
    after = {kind: len(getattr(bpy.data, kind)) for kind in kinds}
    new = {kind: after[kind] - before[kind] for kind in kinds}
    ours = {"objects": 1, "meshes": 1, "images": 0, "materials": 1, "collections": 1}
    assert new == {**ours, "cameras": 0}


def test_a_sculpt_head_can_be_made_into_an_excluded_collection(bpy: Any, made: Maker) -> None:
    put(bpy, made("a"))
    bpy.context.view_layer.layer_collection.children["Face from Photo"].exclude = True
    (head,) = put(bpy, made("b", surface="sculpt"))
    assert head.modifiers[0].total_levels == 2
    assert [collection.name for collection in head.users_collection] == ["Face from Photo"]


def test_the_regions_are_vertex_groups(bpy: Any, made: Maker) -> None:
    entry = made()
    (head,) = put(bpy, entry)
    names = [name.capitalize() for name in REGIONS if name != "ears"]
    assert [group.name for group in head.vertex_groups] == names
    given = np.zeros((len(head.data.vertices), len(names)))
    for vertex in head.data.vertices:
        for element in vertex.groups:
            given[vertex.index, element.group] = element.weight
    expected = entry.head.regions[:, np.array(REGIONS) != "ears"]
    assert set(given[(expected <= 0.01)]) == {0.0}
    np.testing.assert_allclose(given, np.where(expected > 0.01, expected, 0), atol=0.5 / 255)


def test_the_skin_is_as_thick_as_the_head_is_large(bpy: Any, made: Maker) -> None:
    bpy.context.scene.unit_settings.scale_length = 0.01
    (head,) = put(bpy, made())
    nodes = head.data.materials[0].node_tree.nodes
    inputs = next(node for node in nodes if node.type == "BSDF_PRINCIPLED").inputs
    red, green, blue = np.array(inputs["Subsurface Radius"].default_value) * (
        inputs["Subsurface Scale"].default_value
    )
    assert 0.05 < blue < green < red < 0.5
    assert 0 < inputs["Subsurface Weight"].default_value < 1


def test_the_mask_of_what_was_seen_is_kept_beside_the_texture(bpy: Any, made: Maker) -> None:
    entry = made()
    (head,) = put(bpy, entry)
    nodes = head.data.materials[0].node_tree.nodes
    (seen,) = (node for node in nodes if node.label == "Seen")
    assert not any(output.is_linked for output in seen.outputs)
    assert seen.image.packed_file.data == entry.head.seen_png
    assert seen.image.colorspace_settings.name == "Non-Color"
    # What is active is what Solid view shows and what is painted on.
    assert nodes.active.image == image_of(head)


def test_a_normal_map_bends_the_light(bpy: Any, made: Maker) -> None:
    from vrn_blender.addon.material import images_of

    entry = made(surface="light")
    (head,) = put(bpy, entry)
    normals = images_of(head.data.materials[0])["normals"]
    assert normals.packed_file.data == entry.head.normal_png
    assert normals.colorspace_settings.name == "Non-Color"


def test_vertex_colours_take_the_place_of_the_texture(bpy: Any, made: Maker) -> None:
    (head,) = put(bpy, made(), paint="vertex")
    material = head.data.materials[0]
    assert not [node for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]
    principled = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
    (link,) = principled.inputs["Base Color"].links
    colours = head.data.color_attributes[link.from_node.layer_name]
    assert colours == head.data.color_attributes.active_color
    height = np.array([vertex.co.z for vertex in head.data.vertices])
    shown = np.rint([255 * np.array(entry.color_srgb) for entry in colours.data])
    above, below = height > 0.02, height < -0.02
    np.testing.assert_array_equal(shown[above], [(*TOP_COLOUR, 255)] * above.sum())
    np.testing.assert_array_equal(shown[below], [(*BOTTOM_COLOUR, 255)] * below.sum())


@pytest.mark.parametrize("size", [(16, 32), (1920, 1080), (100, 900)])
@pytest.mark.parametrize("unit_size", [False, True])
def test_the_camera_sees_the_head_as_the_photo_does(
    bpy: Any, made: Maker, size: tuple[int, int], unit_size: bool
) -> None:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    from vrn_blender.addon.scene import landmarks_of

    scene = bpy.context.scene
    scene.cursor.location = (1, 2, 3)
    scene.render.resolution_x, scene.render.resolution_y = size
    entry = made()
    photo = entry.head.camera
    (head,) = put(bpy, entry, camera=True, unit_size=unit_size)
    (camera,) = head.children
    assert scene.camera != camera
    assert (scene.render.resolution_x, scene.render.resolution_y) == size
    head.location.x += 5
    head.rotation_euler.z = 0.5
    head.scale = (1.5, 1.5, 1.5)
    bpy.context.view_layer.update()
    # The photo lies in the middle of the frame, as large as there is room.
    aspect = photo.width / photo.height, size[0] / size[1]
    share = np.minimum(1.0, (aspect[0] / aspect[1], aspect[1] / aspect[0]))
    for place, point in zip(landmarks_of(head), entry.head.landmarks, strict=True):
        seen = world_to_camera_view(scene, camera, head.matrix_world @ Vector(place))
        pixel = ((np.array(seen[:2]) - 0.5) / share + 0.5) * (photo.width, photo.height)
        in_camera = np.linalg.inv(photo.matrix) @ (*point, 1.0)
        expected = in_camera[:2] / photo.metres_per_pixel + (photo.width / 2, photo.height / 2)
        np.testing.assert_allclose(pixel, expected, atol=0.01)
        assert camera.data.clip_start < seen[2] < camera.data.clip_end
    (background,) = camera.data.background_images
    assert camera.data.show_background_images
    assert background.image.packed_file.data == entry.head.photo_jpeg
    assert tuple(background.image.size) == (photo.width, photo.height)


def test_the_photo_is_projected_onto_the_head_where_it_shows_it(bpy: Any, made: Maker) -> None:
    entry = made()
    photo = entry.head.camera
    (head,) = put(bpy, entry, camera=True)
    (camera,) = head.children
    (layer,) = head.data.uv_layers
    project = head.modifiers.new("Project", "UV_PROJECT")
    project.uv_layer = layer.name
    project.projectors[0].object = camera
    project.aspect_x, project.aspect_y = photo.width, photo.height
    bpy.context.view_layer.update()
    mesh = head.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    corners = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    uv = np.empty(2 * len(corners), np.float32)
    mesh.uv_layers[layer.name].data.foreach_get("uv", uv)
    pixel = uv.reshape(-1, 2) * (photo.width, photo.height)
    to_camera = np.linalg.inv(photo.matrix)
    seen = entry.head.vertices[corners] @ to_camera[:3, :3].T + to_camera[:3, 3]
    expected = seen[:, :2] / photo.metres_per_pixel + (photo.width / 2, photo.height / 2)
    np.testing.assert_allclose(pixel, expected, atol=0.05)


def test_a_scene_without_a_camera_gets_the_photos(bpy: Any, made: Maker) -> None:
    scene = bpy.context.scene
    bpy.data.objects.remove(scene.camera)
    (head,) = put(bpy, made(), camera=True)
    assert scene.camera == head.children[0]
    render = scene.render
    assert (render.resolution_x, render.resolution_y, render.resolution_percentage) == (16, 32, 100)


@pytest.mark.parametrize(("number", "asked", "given"), [(1, 478, 478), (2, 478, 68), (1, 68, 68)])
def test_landmarks_become_empties(
    bpy: Any, made: Maker, number: int, asked: int, given: int
) -> None:
    entry = made("face", number)
    (head,) = put(bpy, entry, landmarks=asked)
    collection = bpy.data.collections["Face from Photo"].children["face landmarks"]
    empties = list(collection.objects)
    assert [empty.name for empty in empties] == [f"face {number:03}" for number in range(given)]
    assert {(empty.type, empty.parent) for empty in empties} == {("EMPTY", head)}
    landmarks = entry.head.landmarks if given == 68 else entry.head.face_landmarks
    places = [empty.matrix_world.translation[:] for empty in empties]
    np.testing.assert_allclose(places, landmarks, atol=1e-6)
    assert list(bpy.context.view_layer.objects.selected) == [head]
