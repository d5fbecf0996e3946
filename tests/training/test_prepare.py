# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""ICT-FaceKit's OBJ files become the arrays that training reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tqdm", reason="needs the packages of the extra “train”")

from models.training.prepare import (
    EXPRESSIONS,
    IDENTITIES,
    NEUTRAL,
    FaceKitError,
    prepare,
    read_neutral,
    read_obj,
    read_shapes,
)

CHECKOUT = Path(__file__).parents[2]
DATA = CHECKOUT.parent / "shared" / "data"
SAMPLE = DATA / "ict_facekit_sample" / "FaceXModel"
ARCHIVE = DATA / "ict_facekit_light.npz"

needs_sample = pytest.mark.skipif(
    not (SAMPLE.is_dir() and ARCHIVE.is_file()), reason="../shared/data is not here"
)

PYRAMID = """\
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v .5 .5 1e0
vt 0 0
vt 1 0
vt 0.5 1
usemtl stone
f 1/1 2/2 3/3 4/1
f 1/1 2/2 5/3
"""


@needs_sample
def test_the_neutral_head_is_read_to_the_last_bit() -> None:
    mesh = read_neutral(SAMPLE)
    with np.load(ARCHIVE) as expected:
        assert np.array_equal(mesh.vertices, expected["neutral"])
        assert np.array_equal(mesh.uv, expected["uv"])
        assert np.array_equal(mesh.faces, expected["faces"])
        assert np.array_equal(mesh.face_uv, expected["face_uv"])


@needs_sample
def test_identities_and_expressions_are_differences_from_the_neutral_head() -> None:
    neutral = read_neutral(SAMPLE).vertices
    shapes = read_shapes(SAMPLE, ("identity000", "jawOpen"), neutral)
    assert shapes.dtype == np.float16
    with np.load(ARCHIVE) as expected:
        jaw_open = list(expected["expression_names"]).index("jawOpen")
        assert np.array_equal(shapes[0], expected["identity"][0])
        assert np.array_equal(shapes[1], expected["expression"][jaw_open])


@needs_sample
def test_the_tables_are_those_of_the_kit(tmp_path: Path) -> None:
    for name in (NEUTRAL, *IDENTITIES, *EXPRESSIONS):
        original = SAMPLE / f"{name}.obj"
        source = original if original.is_file() else SAMPLE / "jawOpen.obj"
        (tmp_path / f"{name}.obj").symlink_to(source)
    # Reading all 158 files takes a minute: the first of each kind is enough for the tables.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.training.prepare.IDENTITIES", IDENTITIES[:1])
        patch.setattr("models.training.prepare.EXPRESSIONS", EXPRESSIONS[:1])
        arrays = prepare(tmp_path)
    with np.load(ARCHIVE) as expected:
        assert set(arrays) == set(expected.files)
        assert list(EXPRESSIONS) == list(expected["expression_names"])
        assert len(IDENTITIES) == len(expected["identity"])
        for key in ("landmarks_multipie68", "part_names", "part_vertices", "part_faces"):
            assert np.array_equal(arrays[key], expected[key])
            assert arrays[key].dtype == expected[key].dtype


def test_a_triangle_has_no_fourth_corner(tmp_path: Path) -> None:
    path = tmp_path / "pyramid.obj"
    path.write_text(PYRAMID)
    mesh = read_obj(path)
    assert mesh.vertices[4].tolist() == [0.5, 0.5, 1.0]
    assert mesh.faces.tolist() == [[0, 1, 2, 3], [0, 1, 4, -1]]
    assert mesh.face_uv.tolist() == [[0, 1, 2, 0], [0, 1, 2, -1]]


def test_what_a_folder_lacks_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / f"{NEUTRAL}.obj").write_text(PYRAMID)
    run = subprocess.run(
        [sys.executable, "-m", "models.training.prepare", str(tmp_path)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert re.fullmatch(
        r".* lacks identity000\.obj, identity001\.obj, identity002\.obj and 154 more: name .*\.\n",
        run.stderr,
    )


def test_a_head_of_another_topology_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{NEUTRAL}.obj").write_text(PYRAMID)
    with pytest.raises(FaceKitError, match=r"has 5 vertices and 2 polygons instead of 26719"):
        read_neutral(tmp_path)


def test_a_shape_of_another_topology_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jawOpen.obj").write_text(PYRAMID)
    with pytest.raises(FaceKitError, match=r"jawOpen\.obj has 5 vertices"):
        read_shapes(tmp_path, ("jawOpen",), np.zeros((4, 3), np.float32))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.obj").write_text("v 0 0 0\nv 1 0")
    with pytest.raises(FaceKitError, match=r"torn\.obj is damaged .* fetch ICT-FaceKit again"):
        read_obj(tmp_path / "torn.obj")
