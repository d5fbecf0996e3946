# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Photos of every kind become the same RGB pixels; whatever is no photo gets one sentence."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from vrn_blender.reconstruction.errors import PhotoError
from vrn_blender.reconstruction.photo import MIN_SIDE, photo_from_array, read_photo

RGB = NDArray[np.uint8]
ORIENTATION = 0x0112


@pytest.fixture
def scene() -> RGB:
    """Draw a picture, 96 wide and 64 high, of four quarters: red, green, blue and grey."""
    rgb = np.empty((64, 96, 3), np.uint8)
    rgb[:32, :48] = 200, 30, 30
    rgb[:32, 48:] = 30, 180, 30
    rgb[32:, :48] = 30, 30, 220
    rgb[32:, 48:] = 120, 120, 120
    return rgb


def _assert_alike(rgb: RGB, expected: RGB, tolerance: int) -> None:
    assert rgb.shape == expected.shape
    # Away from the quarters' borders, where lossy formats ring.
    inner = np.zeros(expected.shape[:2], bool)
    inner[8:24, 8:40] = inner[8:24, 56:88] = inner[40:56, 8:40] = inner[40:56, 56:88] = True
    difference = np.abs(rgb.astype(int) - expected.astype(int))[inner]
    assert difference.max() <= tolerance


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [(".jpg", 6), (".png", 0), (".tif", 0), (".webp", 12), (".bmp", 0)],
)
def test_each_format_is_read(tmp_path: Path, scene: RGB, suffix: str, tolerance: int) -> None:
    path = tmp_path / f"scene{suffix}"
    Image.fromarray(scene).save(path)
    photo = read_photo(path)
    assert photo.name == "scene"
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.flags.c_contiguous
    _assert_alike(photo.rgb, scene, tolerance)


@pytest.mark.parametrize("folder", ["with space", "Фотографии", "🙂 smile", "a'b\"c"])
def test_any_path_is_read(tmp_path: Path, scene: RGB, folder: str) -> None:
    path = tmp_path / folder / f"{folder}.png"
    path.parent.mkdir()
    Image.fromarray(scene).save(path)
    photo = read_photo(str(path))
    assert photo.name == folder
    assert np.array_equal(photo.rgb, scene)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, lambda upright: upright),
        (2, lambda upright: upright[:, ::-1]),
        (3, lambda upright: upright[::-1, ::-1]),
        (4, lambda upright: upright[::-1]),
        (5, lambda upright: upright.transpose(1, 0, 2)),
        (6, lambda upright: np.rot90(upright, 1)),
        (7, lambda upright: upright[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda upright: np.rot90(upright, -1)),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exif_orientation_is_obeyed(
    tmp_path: Path, scene: RGB, orientation: int, stored: Callable[[RGB], RGB], suffix: str
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(np.ascontiguousarray(stored(scene))).save(path, exif=exif)
    _assert_alike(read_photo(path).rgb, scene, tolerance=12)


def test_damaged_exif_does_not_hide_the_picture(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "odd.jpg"
    Image.fromarray(scene).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12\0\x03")
    _assert_alike(read_photo(path).rgb, scene, tolerance=6)


def test_grey_becomes_three_equal_channels(tmp_path: Path, scene: RGB) -> None:
    grey = scene[..., 0]
    path = tmp_path / "grey.png"
    Image.fromarray(grey).save(path)
    assert np.array_equal(read_photo(path).rgb, np.repeat(grey[..., None], 3, axis=2))


def test_black_and_white_becomes_rgb(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "bilevel.png"
    bright = scene[..., 1] > 100
    Image.fromarray(bright).save(path)
    assert np.array_equal(read_photo(path).rgb[..., 0], np.where(bright, 255, 0))


def test_palette_becomes_rgb(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "palette.png"
    Image.fromarray(scene).quantize(4).save(path)
    _assert_alike(read_photo(path).rgb, scene, tolerance=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_over_white(tmp_path: Path, scene: RGB, mode: str) -> None:
    image = Image.fromarray(scene).convert(mode)
    opaque = np.asarray(image.convert("RGB"))
    alpha = np.full(scene.shape[:2], 255, np.uint8)
    alpha[:32] = 0
    image.putalpha(Image.fromarray(alpha))
    path = tmp_path / "cut_out.png"
    image.save(path)
    rgb = read_photo(path).rgb
    assert (rgb[:32] == 255).all()
    assert np.array_equal(rgb[32:], opaque[32:])


def test_transparent_palette_entry_is_laid_over_white(tmp_path: Path, scene: RGB) -> None:
    image = Image.fromarray(scene).quantize(4)
    path = tmp_path / "cut_out.png"
    image.save(path, transparency=image.getpixel((0, 0)))
    expected = scene.copy()
    expected[:32, :48] = 255
    _assert_alike(read_photo(path).rgb, expected, tolerance=1)


def test_cmyk_jpeg_keeps_its_colours(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "print.jpg"
    Image.fromarray(scene).convert("CMYK").save(path, quality=95)
    _assert_alike(read_photo(path).rgb, scene, tolerance=8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path: Path, scene: RGB, suffix: str) -> None:
    grey = scene[..., 0]
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    assert np.array_equal(read_photo(path).rgb[..., 1], grey)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_is_scaled(tmp_path: Path, scene: RGB, suffix: str) -> None:
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"deep{suffix}"
    assert cv2.imwrite(str(path), scene[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(read_photo(path).rgb, scene)


@pytest.mark.parametrize("values", [np.float32(0.5), np.int32(1 << 20)])
def test_pixels_without_a_known_range_are_refused(tmp_path: Path, values: np.generic) -> None:
    path = tmp_path / "measured.tif"
    Image.fromarray(np.full((64, 64), values)).save(path)
    with pytest.raises(PhotoError, match=r"measured\.tif .* 8 or 16 bits"):
        read_photo(path)


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path, scene: RGB) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red_for_blue = (
        srgb.replace(b"rXYZ", b"????", 1)
        .replace(b"bXYZ", b"rXYZ", 1)
        .replace(b"????", b"bXYZ", 1)
        .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    )
    path = tmp_path / "swapped.png"
    Image.fromarray(scene).save(path, icc_profile=red_for_blue)
    _assert_alike(read_photo(path).rgb, scene[..., ::-1], tolerance=2)


@pytest.mark.parametrize(
    "profile",
    [b"no profile at all", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()],
    ids=["garbage", "of another colour space"],
)
def test_unfitting_profile_is_passed_over(tmp_path: Path, scene: RGB, profile: bytes) -> None:
    path = tmp_path / "odd.png"
    Image.fromarray(scene).save(path, icc_profile=profile)
    assert np.array_equal(read_photo(path).rgb, scene)


def test_first_of_several_frames_is_taken(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "pages.tif"
    first, second = Image.fromarray(scene), Image.fromarray(255 - scene)
    first.save(path, save_all=True, append_images=[second])
    assert np.array_equal(read_photo(path).rgb, scene)


def test_hundred_megapixels_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (11_600, 8_700), 1).save(path)
    photo = read_photo(path)
    assert photo.rgb.shape == (8_700, 11_600, 3)
    assert (photo.rgb[-1] == 255).all()


def test_pixels_cannot_be_changed_by_a_station(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "scene.png"
    Image.fromarray(scene).save(path)
    with pytest.raises(ValueError, match="read-only"):
        read_photo(path).rgb[0, 0] = 0


def test_array_becomes_a_photo(scene: RGB) -> None:
    photo = photo_from_array(scene[:, ::-1], "mirrored")
    assert photo.name == "mirrored"
    assert photo.rgb.flags.c_contiguous
    assert np.array_equal(photo.rgb, scene[:, ::-1])
    assert scene.flags.writeable


@pytest.mark.parametrize(
    "array",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))],
    ids=["grey", "RGBA", "float"],
)
def test_array_of_another_kind_is_refused(array: NDArray[Any]) -> None:
    with pytest.raises(PhotoError, match="uint8"):
        photo_from_array(array, "array")


def _write_missing(path: Path, _: bytes) -> None:
    assert not path.exists()


def _write_folder(path: Path, _: bytes) -> None:
    path.mkdir()


def _write_empty(path: Path, _: bytes) -> None:
    path.touch()


def _write_text(path: Path, _: bytes) -> None:
    path.write_text("This is no photo.")


def _write_half(path: Path, jpeg: bytes) -> None:
    path.write_bytes(jpeg[: len(jpeg) // 2])


def _write_all_but_the_end(path: Path, jpeg: bytes) -> None:
    path.write_bytes(jpeg[: int(len(jpeg) * 0.99)])


def _write_gif(path: Path, _: bytes) -> None:
    Image.new("RGB", (64, 64)).save(path, format="GIF")


def _write_one_pixel(path: Path, _: bytes) -> None:
    Image.new("RGB", (1, 1)).save(path)


def _write_too_many_pixels(path: Path, _: bytes) -> None:
    Image.new("1", (20_000, 10_000)).save(path, format="PNG")


def _write_pipe(path: Path, _: bytes) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (_write_missing, "was not found; check"),
        (_write_folder, "is a folder; choose"),
        (_write_empty, "is empty; copy or export"),
        (_write_text, "is not a photo that can be read; save it as JPEG"),
        (_write_half, "is damaged or cut short; copy or export"),
        (_write_all_but_the_end, "is damaged or cut short; copy or export"),
        (_write_gif, "is not a photo that can be read; save it as JPEG"),
        (_write_one_pixel, f"is only 1 x 1 pixels; use a photo of at least {MIN_SIDE}"),
        (_write_too_many_pixels, "has too many pixels; scale it down"),
        pytest.param(
            _write_pipe,
            "is not an ordinary file; choose",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes"),
        ),
    ],
)
def test_bad_file_gets_one_sentence_with_its_name_and_a_remedy(
    tmp_path: Path, astronaut: RGB, write: Callable[[Path, bytes], None], expected: str
) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(astronaut).save(whole)
    path = tmp_path / "bad one.jpg"
    write(path, whole.read_bytes())
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    message = str(caught.value)
    assert message.startswith(f"bad one.jpg {expected}")
    assert message.endswith(".")
    assert "\n" not in message


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".bmp"])
def test_truncated_file_of_any_format_is_refused(
    tmp_path: Path, astronaut: RGB, suffix: str
) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(astronaut).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(PhotoError, match="damaged or cut short"):
        read_photo(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read every file"
)
def test_unreadable_file_gets_a_remedy(tmp_path: Path, scene: RGB) -> None:
    path = tmp_path / "private.png"
    Image.fromarray(scene).save(path)
    path.chmod(stat.S_IWUSR)
    with pytest.raises(PhotoError, match=r"private\.png may not be read; allow"):
        read_photo(path)


@pytest.mark.parametrize("name", ["nul\0.jpg", "long" * 100 + ".jpg"])
def test_impossible_path_gets_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(PhotoError, match="check its path"):
        read_photo(tmp_path / name)


@pytest.mark.skipif(os.name == "nt", reason="such names cannot be made here")
def test_name_that_cannot_be_printed_is_shown_without_what_cannot(
    tmp_path: Path, scene: RGB
) -> None:
    path = tmp_path / os.fsdecode(b"line\nbreak \xff.png")
    try:
        Image.fromarray(scene).save(path)
    except OSError:
        pytest.skip("this file system refuses such names")
    assert read_photo(path).name == "line�break �"
