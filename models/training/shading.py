# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Per-pixel shading of the synthetic photos, compiled by Numba."""

from __future__ import annotations

import numpy as np
from numba import njit

SKIN, EYE, TEETH, MOUTH, HAIR, CLOTH = range(6)


@njit(cache=True, fastmath=True, inline="always")
def _hash(x: int, y: int, z: int) -> np.float32:
    h = np.uint32(x) * np.uint32(374761393)
    h += np.uint32(y) * np.uint32(668265263)
    h += np.uint32(z) * np.uint32(2147483647)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h ^= h >> np.uint32(16)
    return np.float32(h & np.uint32(0xFFFF)) * np.float32(1.0 / 65535.0)


@njit(cache=True, fastmath=True)
def value_noise(x: float, y: float, z: float) -> float:
    """Smooth value noise, -1 to 1, one feature a unit."""
    x += 512.0
    y += 512.0
    z += 512.0
    ix, iy, iz = int(x), int(y), int(z)
    fx, fy, fz = x - ix, y - iy, z - iz
    fx = fx * fx * (3.0 - 2.0 * fx)
    fy = fy * fy * (3.0 - 2.0 * fy)
    fz = fz * fz * (3.0 - 2.0 * fz)
    total = 0.0
    for k in range(2):
        wz = fz if k else 1.0 - fz
        low = _hash(ix, iy, iz + k) * (1.0 - fx) + _hash(ix + 1, iy, iz + k) * fx
        high = _hash(ix, iy + 1, iz + k) * (1.0 - fx) + _hash(ix + 1, iy + 1, iz + k) * fx
        total += wz * (low * (1.0 - fy) + high * fy)
    return 2.0 * total - 1.0


@njit(cache=True, fastmath=True)
def shade(
    image: np.ndarray,
    index: np.ndarray,
    bary: np.ndarray,
    triangles: np.ndarray,
    material: np.ndarray,
    normals: np.ndarray,
    rest: np.ndarray,
    masks: np.ndarray,
    light: np.ndarray,
    lit: np.ndarray,
    look: np.ndarray,
    colours: np.ndarray,
) -> None:
    """Shade what the z-buffer shows, in linear light, over what ``image`` holds.

    Parameters
    ----------
    image : (H, W, 3) float32
        Background on entry, photo on return.
    index, bary : (H, W) int32, (H, W, 2) float32
        What ``rasterise`` found; -1 is background.
    triangles : (T, 3) int32
    material : (T,) uint8
    normals : (V, 3) float32
        Camera frame: x right, y up, z towards the camera.
    rest : (V, 3) float32
        Place in the neutral head, centimetres, for textures; for eyes, direction in gaze axes.
    masks : (V, 4) float32
        Lips, brows, beard, blush.
    light : (L, 6) float32
        Unit direction towards each light, then its colour.
    lit : (V, L + 1) float32
        Share of each light that reaches a vertex; last, of the ambient light.
    look : (16,) float32
        Ambient up, down, sideways; wrap; skin noise, its scale; gloss; beard; brow; iris; pupil;
        hair stripes; cloth pattern, its scale; lips; random offset.
    colours : (9, 3) float32
        Skin, lips, brows and beard, iris, sclera, teeth, hair, cloth, shirt; linear.
    """
    height, width = index.shape
    lights = len(light)
    offset = look[15]
    for y in range(height):
        for x in range(width):
            t = index[y, x]
            if t < 0:
                continue
            a, b, c = triangles[t]
            wa = bary[y, x, 0]
            wb = bary[y, x, 1]
            wc = 1.0 - wa - wb
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            norm = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            if nz < 0.0 and material[t] >= HAIR:
                norm = -norm
            nx *= norm
            ny *= norm
            nz *= norm
            rx = wa * rest[a, 0] + wb * rest[b, 0] + wc * rest[c, 0]
            ry = wa * rest[a, 1] + wb * rest[b, 1] + wc * rest[c, 1]
            rz = wa * rest[a, 2] + wb * rest[b, 2] + wc * rest[c, 2]
            kind = material[t]
            gloss = look[6]
            power = 24.0
            bump = 0.0
            red, green, blue = 0.0, 0.0, 0.0
            if kind == SKIN:
                lips = wa * masks[a, 0] + wb * masks[b, 0] + wc * masks[c, 0]
                brows = wa * masks[a, 1] + wb * masks[b, 1] + wc * masks[c, 1]
                beard = wa * masks[a, 2] + wb * masks[b, 2] + wc * masks[c, 2]
                blush = wa * masks[a, 3] + wb * masks[b, 3] + wc * masks[c, 3]
                s = look[5]
                fine = value_noise(rx * s + offset, ry * s, rz * s)
                coarse = value_noise(rx * 0.35 + offset, ry * 0.35, rz * 0.35)
                tone = 1.0 + look[4] * (0.6 * fine + coarse)
                bump = 0.5 * look[4] * fine
                red = colours[0, 0] * tone * (1.0 + 0.25 * blush)
                green = colours[0, 1] * tone * (1.0 - 0.12 * blush)
                blue = colours[0, 2] * tone * (1.0 - 0.10 * blush)
                k = lips * look[14]
                red += k * (colours[1, 0] - red)
                green += k * (colours[1, 1] - green)
                blue += k * (colours[1, 2] - blue)
                gloss *= 1.0 + 1.5 * lips
                k = 0.0
                if brows > 0.02 or beard * look[7] > 0.02:
                    strand = value_noise(rx * 9.0 + offset, ry * 5.0, rz * 6.0)
                    k = brows * look[8] * (0.75 + 0.5 * strand)
                    k = max(k, beard * look[7] * (0.75 + 0.6 * strand))
                    k = min(max(k, 0.0), 1.0)
                red += k * (colours[2, 0] - red)
                green += k * (colours[2, 1] - green)
                blue += k * (colours[2, 2] - blue)
                gloss *= 1.0 - 0.8 * k
            elif kind == EYE:
                length = 1.0 / (np.sqrt(rx * rx + ry * ry + rz * rz) + 1e-9)
                cosine = rz * length
                red, green, blue = colours[4, 0], colours[4, 1], colours[4, 2]
                if cosine > look[10]:
                    red, green, blue = 0.005, 0.005, 0.006
                elif cosine > look[9]:
                    edge = 0.35 + 0.65 * min(1.0, (cosine - look[9]) * 40.0)
                    fleck = 1.0 + 0.35 * value_noise(rx * 20.0, ry * 20.0, offset)
                    red = colours[3, 0] * edge * fleck
                    green = colours[3, 1] * edge * fleck
                    blue = colours[3, 2] * edge * fleck
                gloss = 0.5
                power = 120.0
            elif kind == TEETH:
                red, green, blue = colours[5, 0], colours[5, 1], colours[5, 2]
                gloss = 0.2
            elif kind == MOUTH:
                red, green, blue = 0.16, 0.045, 0.04
                gloss = 0.1
            elif kind == HAIR:
                angle = np.arctan2(rx, rz - 1.0)
                s = look[11]
                wave = value_noise(rx * 0.3 + offset, ry * 0.3, rz * 0.3)
                stripe = value_noise(angle * s + 2.0 * wave + offset, ry * 0.5 + rz * 0.3, 3.0)
                clump = value_noise(angle * 6.0 + wave + offset, ry * 0.25, 9.0)
                tone = 1.0 + 0.45 * stripe + 0.35 * clump
                bump = 0.25 * stripe + 0.2 * clump
                red = colours[6, 0] * tone
                green = colours[6, 1] * tone
                blue = colours[6, 2] * tone
                gloss = 0.12
                power = 10.0
            else:
                s = look[13]
                pattern = 0.0
                if look[12] < 1.0:
                    pattern = 0.3 * value_noise(rx * s + offset, ry * s, 5.0)
                elif look[12] < 2.0:
                    pattern = 0.5 * np.sign(np.sin(rx * s * 3.0 + offset))
                elif look[12] < 3.0:
                    pattern = 0.5 * np.sign(np.sin(rx * s * 2.0)) * np.sign(np.sin(ry * s * 2.0))
                fold = value_noise(rx * 2.0 + offset, ry * 0.4, 7.0)
                bump = 0.3 * fold
                which = 8 if rz > 0.5 else 7
                tone = 1.0 + (pattern if which == 7 else 0.0) + 0.2 * fold
                red = colours[which, 0] * tone
                green = colours[which, 1] * tone
                blue = colours[which, 2] * tone
                gloss = 0.02
            open_sky = wa * lit[a, lights] + wb * lit[b, lights] + wc * lit[c, lights]
            up = 0.5 + 0.5 * ny
            ambient = (look[0] * up + look[1] * (1.0 - up) + look[2] * nx) * open_sky
            ambient = max(ambient, 0.01) * (1.0 + 0.5 * bump)
            sum_r = ambient * red
            sum_g = ambient * green
            sum_b = ambient * blue
            for i in range(lights):
                shown = wa * lit[a, i] + wb * lit[b, i] + wc * lit[c, i]
                facing = nx * light[i, 0] + ny * light[i, 1] + nz * light[i, 2] + bump
                wrap = look[3]
                soft = max(0.0, (facing + wrap) / (1.0 + wrap))
                warm = max(0.0, (facing + 1.8 * wrap) / (1.0 + 1.8 * wrap))
                hx = light[i, 0]
                hy = light[i, 1]
                hz = light[i, 2] + 1.0
                hn = 1.0 / np.sqrt(hx * hx + hy * hy + hz * hz)
                half = max(0.0, (nx * hx + ny * hy + nz * hz) * hn)
                shine = gloss * half**power
                lr = shown * light[i, 3]
                lg = shown * light[i, 4]
                lb = shown * light[i, 5]
                sum_r += lr * (red * (0.35 * soft + 0.65 * warm) + shine)
                sum_g += lg * (green * soft + shine)
                sum_b += lb * (blue * soft + shine)
            image[y, x, 0] = sum_r
            image[y, x, 1] = sum_g
            image[y, x, 2] = sum_b
