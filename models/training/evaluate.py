# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Measure the network that ships, and what it has to beat, on heads that were never trained on.

    python -m models.training.evaluate --heads 300 --json evaluation.json

A third of the photos shows heads turned by 0 to 30 degrees, a third by 30 to 60, a third by 60 to
90. The systems:

guided
    As the add-on runs the network, from MediaPipe's landmarks, before the fit to them.
fitted
    The same, and its surface fitted to the landmarks: what the add-on makes.
unguided
    The same crop without the landmarks; where MediaPipe found no face, from a box round it.
multitask
    The unguided network's own landmarks crop and guide a second pass.
mean_head, mediapipe, landmark_fit
    See ``baselines``.

They are compared where MediaPipe found the face. On all photos, the network also runs from a box,
as the add-on does when the user draws one: unguided, and again with its own landmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from vrn_blender.reconstruction.crop import CROP_SIZE, VOLUME_DEPTH, Crop, crop_box, crop_face
from vrn_blender.reconstruction.errors import EmptyVolumeError, NoFaceError, ReconstructionError
from vrn_blender.reconstruction.fit import fit_to_landmarks
from vrn_blender.reconstruction.guidance import no_guidance
from vrn_blender.reconstruction.landmarks import Detector, Face, open_detector, require_faces
from vrn_blender.reconstruction.model_file import MODEL
from vrn_blender.reconstruction.multitask import (
    predict_face,
    predict_from_box,
    predict_from_landmarks,
)
from vrn_blender.reconstruction.network import Network, Prediction
from vrn_blender.reconstruction.photo import Photo, photo_from_array
from vrn_blender.reconstruction.surface import extract_surface

from .baselines import FITS, Baselines, Fit
from .decoder import SLOPE
from .head_model import DEFAULT_MODEL, HeadModel, load_head_model
from .measures import Truth, landmark_errors, measure, overlap
from .pictures import SHEET_ROWS, Row, draw_curves, draw_sheet, write_whole
from .raster import occupancy, vertex_normals
from .studio import Pose, Shot, Studio
from .synthesise import MODEL_MIDDLE, mean_points

BANDS = {"0-30": (0.0, 30.0), "30-60": (30.0, 60.0), "60-90": (60.0, 90.0)}
SYSTEMS = ("guided", "fitted", "unguided", "multitask", "mean_head", "mediapipe", "landmark_fit")
FROM_BOX = "from_box"
TWO_ERRORS = ("image", "icp")
MEASURES = (*TWO_ERRORS, "normals", "iou", "landmarks_2d", "landmarks_3d")

# Training draws its heads from [number of the shard, 7].
HELD_OUT, TUNING = 90_000_000, 91_000_000
TUNING_HEADS = 9

# The narrow face area of ICT-FaceKit's README.
NARROW_FACE = 6706

# Share of all directions that must see a place of the neutral face. Less is the inside of mouth,
# nostrils and eyelids.
OPEN = 0.12

# The face is measured at vertices this far apart, in centimetres: lips and eyelids have ten times
# as many of them as cheeks.
SPACING = 0.4

# A user's box, and a face detector's, is this unsure, as a share of its size.
BOX_JITTER = 0.05

# The overlap of solids counts above a plane that lies this far below the chin, in centimetres.
BELOW_CHIN = 1.0

# MediaPipe must have found this face and no other: pixels of the photo.
SAME_FACE = 30.0


@dataclass(frozen=True)
class Outcome:
    """What a system makes of a photo.

    Everything is in the photo frame, pixels, but for depth, which counts from the head's middle.

    Attributes
    ----------
    vertices : (V, 3) float
    triangles : (T, 3) int
    landmarks : (68, 3) float or None
    crop : Crop
        Of the volume that the solid fills.
    solid : (100, 96, 96) bool or None
        Every second voxel of it.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    landmarks: np.ndarray | None = None
    crop: Crop | None = None
    solid: np.ndarray | None = None


@dataclass(frozen=True)
class Result:
    """All measures of one photo.

    Attributes
    ----------
    band : str
    found : bool
        Whether MediaPipe found the face.
    measures : dict of str to dict of str to float
        By system or ``FROM_BOX``, then by measure; a system that made nothing is left out.
    """

    band: str
    found: bool
    measures: dict[str, dict[str, float]]


class Evaluation:
    """Takes held-out photos and lets every system try.

    Parameters
    ----------
    model : HeadModel
    network : Network
    detector : Detector
    """

    def __init__(self, model: HeadModel, network: Network, detector: Detector) -> None:
        self.model = model
        self.network = network
        self.detector = detector
        studio = Studio(model, np.arange(0))
        openness = studio.seen.mean(0)
        self.baselines = Baselines(model, openness > 0.0)
        self.face = face_vertices(model, openness, self.baselines)
        studio.asked = self.face
        self.studio = studio
        self.fit = FITS[0]

    def shoot(self, rng: np.random.Generator, band: tuple[float, float]) -> Shot:
        """Take a photo whose yaw lies in a band, degrees."""
        while True:
            pose = self.studio.pose(rng)
            yaw = abs(Rotation.from_matrix(pose.rotation).as_euler("ZXY", degrees=True)[2])
            if band[0] <= yaw < band[1]:
                return self.studio.shoot(rng, pose=pose)

    def truth(self, shot: Shot) -> tuple[Truth, np.ndarray]:
        """Give what is true of a photo, and the vertices (V, 3) of its head."""
        vertices = shot.pose.project(self.model.shape(shot.coefficients))
        vertices[:, 2] += shot.pose.scale * float(shot.pose.rotation[2] @ MODEL_MIDDLE)
        seen = self.face[shot.shown]
        normals = vertex_normals(vertices, self.model.closed)[seen]
        points = vertices[seen].astype(np.float64)
        return Truth(points, normals, vertices[self.model.landmarks].astype(np.float64)), vertices

    def tune(self) -> None:
        """Choose the landmark fit's weights on photos of their own."""
        errors: dict[Fit, list[float]] = {fit: [] for fit in FITS}
        for i, band in zip(range(TUNING_HEADS), list(BANDS.values()) * TUNING_HEADS, strict=False):
            shot = self.shoot(np.random.default_rng([TUNING + i]), band)
            photo = photo_from_array(shot.image, "tuning")
            face = self.find(photo, shot.pose)
            if face is None:
                continue
            points = centred(face, crop_face(photo, face))
            truth, _ = self.truth(shot)
            for fit in FITS:
                vertices = self.baselines.landmark_fit(points, fit)
                found = measure(vertices, self.baselines.head, truth)
                errors[fit].append(found.image + found.icp)
        self.fit = min(FITS, key=lambda fit: np.mean(errors[fit]))

    def evaluate(self, number: int) -> tuple[Result, Row]:
        """Measure every system on one photo.

        Parameters
        ----------
        number : int
            Of the photo; every third has the same band.

        Returns
        -------
        Result
        Row
            What to draw of it.
        """
        rng = np.random.default_rng([HELD_OUT + number])
        band = list(BANDS)[number % len(BANDS)]
        shot = self.shoot(rng, BANDS[band])
        photo = photo_from_array(shot.image, f"head {number}")
        truth, head = self.truth(shot)
        face = self.find(photo, shot.pose)
        box = self._box(rng, shot)
        outcomes = {FROM_BOX: self._outcome(*predict_from_box(self.network, photo, box))}
        if face is None:
            unguided = self._run(crop_box(photo, box))
        else:
            crop = crop_face(photo, face)
            unguided = self._run(crop)
            outcomes |= self._run_guided(photo, face)
            outcomes |= self._place_baselines(crop, face)
        outcomes["unguided"] = unguided
        if unguided is not None and unguided.landmarks is not None:
            second = predict_from_landmarks(self.network, photo, unguided.landmarks)
            outcomes["multitask"] = self._outcome(*second)
        measures = {
            name: self._measure(outcome, truth, head, shot.pose)
            for name, outcome in outcomes.items()
            if outcome is not None
        }
        made = outcomes.get("guided") or outcomes[FROM_BOX]
        shown = "guided" if outcomes.get("guided") else FROM_BOX
        error = measures[shown]["image"] if shown in measures else float("inf")
        row = Row(
            photo=shot.image,
            vertices=head if made is None else made.vertices,
            triangles=self.model.closed if made is None else made.triangles,
            facing=float(shot.pose.rotation[0, 2]),
            title=f"{band} degrees, {error:.3f}" + ("" if face else ", no landmarks"),
            error=error,
        )
        return Result(band, face is not None, measures), row

    def find(self, photo: Photo, pose: Pose) -> Face | None:
        """Give the face of a photo as MediaPipe finds it; None where it finds none there."""
        try:
            face = require_faces(photo, self.detector)[0]
        except NoFaceError:
            return None
        away = face.points[:, :2].mean(0) - mean_points(pose)[:, :2].mean(0)
        return face if np.abs(away).max() < SAME_FACE else None

    def _box(self, rng: np.random.Generator, shot: Shot) -> tuple[float, float, float, float]:
        under = self.baselines.under_landmarks(self.model.shape(shot.coefficients))
        flat = shot.pose.project(under.astype(np.float32))[:, :2]
        low, high = flat.min(0), flat.max(0)
        jitter = rng.normal(0.0, BOX_JITTER, (2, 2)) * (high - low)
        x0, y0, x1, y1 = np.concatenate([low + jitter[0], high + jitter[1]])
        return float(x0), float(y0), float(x1), float(y1)

    def _run(self, crop: Crop) -> Outcome | None:
        """Run the network once, unguided."""
        return self._outcome(crop, self.network.predict(crop, no_guidance()))

    def _run_guided(self, photo: Photo, face: Face) -> dict[str, Outcome]:
        crop, prediction = predict_face(self.network, photo, face)
        guided = self._outcome(crop, prediction)
        if guided is None:
            return {}
        surface, landmarks = fit_to_landmarks(
            extract_surface(prediction.volume), prediction, face, crop
        )
        to_photo = replace(crop, middle_depth=0.0).to_photo
        fitted = replace(
            guided,
            vertices=to_photo(surface.vertices),
            landmarks=to_photo(landmarks),
            solid=None,
        )
        return {"guided": guided, "fitted": fitted}

    def _outcome(self, crop: Crop, prediction: Prediction) -> Outcome | None:
        crop = replace(crop, middle_depth=0.0)
        try:
            surface = extract_surface(prediction.volume)
        except EmptyVolumeError:
            return None
        return Outcome(
            vertices=crop.to_photo(surface.vertices),
            triangles=surface.faces,
            landmarks=crop.to_photo(prediction.landmarks),
            crop=crop,
            solid=halved(prediction.volume),
        )

    def _place_baselines(self, crop: Crop, face: Face) -> dict[str, Outcome]:
        points = centred(face, crop)
        heads = {
            "mean_head": self.baselines.mean_head(points),
            "landmark_fit": self.baselines.landmark_fit(points, self.fit),
        }
        outcomes = {
            name: Outcome(
                vertices=vertices,
                triangles=self.baselines.head,
                landmarks=vertices[self.model.landmarks],
                crop=crop,
                solid=self._solid(crop, vertices),
            )
            for name, vertices in heads.items()
        }
        return outcomes | {"mediapipe": Outcome(points, self.baselines.mask)}

    def _solid(self, crop: Crop, vertices: np.ndarray) -> np.ndarray:
        half = replace(crop, middle_depth=0.0).to_volume(vertices) / 2
        size = (VOLUME_DEPTH // 2, CROP_SIZE // 2, CROP_SIZE // 2)
        return occupancy(half, self.model.closed, size) > 0.5

    def _measure(
        self, outcome: Outcome, truth: Truth, head: np.ndarray, pose: Pose
    ) -> dict[str, float]:
        errors = measure(outcome.vertices, outcome.triangles, truth)
        measures = asdict(errors)
        if outcome.landmarks is not None:
            flat, deep = landmark_errors(outcome.landmarks, truth)
            measures |= {"landmarks_2d": flat, "landmarks_3d": deep}
        if outcome.solid is not None and outcome.crop is not None:
            chin = truth.landmarks[8]
            where = above_chin(outcome.crop, pose, chin)
            measures["iou"] = overlap(outcome.solid, self._solid(outcome.crop, head), where)
        return measures


def face_vertices(model: HeadModel, openness: np.ndarray, baselines: Baselines) -> np.ndarray:
    """Vertices that the face is measured at: its outside, from chin to brows, evenly spaced.

    Parameters
    ----------
    model : HeadModel
    openness : (V,) float
        Share of all directions that see each vertex.
    baselines : Baselines
        What MediaPipe's mesh does not reach is left out, so that it is not blamed for that.

    Returns
    -------
    (N,) int
    """
    landmarks = model.neutral[model.landmarks]
    low, high = landmarks[8, 1] - 0.3, landmarks[17:27, 1].max() + 0.5
    places = model.neutral[:NARROW_FACE]
    inside = (places[:, 1] > low) & (places[:, 1] < high) & (openness[:NARROW_FACE] > OPEN)
    chosen = np.flatnonzero(inside & baselines.covers(places))
    _, first = np.unique(np.floor(places[chosen] / SPACING), axis=0, return_index=True)
    return chosen[np.sort(first)]


def centred(face: Face, crop: Crop) -> np.ndarray:
    """Landmarks (478, 3) of a face, depth counted from the head's middle."""
    return face.points - np.array([0.0, 0.0, crop.middle_depth], dtype=np.float32)


def halved(volume: np.ndarray) -> np.ndarray:
    """Solid (100, 96, 96) bool at half the resolution of a volume (200, 192, 192) uint8."""
    total = np.zeros([n // 2 for n in volume.shape], dtype=np.uint16)
    for z, y, x in np.ndindex(2, 2, 2):
        total += volume[z::2, y::2, x::2]
    return total > 4 * 255


def above_chin(crop: Crop, pose: Pose, chin: np.ndarray) -> np.ndarray:
    """Which places of a volume lie above the plane through the throat.

    Parameters
    ----------
    crop : Crop
    pose : Pose
    chin : (3,) float
        Photo frame, depth counted from the head's middle.

    Returns
    -------
    (100, 96, 96) bool
        Of every second voxel.
    """
    upwards = pose.rotation @ np.array([0.0, 1.0, -SLOPE])

    def height(x: np.ndarray, y: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Centimetres along ``upwards``."""
        z = float(pose.rotation[2] @ MODEL_MIDDLE) - depth / pose.scale
        near = (1.0 - z * pose.nearness) / pose.scale
        flat = upwards[0] * (x - pose.centre[0]) - upwards[1] * (y - pose.centre[1])
        return flat * near + upwards[2] * z

    back = crop.crop_to_photo
    across = np.arange(CROP_SIZE // 2) * 2.0 + 1.0
    deep = (np.arange(VOLUME_DEPTH // 2) * 2.0 + 1.0 - VOLUME_DEPTH / 2) / crop.scale
    x = back[0, 0] * across[None] + back[0, 1] * across[:, None] + back[0, 2]
    y = back[1, 0] * across[None] + back[1, 1] * across[:, None] + back[1, 2]
    threshold = height(chin[0], chin[1], chin[2]) - BELOW_CHIN
    return height(x[None], y[None], deep[:, None, None]) > threshold


def summarise(results: list[Result]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard error of each measure, by band and system.

    Parameters
    ----------
    results : list of Result

    Returns
    -------
    dict
        By band, then by system: each measure, its standard error (``_se``), the two errors as a
        share of the mean head's (``_ratio``), ``share`` of photos where anything came out, and
        ``heads``, how many were compared. The unguided network's errors on all photos, from a box,
        end in ``_box``.
    """
    table: dict[str, dict[str, dict[str, float]]] = {}
    for band in BANDS:
        here = [r for r in results if r.band == band]
        table[band] = {}
        for system in SYSTEMS:
            made = [r for r in here if system in r.measures]
            compared = [r.measures[system] for r in made if r.found]
            row = {"share": len(made) / len(here), "heads": len(compared)}
            for name in MEASURES:
                row |= _mean(name, [m[name] for m in compared if name in m])
            if system == "unguided":
                from_box = [r.measures[FROM_BOX] for r in here if FROM_BOX in r.measures]
                for name in TWO_ERRORS:
                    row |= _mean(f"{name}_box", [m[name] for m in from_box])
            table[band][system] = row
        null = table[band]["mean_head"]
        for row in table[band].values():
            for name in TWO_ERRORS:
                if name in row and name in null:
                    row[f"{name}_ratio"] = row[name] / null[name]
    return table


def _mean(name: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return {name: float(np.mean(values)), f"{name}_se": error}


def lines(table: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Write the table as text."""
    yield (
        f"{'degrees':20}{'image frame':>17}{'ratio':>7}{'after ICP':>17}{'ratio':>7}"
        f"{'normals, °':>17}{'overlap':>17}{'landmarks 2-D':>17}{'3-D':>17}{'share':>7}{'heads':>7}"
    )
    for band, systems in table.items():
        for system, row in systems.items():
            cells = [f"{band:7}{system:13}"]
            for name in TWO_ERRORS:
                ratio = f"{row[f'{name}_ratio']:.2f}" if f"{name}_ratio" in row else "-"
                cells.append(f"{_cell(row, name, 4)}{ratio:>7}")
            cells += [_cell(row, "normals", 1), _cell(row, "iou", 3)]
            cells += [_cell(row, "landmarks_2d", 4), _cell(row, "landmarks_3d", 4)]
            yield "".join(cells) + f"{row['share']:7.0%}{row['heads']:7.0f}"
        boxed = [f"{_cell(systems['unguided'], f'{name}_box', 4)}{'':7}" for name in TWO_ERRORS]
        yield f"{band:7}{'  from a box':13}" + "".join(boxed) + f"{'(all photos)':>17}"


def _cell(row: dict[str, float], name: str, digits: int) -> str:
    if name not in row:
        return f"{'-':>17}"
    return f"{row[name]:.{digits}f} ± {row[f'{name}_se']:.{digits}f}".rjust(17)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--heads", type=int, default=300, help="how many photos, all bands together"
    )
    parser.add_argument("--json", type=Path, help="write the table here")
    parser.add_argument("--curves", type=Path, help="draw cumulative error curves here, PNG")
    parser.add_argument("--sheet", type=Path, help="draw photos and their heads here, PNG")
    parser.add_argument("--worst", type=Path, help="draw those with the largest errors here, PNG")
    parser.add_argument("--network", type=Path, default=MODEL)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--bundle", type=Path, default=None, help="face_landmarker.task")
    arguments = parser.parse_args()
    if arguments.heads < len(BANDS):
        parser.error(f"--heads must be at least {len(BANDS)}, one for each band of yaw.")
    cv2.setNumThreads(1)
    try:
        network = Network(arguments.network, arguments.device)
        detector = open_detector(arguments.bundle)
    except ReconstructionError as error:
        sys.exit(str(error))
    evaluation = Evaluation(load_head_model(arguments.model), network, detector)
    evaluation.tune()
    start = time.monotonic()
    results: list[Result] = []
    rows: list[Row] = []
    worst: list[Row] = []
    for number in tqdm(range(arguments.heads), unit="head", disable=not os.isatty(2)):
        result, row = evaluation.evaluate(number)
        results.append(result)
        if len(rows) < SHEET_ROWS:
            rows.append(row)
        worst = sorted([*worst, row], key=lambda other: -other.error)[:SHEET_ROWS]
    seconds = (time.monotonic() - start) / arguments.heads
    table = summarise(results)
    print("\n".join(lines(table)))
    print(
        f"{arguments.heads} heads, {seconds:.1f} s each on {network.provider}; "
        f"landmarks by {detector.name}; ridge {evaluation.fit.ridge:g}, "
        f"depth counts {evaluation.fit.depth:g}"
    )
    if arguments.json:
        report = {
            "heads": arguments.heads,
            "network": arguments.network.name,
            "detector": detector.name,
            "landmark_fit": asdict(evaluation.fit),
            "bands": table,
        }
        write_whole(arguments.json, (json.dumps(report, indent=2) + "\n").encode())
    if arguments.curves:
        by_band = {
            band: {
                system: {
                    name: [r.measures[system][name] for r in results if _counts(r, band, system)]
                    for name in TWO_ERRORS
                }
                for system in SYSTEMS
            }
            for band in BANDS
        }
        write_whole(arguments.curves, draw_curves(by_band))
    if arguments.sheet:
        write_whole(arguments.sheet, draw_sheet(rows))
    if arguments.worst:
        write_whole(arguments.worst, draw_sheet(worst))


def _counts(result: Result, band: str, system: str) -> bool:
    return result.band == band and result.found and system in result.measures


if __name__ == "__main__":
    main()
