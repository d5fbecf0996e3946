# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Random people in front of random cameras: everything that a synthetic photo shows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from .head_model import HeadModel
from .raster import rasterise, vertex_normals, visible
from .shading import CLOTH, EYE, HAIR, MOUTH, SKIN, TEETH, shade

PHOTO_SIZE = 352
LIGHT_DIRECTIONS = 96
DRAWN_PARTS = {
    "face": SKIN,
    "head_and_neck": SKIN,
    "eye_socket_left": SKIN,
    "eye_socket_right": SKIN,
    "mouth_socket": MOUTH,
    "gums_and_tongue": MOUTH,
    "teeth": TEETH,
    "eyeball_left": EYE,
    "eyeball_right": EYE,
}


@dataclass(frozen=True)
class Pose:
    """Head and camera of a photo.

    Attributes
    ----------
    rotation : (3, 3) float32
        Model frame to camera frame (x right, y up, z towards the camera).
    scale : float
        Pixels a centimetre in the plane of the head's origin.
    nearness : float
        One over the camera's distance from the head's origin, in centimetres.
    centre : (2,) float32
        Photo pixels of the head's origin.
    """

    rotation: np.ndarray
    scale: float
    nearness: float
    centre: np.ndarray

    def project(self, vertices: np.ndarray) -> np.ndarray:
        """Photo pixels and depth of points.

        Parameters
        ----------
        vertices : (V, 3) float32
            Centimetres, model frame.

        Returns
        -------
        (V, 3) float32
            x right, y down, depth away from the camera in the same pixels, 0 at the head's origin.
        """
        return self.screen(vertices @ self.rotation.T)

    def screen(self, camera: np.ndarray) -> np.ndarray:
        """Do as ``project``, from points (V, 3) in the camera frame, centimetres."""
        near = self.scale / np.maximum(1.0 - camera[:, 2] * self.nearness, 0.05)
        out = np.empty_like(camera)
        out[:, 0] = self.centre[0] + near * camera[:, 0]
        out[:, 1] = self.centre[1] - near * camera[:, 1]
        out[:, 2] = -self.scale * camera[:, 2]
        return out


@dataclass(frozen=True)
class Shot:
    """One synthetic photo and what is true of it.

    Attributes
    ----------
    image : (352, 352, 3) uint8
        RGB.
    coefficients : (K,) float32
        Weights of the head model's modes.
    pose : Pose
    shown : (N,) bool
        Which of the asked vertices the head does not hide from the camera itself.
    index, bary : (352, 352) int32, (352, 352, 2) float32
        Triangle of the studio's head under each pixel, -1 where something else is; its weights.
    """

    image: np.ndarray
    coefficients: np.ndarray
    pose: Pose
    shown: np.ndarray
    index: np.ndarray
    bary: np.ndarray


def _smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    s = np.clip((x - low) / (high - low), 0.0, 1.0)
    return s * s * (3.0 - 2.0 * s)


def _distance_to_line(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    best = np.full(len(points), np.inf)
    for a, b in itertools.pairwise(line):
        d = b - a
        s = np.clip((points - a) @ d / (d @ d), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - a - s[:, None] * d, axis=1))
    return best


def _from_srgb(colour: np.ndarray) -> np.ndarray:
    return (colour / 255.0) ** 2.2


# sRGB of skin from very light to very dark; between these, colours are blended.
SKIN_TONES = np.array(
    [
        (250, 222, 204),
        (240, 200, 175),
        (224, 172, 140),
        (198, 142, 105),
        (150, 100, 68),
        (105, 66, 44),
        (66, 42, 30),
    ],
    dtype=np.float32,
)
HAIR_TONES = np.array(
    [
        (18, 14, 12),
        (45, 30, 22),
        (80, 52, 34),
        (128, 88, 52),
        (190, 150, 95),
        (150, 75, 40),
        (140, 138, 135),
        (225, 222, 218),
    ],
    dtype=np.float32,
)
IRIS_TONES = np.array(
    [(70, 42, 22), (45, 28, 16), (100, 75, 40), (85, 110, 90), (90, 125, 160), (110, 120, 125)],
    dtype=np.float32,
)


class Studio:
    """Takes random photos of random heads.

    Parameters
    ----------
    model : HeadModel
    asked : (N,) int
        Vertices whose visibility each shot reports.
    """

    def __init__(self, model: HeadModel, asked: np.ndarray) -> None:
        self.model = model
        self.asked = asked
        parts = [(model.part_triangles[name], kind) for name, kind in DRAWN_PARTS.items()]
        self.head_triangles = np.concatenate([t for t, _ in parts])
        self.head_material = np.concatenate(
            [np.full(len(t), kind, dtype=np.uint8) for t, kind in parts]
        )
        self.skin_end = model.parts["head_and_neck"][1]
        skin = [model.part_triangles["face"], model.part_triangles["head_and_neck"]]
        self.skin_triangles = np.concatenate(skin)
        self._paint_masks()
        self._cast_shadows()
        self.neutral_rest = self._rest_positions()
        names = model.expression_names
        self.expression = {n: model.identities + i for i, n in enumerate(names)}

    def _paint_masks(self) -> None:
        v = self.model.neutral[: self.skin_end]
        landmarks = self.model.neutral[self.model.landmarks]
        masks = np.zeros((len(self.model.neutral), 4), dtype=np.float32)
        outer = landmarks[48:60, :2].astype(np.float32).reshape(-1, 1, 2)
        front = v[:, 2] > 8.5
        inside = np.array(
            [cv2.pointPolygonTest(outer, (float(x), float(y)), True) for x, y, _ in v]
        )
        masks[: self.skin_end, 0] = _smoothstep(inside, -0.12, 0.18) * front
        brow = np.minimum(
            _distance_to_line(v, landmarks[17:22]), _distance_to_line(v, landmarks[22:27])
        )
        masks[: self.skin_end, 1] = 1.0 - _smoothstep(brow, 0.2, 0.6)
        below = _smoothstep(-v[:, 1], 0.9, 1.6) * _smoothstep(v[:, 1], -10.5, -8.5)
        cheek = _smoothstep(-v[:, 1] + 0.35 * (7.0 - np.abs(v[:, 0])), 0.5, 2.5)
        side = _smoothstep(v[:, 2], -0.5, 2.0)
        masks[: self.skin_end, 2] = below * cheek * side * (1.0 - masks[: self.skin_end, 0])
        for x in (-4.6, 4.6):
            d = np.linalg.norm(v - np.array([x, 0.3, 9.0]), axis=1)
            masks[: self.skin_end, 3] += np.exp(-((d / 2.2) ** 2))
        nose = np.linalg.norm(v - landmarks[30], axis=1)
        masks[: self.skin_end, 3] += 0.8 * np.exp(-((nose / 1.2) ** 2))
        self.masks = masks
        z = v[:, 2]
        stops = [-9.0, -3.0, -1.0, 1.0, 3.0, 5.0, 7.0, 9.0, 14.0]
        line = np.interp(z, stops, [-5.0, -3.5, 2.5, 5.0, 5.6, 7.0, 8.8, 9.7, 9.7])
        self.scalp = (v[:, 1] - line).astype(np.float32)
        ear = (np.abs(v[:, 0]) > 7.3) & (v[:, 1] < 5.4) & (z > -3.5)
        self.scalp[ear] = -6.0

    def _cast_shadows(self) -> None:
        """Which of many directions see each vertex of the neutral head: soft shadows for free."""
        i = np.arange(LIGHT_DIRECTIONS) + 0.5
        polar = np.arccos(1.0 - 2.0 * i / LIGHT_DIRECTIONS)
        azimuth = np.pi * (1.0 + 5.0**0.5) * i
        self.directions = np.stack(
            [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)],
            axis=1,
        ).astype(np.float32)
        v = self.model.neutral
        self.seen = np.zeros((LIGHT_DIRECTIONS, len(v)), dtype=np.float32)
        everything = np.arange(len(v))
        for k, d in enumerate(self.directions):
            side = np.cross(d, (0.0, 1.0, 0.01))
            side /= np.linalg.norm(side)
            top = np.cross(d, side)
            screen = np.stack([160 + 7 * (v @ side), 160 + 7 * (v @ top), -7 * (v @ d)], axis=1)
            screen = screen.astype(np.float32)
            depth = np.full((320, 320), 1e9, dtype=np.float32)
            index = np.empty((320, 320), dtype=np.int32)
            bary = np.empty((320, 320, 2), dtype=np.float32)
            rasterise(screen, self.head_triangles, 0, depth, index, bary)
            self.seen[k] = visible(screen, everything, depth, 2.5)
        self.open_sky = self.seen.mean(0) * 2.0
        self.open_sky = np.clip(self.open_sky, 0.08, 1.0)

    def _rest_positions(self) -> np.ndarray:
        rest = self.model.neutral.copy()
        for side in ("left", "right"):
            a, b = self.model.parts[f"eyeball_{side}"]
            rest[a:b] -= rest[a:b].mean(0)
        return rest

    def coefficients(self, rng: np.random.Generator) -> np.ndarray:
        """Weights (K,) float32 of a random head's modes."""
        out = np.zeros(len(self.model.modes), dtype=np.float32)
        n = self.model.identities
        out[:n] = np.clip(rng.standard_normal(n) * rng.choice([0.9, 1.15]), -2.8, 2.8)
        e = self.expression

        def both(name: str, value: float) -> None:
            left, right = np.clip(value * rng.uniform(0.8, 1.2, 2), 0.0, 1.1)
            out[e[name + "_L"]] += left
            out[e[name + "_R"]] += right

        kind = rng.choice(5, p=[0.25, 0.3, 0.15, 0.15, 0.15])
        if kind == 1:
            smile = rng.uniform(0.2, 1.0)
            both("mouthSmile", smile)
            both("cheekSquint", smile * rng.uniform(0.0, 0.8))
            both("eyeSquint", smile * rng.uniform(0.0, 0.7))
            if rng.random() < 0.65:
                both("mouthUpperUp", rng.uniform(0.0, 0.6))
                both("mouthLowerDown", rng.uniform(0.0, 0.6))
                out[e["jawOpen"]] = rng.uniform(0.0, 0.25)
        elif kind == 2:
            out[e["jawOpen"]] = rng.beta(1.2, 2.0)
            both("mouthStretch", rng.uniform(0.0, 0.5))
            both("browInnerUp", rng.uniform(0.0, 0.8))
        elif kind == 3:
            both("browDown", rng.uniform(0.0, 1.0))
            both("mouthFrown", rng.uniform(0.0, 0.8))
            both("noseSneer", rng.uniform(0.0, 0.6))
            both("mouthPress", rng.uniform(0.0, 0.6))
        elif kind == 4:
            names = [n for n in e if not n.startswith(("PupilDilate", "jawOpen", "eyeLook"))]
            for name in rng.choice(names, 5, replace=False):
                out[e[name]] += rng.beta(1.0, 2.0) * (0.4 if name == "mouthClose" else 0.9)
        both("eyeBlink", rng.choice([0.0, rng.uniform(0.0, 0.35), 1.0], p=[0.4, 0.52, 0.08]))
        both("browOuterUp", max(0.0, rng.normal(0.0, 0.25)))
        return out

    def pose(self, rng: np.random.Generator, wide: bool = True) -> Pose:
        """Random head pose and camera; ``wide`` also asks for profiles."""
        spread = rng.random()
        if not wide:
            yaw = rng.uniform(-15.0, 15.0)
        elif spread < 0.45:
            yaw = rng.normal(0.0, 16.0)
        elif spread < 0.85:
            yaw = rng.uniform(-60.0, 60.0)
        else:
            yaw = rng.choice([-1, 1]) * rng.uniform(50.0, 92.0)
        pitch = rng.normal(0.0, 11.0)
        roll = rng.normal(0.0, 9.0)
        turn = Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True)
        distance = np.exp(rng.uniform(np.log(38.0), np.log(400.0)))
        scale = 8.0 * np.exp(rng.uniform(-0.28, 0.2))
        middle = np.array([PHOTO_SIZE / 2, PHOTO_SIZE / 2 + 4.0])
        return Pose(
            rotation=turn.as_matrix().astype(np.float32),
            scale=float(scale),
            nearness=float(1.0 / distance),
            centre=(middle + rng.uniform(-18.0, 18.0, 2)).astype(np.float32),
        )

    def shoot(
        self, rng: np.random.Generator, *, wide: bool = True, pose: Pose | None = None
    ) -> Shot:
        """Take a random photo.

        Parameters
        ----------
        rng : numpy.random.Generator
            Everything that is random comes from it.
        wide : bool
            Whether profiles are asked for too.
        pose : Pose, optional
            Head pose and camera to use instead of random ones.

        Returns
        -------
        Shot
        """
        coefficients = self.coefficients(rng)
        pose = pose or self.pose(rng, wide)
        vertices = self.model.shape(coefficients)
        camera = vertices @ pose.rotation.T
        screen = pose.screen(camera)
        normals = vertex_normals(vertices, self.head_triangles) @ pose.rotation.T
        size = (PHOTO_SIZE, PHOTO_SIZE)
        depth = np.full(size, 1e9, dtype=np.float32)
        index = np.full(size, -1, dtype=np.int32)
        bary = np.zeros((*size, 2), dtype=np.float32)
        rasterise(screen, self.head_triangles, 0, depth, index, bary)
        shown = visible(screen, self.asked, depth, 0.25 * pose.scale)

        rest = self._gaze(rng)
        tones, look = self._looks(rng)
        light, lit = self._lights(rng, pose)
        drawn = [(self.head_triangles, self.head_material)]
        points, normal_list, rests, lits = [screen], [normals], [rest], [lit]
        count = len(screen)
        for extra_camera, extra_triangles, extra_rest, kind, inward in self._extras(
            rng, vertices, pose
        ):
            triangles = extra_triangles + count
            extra_screen = pose.screen(extra_camera)
            rasterise(
                extra_screen, extra_triangles, sum(len(t) for t, _ in drawn), depth, index, bary
            )
            normal_list.append(inward * vertex_normals(extra_camera, extra_triangles))
            points.append(extra_screen)
            rests.append(extra_rest)
            lits.append(np.full((len(extra_camera), len(light) + 1), 0.85, dtype=np.float32))
            drawn.append((triangles, np.full(len(triangles), kind, dtype=np.uint8)))
            count += len(extra_camera)
        masks = np.zeros((count, 4), dtype=np.float32)
        masks[: len(self.masks)] = self.masks

        image = self._background(rng)
        shade(
            image,
            index,
            bary,
            np.concatenate([t for t, _ in drawn]),
            np.concatenate([m for _, m in drawn]),
            np.concatenate(normal_list).astype(np.float32),
            np.concatenate(rests).astype(np.float32),
            masks,
            light,
            np.concatenate(lits).astype(np.float32),
            look,
            tones,
        )
        picture = np.clip(image * np.exp(rng.normal(0.0, 0.22)), 0.0, None)
        picture = picture / (1.0 + 0.25 * picture) * 1.2
        picture = np.clip(picture, 0.0, 1.0) ** np.float32(1 / 2.2)
        if rng.random() < 0.22:
            self._glasses(rng, picture, vertices, pose)
        if rng.random() < 0.12:
            self._occluder(rng, picture, pose, tones[0])
        head_only = np.where(index < len(self.head_triangles), index, -1)
        return Shot(
            image=self._camera_faults(rng, picture),
            coefficients=coefficients,
            pose=pose,
            shown=shown,
            index=head_only,
            bary=bary,
        )

    def _gaze(self, rng: np.random.Generator) -> np.ndarray:
        rest = self.neutral_rest.copy()
        look = rng.normal(0.0, 12.0, 2)
        turn = Rotation.from_euler("XY", [-look[0], -look[1]], degrees=True).as_matrix()
        for side in ("left", "right"):
            a, b = self.model.parts[f"eyeball_{side}"]
            rest[a:b] = rest[a:b] @ turn.T.astype(np.float32)
        return rest

    def _looks(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        tone = rng.uniform(0.0, len(SKIN_TONES) - 1.001)
        low = int(tone)
        skin = SKIN_TONES[low] * (1 - tone + low) + SKIN_TONES[low + 1] * (tone - low)
        skin = _from_srgb(np.clip(skin + rng.normal(0.0, 6.0, 3), 15, 255))
        lips = skin * np.array([0.95, 0.55, 0.55]) + np.array([0.02, 0.0, 0.0])
        if rng.random() < 0.2:
            lips = _from_srgb(rng.uniform([120, 10, 20], [230, 90, 110]))
        choices = [0.28, 0.22, 0.14, 0.1, 0.08, 0.05, 0.07, 0.06]
        hair = _from_srgb(HAIR_TONES[rng.choice(len(HAIR_TONES), p=choices)])
        hair = hair * np.exp(rng.normal(0.0, 0.2, 3))
        brow = hair * rng.uniform(0.5, 1.1)
        iris = _from_srgb(IRIS_TONES[rng.integers(len(IRIS_TONES))]) * rng.uniform(0.6, 1.4)
        sclera = np.array([0.62, 0.58, 0.56]) * rng.uniform(0.6, 1.1)
        teeth = np.array([0.62, 0.57, 0.48]) * rng.uniform(0.6, 1.15)
        cloth = _from_srgb(rng.uniform(10, 250, 3 if rng.random() < 0.6 else 1))
        shirt = _from_srgb(np.full(3, rng.uniform(150, 250)) + rng.normal(0.0, 10.0, 3).clip(-9, 5))
        tones = [skin, lips, brow, iris, sclera, teeth, hair, np.broadcast_to(cloth, 3), shirt]
        beard = rng.choice([0.0, rng.uniform(0.1, 0.45), rng.uniform(0.5, 1.2)], p=[0.6, 0.2, 0.2])
        look = np.array(
            [
                rng.uniform(0.15, 0.7),
                rng.uniform(0.05, 0.5),
                rng.uniform(-0.2, 0.2),
                rng.uniform(0.05, 0.4),
                rng.uniform(0.01, 0.12),
                np.exp(rng.uniform(0.3, 2.0)),
                rng.uniform(0.02, 0.3),
                beard,
                rng.uniform(0.3, 1.2),
                np.cos(np.radians(rng.uniform(27.0, 32.0))),
                np.cos(np.radians(rng.uniform(8.0, 15.0))),
                np.exp(rng.uniform(2.5, 4.4)),
                rng.integers(0, 5),
                rng.uniform(0.3, 1.6),
                rng.uniform(0.3, 0.95),
                rng.uniform(0.0, 300.0),
            ],
            dtype=np.float32,
        )
        return np.stack(tones).astype(np.float32), look

    def _lights(self, rng: np.random.Generator, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        count = rng.integers(1, 4)
        light = np.empty((count, 6), dtype=np.float32)
        lit = np.empty((len(self.model.neutral), count + 1), dtype=np.float32)
        for i in range(count):
            d = rng.normal(0.0, 1.0, 3) + np.array([0.0, 0.7, 1.1])
            d /= np.linalg.norm(d)
            power = rng.uniform(0.4, 1.1) / (1.0 + 0.6 * i)
            light[i, :3] = d
            light[i, 3:] = power * np.exp(rng.normal(0.0, 0.08, 3))
            near = np.argsort(-(self.directions @ (d @ pose.rotation)))[: rng.integers(2, 6)]
            lit[:, i] = self.seen[near].mean(0)
        lit[:, count] = self.open_sky
        return light, lit

    def _extras(
        self, rng: np.random.Generator, vertices: np.ndarray, pose: Pose
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, int, float]]:
        """Hair and clothes: camera-frame vertices, triangles, texture places, material, side."""
        extras = []
        skin = vertices[: self.skin_end]
        rest = self.model.neutral[: self.skin_end]
        style = rng.choice(
            ["bald", "painted", "short", "full", "long"], p=[0.07, 0.1, 0.3, 0.3, 0.23]
        )
        if style != "bald":
            thickness = {"painted": 0.15, "short": 0.9, "full": 2.6, "long": 1.8}[style]
            thickness *= np.exp(rng.normal(0.0, 0.35))
            fringe = rng.normal(0.0, 0.5) - (rng.uniform(0.0, 4.5) if rng.random() < 0.3 else 0.0)
            waves = rng.normal(0.0, 0.55, (5, 3)).astype(np.float32)
            lumps = np.sin(rest @ waves.T + rng.uniform(0.0, 6.3, 5)).mean(1)
            front = _smoothstep(rest[:, 2], 2.0, 7.0)
            parting = 0.9 * np.sin(rest[:, 0] * rng.uniform(0.1, 0.5) + rng.uniform(0, 6.3)) * front
            field = self.scalp - fringe * front + 0.8 * lumps + parting
            grow = _smoothstep(field, -0.1, 2.2)
            offset = grow * thickness * (1.0 + 0.45 * lumps)
            offset *= 1.0 + rng.uniform(-0.3, 0.6) * _smoothstep(rest[:, 1], 6.0, 14.0)
            normals = vertex_normals(skin, self.skin_triangles)
            shell = skin + normals * (offset + 0.05)[:, None]
            keep = (field[self.skin_triangles] > -0.1).all(1)
            extras.append((shell @ pose.rotation.T, self.skin_triangles[keep], rest, HAIR, 1.0))
        if style == "long":
            extras.append(self._curtain(rng, skin, pose))
        if rng.random() < 0.92:
            extras.append(self._clothes(rng, vertices, pose))
        return extras

    def _tube(self, rings: np.ndarray, closed: bool) -> np.ndarray:
        rows, columns = rings
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1))
        a = (i * columns + j).ravel()
        b = (i * columns + (j + 1) % columns).ravel()
        lower = np.stack([a, a + columns, b], axis=1)
        upper = np.stack([b, a + columns, b + columns], axis=1)
        return np.concatenate([lower, upper]).astype(np.int32)

    def _curtain(
        self, rng: np.random.Generator, skin: np.ndarray, pose: Pose
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, float]:
        """Hair that falls round the back and the sides of the head."""
        rows, columns = 22, 40
        opening = np.radians(rng.uniform(48.0, 100.0))
        angle = np.linspace(opening, 2 * np.pi - opening, columns)
        top, bottom = 13.5, rng.uniform(-20.0, -3.0)
        heights = np.linspace(top, bottom, rows)
        thick = rng.uniform(0.4, 2.6)
        scale = np.ptp(skin[:, 0]) / np.ptp(self.model.neutral[: self.skin_end, 0])
        dome = np.sqrt(np.clip(1.0 - ((heights - 3.0) / (12.0 + thick)) ** 2, 0.02, 1.0))
        dome = np.where(heights < 3.0, 1.0 + rng.uniform(-0.02, 0.02) * (3.0 - heights), dome)
        waves = 0.35 * np.sin(
            angle[None] * rng.integers(6, 16) + heights[:, None] * rng.normal(0, 0.5)
        )
        rx = (8.4 * scale + thick) * dome[:, None] + waves
        rz = (9.6 + thick) * dome[:, None] + waves
        x = rx * np.sin(angle)
        z = 1.0 + rz * np.cos(angle)
        y = np.broadcast_to(heights[:, None], x.shape)
        points = np.stack([x, y, z], axis=2).reshape(-1, 3).astype(np.float32)
        triangles = self._tube(np.array([rows, columns]), closed=False)
        return points @ pose.rotation.T, triangles, points, HAIR, 1.0

    def _clothes(
        self, rng: np.random.Generator, vertices: np.ndarray, pose: Pose
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int, float]:
        """Shoulders and a collar that do not quite follow the head's turn."""
        rows, columns = 14, 48
        angle = np.linspace(0.0, 2 * np.pi, columns, endpoint=False)
        collar = rng.uniform(-15.5, -9.0)
        down = np.linspace(0.0, 1.0, rows) ** 0.9
        heights = collar + (-30.0 - collar) * down
        neck = rng.uniform(6.0, 8.2)
        spread = _smoothstep(down, rng.uniform(0.0, 0.3), rng.uniform(0.5, 0.9))
        rx = neck + spread * rng.uniform(13.0, 19.0)
        rz = neck * 0.95 + spread * rng.uniform(3.0, 7.0)
        dip = rng.uniform(0.0, 4.0) * np.cos(angle) * (1.0 - down[:, None])
        wrinkle = 0.25 * np.sin(angle * rng.integers(5, 13) + down[:, None] * 9.0)
        x = rx[:, None] * np.sin(angle) + wrinkle
        z = -1.8 + rz[:, None] * np.cos(angle) + wrinkle
        y = heights[:, None] - dip
        points = np.stack([x, y, z], axis=2).reshape(-1, 3).astype(np.float32)
        share = rng.uniform(0.2, 1.0)
        turn = Rotation.from_matrix(pose.rotation.astype(np.float64))
        body = Rotation.from_rotvec(turn.as_rotvec() * share).as_matrix().astype(np.float32)
        pivot = np.array([0.0, -11.0, -1.5], dtype=np.float32)
        pivot_camera = pivot @ pose.rotation.T
        camera = (points - pivot) @ body.T + pivot_camera
        opening = rng.uniform(0.05, 0.6) if rng.random() < 0.5 else 0.0
        lapel = np.abs((angle + np.pi) % (2 * np.pi) - np.pi)[None] < opening * (
            1.0 - down[:, None]
        )
        tie = np.abs((angle + np.pi) % (2 * np.pi) - np.pi) < rng.uniform(0.05, 0.12)
        wears = rng.random() < 0.5
        second = (lapel & ~(tie[None] & wears)).astype(np.float32)
        rest = np.stack([np.broadcast_to(angle * 6.0, x.shape), y, second], axis=2).reshape(-1, 3)
        return camera, self._tube(np.array([rows, columns]), closed=True), rest, CLOTH, 1.0

    def _background(self, rng: np.random.Generator) -> np.ndarray:
        n = PHOTO_SIZE
        kind = rng.choice(4, p=[0.2, 0.35, 0.25, 0.2])
        base = _from_srgb(rng.uniform(5, 250, 3))
        if kind == 0:
            other = base * np.exp(rng.normal(0.0, 0.4))
            ramp = np.linspace(0, 1, n, dtype=np.float32)[:, None, None]
            image = base * ramp + other * (1 - ramp)
            return np.broadcast_to(image, (n, n, 3)).astype(np.float32).copy()
        image = np.zeros((n, n, 3), dtype=np.float32) + base
        weight = 1.0
        for cells in (3, 7, 17, 41):
            layer = rng.uniform(-1.0, 1.0, (cells, cells, 3)).astype(np.float32)
            layer = 0.5 * layer + 0.5 * layer.mean(2, keepdims=True)
            image += weight * 0.45 * cv2.resize(layer, (n, n), interpolation=cv2.INTER_CUBIC)
            weight *= rng.uniform(0.3, 0.9)
        if kind >= 2:
            for _ in range(rng.integers(4, 22)):
                colour = [float(c) for c in _from_srgb(rng.uniform(5, 255, 3))]
                x, y, w, h = rng.uniform(-40, n), rng.uniform(-40, n), *rng.uniform(8, 170, 2)
                if rng.random() < 0.6:
                    cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
                else:
                    cv2.circle(image, (int(x), int(y)), int(w / 2), colour, -1)
        if kind == 3:
            period = rng.uniform(8.0, 60.0)
            stripe = np.sin(np.arange(n) * 2 * np.pi / period + rng.uniform(0, 6)).astype(
                np.float32
            )
            image *= (1.0 + 0.4 * stripe)[None, :, None]
        sigma = rng.choice([0.6, rng.uniform(1.0, 8.0)])
        return np.clip(cv2.GaussianBlur(image, (0, 0), float(sigma)), 0.0, 1.5)

    def _glasses(
        self, rng: np.random.Generator, picture: np.ndarray, vertices: np.ndarray, pose: Pose
    ) -> None:
        landmarks = vertices[self.model.landmarks]
        a, b = rng.uniform(2.3, 3.1), rng.uniform(1.6, 2.5)
        power = rng.uniform(0.5, 1.0)
        angle = np.linspace(0.0, 2 * np.pi, 40)
        colour = [
            float(c) for c in (rng.uniform(0, 0.25, 3) if rng.random() < 0.8 else rng.random(3))
        ]
        thickness = int(rng.integers(1, 5))
        forward = rng.uniform(1.6, 2.4)
        lines = []
        dark = rng.random() < 0.2
        tint = rng.uniform(0.5, 0.95) if dark else rng.uniform(0.0, 0.18)
        shade_of = rng.uniform(0.0, 0.2, 3) if dark else rng.uniform(0.5, 1.0, 3)
        facing = pose.rotation[2, 2]
        for corners in (landmarks[36:42], landmarks[42:48]):
            centre = corners.mean(0) + np.array([0.0, -0.2, forward])
            rim = np.stack(
                [
                    centre[0] * 1.04 + a * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power,
                    centre[1] + b * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power,
                    centre[2] - 0.03 * (centre[0] + a * np.cos(angle)) ** 2 + 0.2,
                ],
                axis=1,
            ).astype(np.float32)
            flat = pose.project(rim)[:, :2]
            lines.append(flat)
            if tint > 0.02 and facing > 0.2:
                lens = picture.copy()
                cv2.fillPoly(
                    lens, [np.int32(flat * 8)], [float(c) for c in shade_of], cv2.LINE_AA, 3
                )
                picture[:] = picture * (1 - tint) + lens * tint
            side = np.sign(centre[0])
            toward = pose.rotation[2, 0] * side
            if toward > -0.15:
                hinge = np.array([centre[0] * 1.04 + side * a, centre[1] + 0.6, centre[2] - 0.8])
                ear = np.array([side * 7.9, centre[1] + 0.4, 0.5])
                lines.append(pose.project(np.stack([hinge, ear]).astype(np.float32))[:, :2])
        bridge = np.stack([lines[0].mean(0), lines[-1].mean(0)]) if facing > 0.5 else None
        if bridge is not None:
            nose = pose.project(
                (landmarks[27] + np.array([[-0.9, 0.2, 0.5], [0.9, 0.2, 0.5]])).astype(np.float32)
            )[:, :2]
            lines.append(nose)
        for line in lines:
            cv2.polylines(picture, [np.int32(line * 8)], False, colour, thickness, cv2.LINE_AA, 3)

    def _occluder(
        self, rng: np.random.Generator, picture: np.ndarray, pose: Pose, skin: np.ndarray
    ) -> None:
        """Draw a hand, a cup or a piece of cloth in front of a part of the head."""
        n = int(rng.integers(5, 11))
        angle = np.sort(rng.uniform(0, 2 * np.pi, n))
        radius = rng.uniform(2.0, 6.0) * pose.scale * rng.uniform(0.5, 1.0, n)
        away = rng.uniform(-11.0, 11.0, 2) * pose.scale
        blob = pose.centre + away + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
        mask = np.zeros(picture.shape[:2], dtype=np.float32)
        cv2.fillPoly(mask, [np.int32(blob * 8)], 1.0, cv2.LINE_AA, 3)
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.7, 4.0)))
        mask = np.clip(mask * 2.0 - 0.5, 0.0, 1.0)[..., None]
        colour = skin ** (1 / 2.2) if rng.random() < 0.5 else rng.random(3)
        ramp = np.linspace(-1, 1, picture.shape[1], dtype=np.float32)[None, :, None]
        paint = colour * rng.uniform(0.7, 1.0) * (1.0 + rng.uniform(-0.3, 0.3) * ramp)
        picture[:] = picture * (1 - mask) + paint.astype(np.float32) * mask

    def _camera_faults(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        picture = picture.astype(np.float32)
        if rng.random() < 0.6:
            sigma = float(np.exp(rng.uniform(np.log(0.35), np.log(2.2))))
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
        if rng.random() < 0.6:
            grain = rng.standard_normal((PHOTO_SIZE // 2, PHOTO_SIZE // 2, 3), dtype=np.float32)
            grain = (
                cv2.resize(grain, (PHOTO_SIZE, PHOTO_SIZE))
                if rng.random() < 0.5
                else np.kron(grain, np.ones((2, 2, 1), dtype=np.float32))
            )
            picture = picture + grain * rng.uniform(0.0, 0.05)
        picture = (picture - 0.5) * rng.uniform(0.8, 1.15) + 0.5 + rng.uniform(-0.06, 0.06)
        if rng.random() < 0.07:
            picture = np.repeat(picture.mean(2, keepdims=True), 3, axis=2)
        return np.clip(picture * 255.0 + 0.5, 0, 255).astype(np.uint8)
