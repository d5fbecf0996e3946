# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Many photos in one go: ``blender --command vrn_blender`` and ``python -m vrn_blender``.

Blender itself is imported only when the first head is written, so that a wrong command line is
answered at once, and the worker can start while Blender loads.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..reconstruction.errors import ReconstructionError
from ..reconstruction.model_file import MODEL
from ..reconstruction.result import (
    DEFAULT_SMOOTHING,
    DEFAULT_SURFACE,
    DEFAULT_TEXTURE_SIZE,
    DEVICES,
    LARGEST_FACE,
    SURFACES,
    Options,
)
from ..worker.client import Client, Settings
from .choices import LANDMARK_COUNTS, PAINTS, TEXTURE, SceneChoices
from .job import PhotoJob
from .photos import SUFFIXES, photos_in, unique_names

if TYPE_CHECKING:
    from .job import Made

FORMATS = ("blend", "glb", "fbx", "usd", "obj", "ply", "stl", "png")
DEFAULT_FORMATS = ("blend", "glb", "png")
SUMMARY = "summary.json"

ALL_WELL, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130

Writer = Callable[["Made", str], list[Path]]


@dataclass
class Record:
    """What the summary says of one photo.

    Attributes
    ----------
    photo : str
        Its absolute path.
    name : str
        What its files are called, without the ending.
    state : str
        ``done`` or ``failed``.
    files : list of str
        What was written, names in the output folder.
    seconds : float
        From the photo to its last file.
    stations : dict of str to float
        How many seconds each station took.
    device : str
        What ran the network.
    reason : str
        Why it failed, in one sentence.
    """

    photo: str
    name: str
    state: str = "failed"
    files: list[str] = field(default_factory=list)
    seconds: float = 0.0
    stations: dict[str, float] = field(default_factory=dict)
    device: str = ""
    reason: str = ""


def main(
    arguments: Sequence[str],
    *,
    program: str = "python -m vrn_blender",
    sample: Callable[[Path], Path] | None = None,
    make_client: Callable[[Settings], Client] = Client,
    bundle_folders: tuple[Path, ...] = (),
) -> int:
    """Turn photos into files.

    Parameters
    ----------
    arguments : sequence of str
        The command line without the program.
    program : str
        What the user typed to get here, for the help.
    sample : callable or None
        Puts a sample photo into the folder that it is given; None where there is no sample, so
        that photos must be named.
    make_client : callable
        Makes the worker's client from its settings; tests put another worker in its place.
    bundle_folders : tuple of Path
        Where MediaPipe's face model may lie, besides the add-on's own folder.

    Returns
    -------
    int
        Exit status: 0 when all went well, 1 when any photo failed, 2 for wrong usage, 130 when the
        user interrupted it.
    """
    parser = build_parser(program, with_sample=sample is not None)
    try:
        chosen = parser.parse_args(arguments)
        options = _options(parser, chosen)
    except SystemExit as end:
        # Blender goes on after the command, so it gets the status instead of an exception.
        return end.code if isinstance(end.code, int) else WRONG_USAGE
    with tempfile.TemporaryDirectory(prefix="vrn_blender_") as folder:
        if not chosen.photos and sample is not None:
            chosen.photos = [sample(Path(folder))]
        client = make_client(Settings(model=chosen.model, bundle_folders=bundle_folders))
        try:
            return _run(chosen, options, client)
        except ReconstructionError as error:
            print(f"{program}: {error}", file=sys.stderr)
            return SOME_FAILED
        except KeyboardInterrupt:
            print("\nInterrupted; --resume goes on from here.", file=sys.stderr)
            return INTERRUPTED
        finally:
            client.release()


def run_in_blender(arguments: Sequence[str]) -> int:
    """Answer ``blender --command vrn_blender``.

    Parameters
    ----------
    arguments : sequence of str
        What follows the command's name.

    Returns
    -------
    int
        As `main`.
    """
    # Imported here because `python -m vrn_blender` answers a wrong command line without Blender.
    from .preferences import user_folder

    folder = user_folder()
    return main(
        arguments,
        program="blender --command vrn_blender",
        bundle_folders=(folder,) if folder is not None else (),
    )


def build_parser(program: str, *, with_sample: bool) -> argparse.ArgumentParser:
    """Describe the command line.

    Parameters
    ----------
    program : str
        What the user typed to get here.
    with_sample : bool
        Whether it may be called without a photo.

    Returns
    -------
    ArgumentParser
        The parser.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Make a textured 3D head from each photo.",
        epilog="Exit status: 0 when all went well, 1 when any photo failed, 2 for wrong usage.",
    )
    parser.add_argument(
        "photos",
        nargs="*" if with_sample else "+",
        type=Path,
        metavar="PHOTO_OR_FOLDER",
        help="photos, or folders of which all photos are taken"
        + ("; without any, a sample portrait becomes a head called face" if with_sample else ""),
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=FORMATS,
        help="what to write; may be repeated; png is a rendered picture "
        f"(default: {', '.join(DEFAULT_FORMATS)})",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help=f"skip photos that {SUMMARY} in the output folder says are done",
    )
    parser.add_argument(
        "--face",
        default=LARGEST_FACE,
        help="which face where there are several: largest, all, or a number, 1 being the largest "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("X0", "Y0", "X1", "Y1"),
        help="where the face is, in pixels of the photo, if it is not found by itself",
    )
    parser.add_argument(
        "--surface",
        choices=SURFACES,
        default=DEFAULT_SURFACE,
        help="raw, as the network drew it; sculpt, even quads, in a blend file with Multires; "
        "light, few quads with a normal map (default: %(default)s)",
    )
    parser.add_argument(
        "--smoothing",
        type=int,
        default=DEFAULT_SMOOTHING,
        metavar="N",
        help="passes of smoothing over the surface (default: %(default)s)",
    )
    parser.add_argument(
        "--detail",
        type=float,
        default=0.0,
        metavar="STRENGTH",
        help="how deep, 0 to 1, to carve the wrinkles and folds that the photo's shading shows "
        "(default: %(default)s, none)",
    )
    parser.add_argument(
        "--texture-size",
        type=int,
        default=DEFAULT_TEXTURE_SIZE,
        metavar="PIXELS",
        help="the longest side of the texture (default: %(default)s)",
    )
    parser.add_argument(
        "--face-only",
        action="store_true",
        help="a mask from ear to ear with an open border instead of the whole head",
    )
    parser.add_argument(
        "--even-light",
        action="store_true",
        help="take light and shadow out of the texture",
    )
    parser.add_argument(
        "--symmetric",
        action="store_true",
        help="make both sides of the texture the same",
    )
    parser.add_argument(
        "--paint",
        choices=PAINTS,
        default=TEXTURE,
        help="a texture, or a colour per vertex and no picture (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        choices=("true", "unit"),
        default="true",
        help="true to life in metres, or one unit high (default: %(default)s)",
    )
    parser.add_argument(
        "--camera",
        action="store_true",
        help="add to blend files the camera that sees the head as the photo does",
    )
    parser.add_argument(
        "--landmarks",
        type=int,
        choices=LANDMARK_COUNTS,
        default=0,
        help="add to blend files an empty at each of so many landmarks (default: %(default)s)",
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="auto",
        help="where the network runs (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=MODEL,
        metavar="FILE",
        help="another network, with its description beside it",
    )
    return parser


def _options(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Options:
    if chosen.box and len(chosen.photos) != 1:
        parser.error("--box names a place in one photo: give exactly one photo")
    try:
        return Options(
            face=chosen.face.lower(),
            box=tuple(chosen.box) if chosen.box else None,
            surface=chosen.surface,
            smoothing=chosen.smoothing,
            detail=chosen.detail,
            texture_size=chosen.texture_size,
            device=chosen.device,
            face_only=chosen.face_only,
            even_light=chosen.even_light,
            symmetric=chosen.symmetric,
            photo=chosen.camera,
        )
    except ReconstructionError as error:
        parser.error(str(error))


def _run(chosen: argparse.Namespace, options: Options, client: Client) -> int:
    output = prepare_output(chosen.output)
    formats = tuple(dict.fromkeys(chosen.formats or DEFAULT_FORMATS))
    photos, failures = find_photos(chosen.photos)
    done = finished(output, formats) if chosen.resume else {}
    todo = [photo for photo in photos if str(photo) not in done]
    names = unique_names(todo, (record.name for record in done.values()))
    if len(todo) < len(photos):
        print(f"{len(photos) - len(todo)} of {len(photos)} photos are done already.")
    batch = Batch(output, client, options, [*failures, *done.values()])
    if todo:
        # While the worker loads its libraries, this process loads Blender's.
        client.start()
        choices = SceneChoices(
            unit_size=chosen.size == "unit",
            paint=chosen.paint,
            camera=chosen.camera,
            landmarks=chosen.landmarks,
        )
        batch.run(todo, names, _blender_writer(output, formats, choices))
    failed = [record for record in batch.records if record.state != "done"]
    write_summary(output, batch.records)
    _say_how_it_went(batch.records, failed, output)
    return SOME_FAILED if failed else ALL_WELL


def prepare_output(folder: Path) -> Path:
    """Make the output folder and see whether it can be written to.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    Path
        Its absolute path.

    Raises
    ------
    ReconstructionError
        If nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.absolute()
    except OSError as error:
        raise ReconstructionError(
            f"The folder {folder} cannot be written to ({error.strerror}): "
            "choose another one with --output."
        ) from error


def find_photos(given: Sequence[Path]) -> tuple[list[Path], list[Record]]:
    """Resolve photos and folders to photos.

    Parameters
    ----------
    given : sequence of Path
        As on the command line. A photo that is missing stays in, because the reconstruction says
        best what is wrong with it.

    Returns
    -------
    photos : list of Path
        Absolute, each once, in the order of the command line.
    failures : list of Record
        One for each folder that holds no photo or cannot be read.
    """
    photos: dict[Path, None] = {}
    failures = []
    for path in given:
        path = path.absolute()
        if not path.is_dir():
            photos[path] = None
            continue
        try:
            inside = photos_in(path)
            reason = f"{path.name} holds no photo: it needs files that end in " + ", ".join(
                SUFFIXES
            )
        except OSError as error:
            inside = []
            reason = f"{path.name} cannot be read ({error.strerror}): choose another folder."
        photos.update(dict.fromkeys(inside))
        if not inside:
            failures.append(Record(str(path), path.name, reason=reason))
    return list(photos), failures


def finished(output: Path, formats: Sequence[str]) -> dict[str, Record]:
    """Read from the last run's summary which photos need not be done again.

    Parameters
    ----------
    output : Path
        The output folder.
    formats : sequence of str
        What is wanted.

    Returns
    -------
    dict of str to Record
        By the photo's path: those that are done, whose files are all there, in these formats.
    """
    try:
        records = json.loads((output / SUMMARY).read_text("utf-8"))["photos"]
        known = [Record(**record) for record in records]
    except (OSError, ValueError, KeyError, TypeError):
        # There is none, or none that this program wrote: everything is to be done.
        return {}
    return {
        record.photo: record
        for record in known
        if record.state == "done"
        and {f".{name}" for name in formats} <= {Path(file).suffix for file in record.files}
        and all((output / file).is_file() for file in record.files)
    }


class Batch:
    """Photos on their way to files.

    Parameters
    ----------
    output : Path
        Where the files and the summary go.
    client : Client
        The worker.
    options : Options
        What to make of the photos.
    records : list of Record
        What the summary begins with.

    Attributes
    ----------
    records : list of Record
        One for each photo that is through.
    """

    def __init__(
        self, output: Path, client: Client, options: Options, records: list[Record]
    ) -> None:
        self.records = records
        self._output = output
        self._client = client
        self._options = options

    def run(self, photos: Sequence[Path], names: dict[Path, str], write: Writer) -> None:
        """Do one photo after another, and keep the summary up to date.

        Parameters
        ----------
        photos : sequence of Path
            Absolute.
        names : dict of Path to str
            What the files of each are called.
        write : callable
            Writes a head under a name and gives the files.
        """
        line = ProgressLine(len(photos), sys.stdout)
        for photo in photos:
            record = self._do(photo, names[photo], write, line)
            self.records.append(record)
            write_summary(self._output, self.records)
            line.finish_photo(record, self._output)

    def _do(self, photo: Path, name: str, write: Writer, line: ProgressLine) -> Record:
        begun = time.perf_counter()
        record = Record(str(photo), name)
        job = PhotoJob(self._client, [photo], self._options)
        job.wait(lambda: line.show(photo, job.station, job.fraction))
        if job.failures:
            record.reason = job.failures[0].reason
            line.log(job.failures[0].log)
        try:
            for entry in job.made:
                line.show(photo, "writing", 1.0)
                several = len(job.made) > 1
                file_name = f"{name}_face{entry.head.face_number}" if several else name
                record.files += [file.name for file in write(entry, file_name)]
                record.stations = {name: round(s, 3) for name, s in entry.head.seconds.items()}
                record.device = entry.head.device
        except (OSError, RuntimeError) as error:
            record.reason = _why_not_written(error)
        if not record.reason:
            record.state = "done"
        record.seconds = round(time.perf_counter() - begun, 3)
        return record


class ProgressLine:
    """One line that says how far the batch is; on a terminal it is written over and over.

    Parameters
    ----------
    total : int
        How many photos there are to do.
    stream : file
        Where it is written.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._through = 0
        self._begun = time.monotonic()
        self._shown = 0

    def show(self, photo: Path, what: str, fraction: float) -> None:
        """Say what happens now.

        Parameters
        ----------
        photo : Path
            The photo of the moment.
        what : str
            The station that it is at.
        fraction : float
            How much of it is over, 0 to 1.
        """
        if not self._stream.isatty():
            # A log gets one line for each photo, when it is through.
            return
        text = f"[{self._through + 1}/{self._total}] {photo.name}: {what} {fraction:.0%}"
        self._overwrite(text + self._rate())

    def finish_photo(self, record: Record, output: Path) -> None:
        """Say what came out of a photo.

        Parameters
        ----------
        record : Record
            The photo.
        output : Path
            The folder that its files are in.
        """
        self._through += 1
        if self._stream.isatty():
            self._overwrite("")
        print(
            f"[{self._through}/{self._total}] {describe(record)}{self._rate()}",
            *(f"  {output / file}" for file in record.files),
            sep="\n",
            file=self._stream,
            flush=True,
        )

    def log(self, text: str) -> None:
        """Pass on what a worker printed before it died.

        Parameters
        ----------
        text : str
            Nothing, or some lines.
        """
        if text:
            print(text, file=sys.stderr)

    def _rate(self) -> str:
        if self._total == 1 or not self._through:
            return ""
        seconds = (time.monotonic() - self._begun) / self._through
        left = round(seconds * (self._total - self._through))
        minutes, left = divmod(left, 60)
        return f" ({1 / seconds:.2g} photos/s, {minutes}:{left:02} left)"

    def _overwrite(self, text: str) -> None:
        # Spaces wipe what a longer line has left.
        self._stream.write(f"\r{text:<{self._shown}}\r{text}")
        self._stream.flush()
        self._shown = len(text)


def describe(record: Record) -> str:
    """Say in one line what became of a photo.

    Parameters
    ----------
    record : Record
        The photo.

    Returns
    -------
    str
        The line.
    """
    name = Path(record.photo).name
    if record.state != "done":
        return f"{name}: {record.reason}"
    stations = ", ".join(f"{station} {seconds:.2f}" for station, seconds in record.stations.items())
    return f"{name}: {record.seconds:.1f} s ({stations}) on {record.device}"


def write_summary(output: Path, records: Sequence[Record]) -> None:
    """Write the summary, whole.

    Parameters
    ----------
    output : Path
        The output folder.
    records : sequence of Record
        What there is to say.

    Raises
    ------
    ReconstructionError
        If it cannot be written.
    """
    text = json.dumps({"photos": [asdict(record) for record in records]}, indent=2)
    unfinished = output / f".{SUMMARY}.{os.getpid()}"
    try:
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(output / SUMMARY)
    except OSError as error:
        raise ReconstructionError(_why_not_written(error)) from error


def _blender_writer(output: Path, formats: Sequence[str], choices: SceneChoices) -> Writer:
    # Imported here because it takes a second, which a wrong command line need not wait for.
    from . import export

    def write(made: Made, name: str) -> list[Path]:
        return export.write_head(made, output, name, formats, choices)

    return write


def _why_not_written(error: OSError | RuntimeError) -> str:
    reason: Any = error.strerror if isinstance(error, OSError) and error.strerror else error
    return (
        f"The files could not be written ({str(reason).strip()}): "
        "see whether the disk is full or the folder write-protected."
    )


def _say_how_it_went(records: Sequence[Record], failed: Sequence[Record], output: Path) -> None:
    if len(records) > 1 or failed:
        print(f"{len(records) - len(failed)} of {len(records)} done; see {output / SUMMARY}.")
