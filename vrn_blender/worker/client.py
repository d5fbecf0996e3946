# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""Blender's end of the worker: starts it, asks it, listens without blocking, ends it.

There is no thread here, because Blender supports none that outlives the script that started it:
the pipe is looked into whenever the caller polls.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from ..reconstruction.errors import NoFaceError, ReconstructionError
from ..reconstruction.model_file import MODEL
from ..reconstruction.result import Head, Options, Picture
from . import protocol
from .status import Status

DEADLINE_SECONDS = 600.0
"""A photo takes seconds; a worker that has not answered after this hangs."""

_POLL_SECONDS = 0.02
_FAREWELL_SECONDS = 2.0
_LOG_NAME = "log.txt"
_LOG_TAIL = 4000


class WorkerError(ReconstructionError):
    """The worker process is gone or talks nonsense; the next request starts a new one.

    Attributes
    ----------
    log : str
        The end of what the process printed, for the system console.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Settings:
    """What a worker is started with.

    Attributes
    ----------
    model : Path
        The network.
    bundle_folders : tuple of Path
        Where MediaPipe's bundle may be, besides the usual folders.
    idle_seconds : float
        After so long without a request the worker ends and gives its memory back.
    """

    model: Path = MODEL
    bundle_folders: tuple[Path, ...] = ()
    idle_seconds: float = 300.0


@dataclass(frozen=True)
class Progress:
    """How far a request is.

    Attributes
    ----------
    station : str
        What the worker does now.
    fraction : float
        How much is over, 0 to 1.
    """

    station: str
    fraction: float


@dataclass(frozen=True)
class Fetched:
    """A file has been downloaded.

    Attributes
    ----------
    path : Path
        Where it is.
    """

    path: Path


Answer = list[Head] | Picture | Fetched | Status
Left = TypeVar("Left")
Command = Callable[[Settings, Path], Sequence[str]]


def server_command(settings: Settings, folder: Path) -> list[str]:
    """Give the command line that starts a worker.

    Parameters
    ----------
    settings : Settings
        What it is started with.
    folder : Path
        Where its arrays and its log go.

    Returns
    -------
    list of str
        The command line; `worker_environment` belongs to it.
    """
    # -P and -s: neither the current folder nor the user's own packages may shadow what ships.
    command = [sys.executable, "-P", "-s", "-m", "vrn_blender.worker.server", str(folder)]
    command += ["--model", str(settings.model), "--idle-seconds", str(settings.idle_seconds)]
    for bundle_folder in settings.bundle_folders:
        command += ["--bundle-folder", str(bundle_folder)]
    return command


def worker_environment(
    environment: Mapping[str, str], search_path: Sequence[str]
) -> dict[str, str]:
    """Give the environment in which a worker finds this package and its libraries.

    Blender puts the wheels of extensions into a ``site-packages`` folder of its own, which a
    plain Python interpreter does not know of.

    Parameters
    ----------
    environment : mapping of str to str
        This process's environment.
    search_path : sequence of str
        This process's ``sys.path``.

    Returns
    -------
    dict of str to str
        The worker's environment.
    """
    own = str(Path(__file__).resolve().parents[2])
    users = Path(site.getusersitepackages())
    libraries = [
        entry
        for entry in search_path
        if Path(entry).name == "site-packages" and Path(entry) != users
    ]
    kept = {name: value for name, value in environment.items() if name != "PYTHONHOME"}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([own, *libraries]),
        "PYTHONNOUSERSITE": "1",
    }


class Client:
    """One worker at a time, started when it is needed and kept warm; one request at a time.

    Parameters
    ----------
    settings : Settings
        What workers are started with.
    command : callable
        Gives the command line; tests put other programs in the worker's place.
    """

    def __init__(self, settings: Settings, command: Command = server_command) -> None:
        self.settings = settings
        self._command = command
        self._worker: _Worker | None = None
        self._requests = 0

    @property
    def alive(self) -> bool:
        """Whether a worker process runs and holds memory."""
        return self._worker is not None and self._worker.process.poll() is None

    @property
    def busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._worker is not None and self._worker.request is not None

    @property
    def process_id(self) -> int | None:
        """The worker's process id, or None when there is no worker."""
        return self._worker.process.pid if self._worker is not None else None

    def start(self) -> None:
        """Start a worker unless one runs, so that it is ready sooner.

        Raises
        ------
        WorkerError
            If the system does not let a process start.
        """
        self._started()

    def reconstruct(self, photo: Path, options: Options, seconds: float = DEADLINE_SECONDS) -> None:
        """Ask for the heads of a photo; `poll` gives them as a list.

        Parameters
        ----------
        photo : Path
            The photo.
        options : Options
            What to make of it.
        seconds : float
            How long it may take.

        Raises
        ------
        WorkerError
            If no worker can be started, or it is busy.
        """
        # Absolute, because the worker need not share this process's current folder.
        request = {"photo": str(photo.absolute()), "options": protocol.options_to_json(options)}
        self._ask({"type": "reconstruct", **request}, seconds)

    def show_photo(self, photo: Path, max_side: int, seconds: float = DEADLINE_SECONDS) -> None:
        """Ask for a photo to be looked at; `poll` gives a `Picture`.

        Parameters
        ----------
        photo : Path
            The photo.
        max_side : int
            The longest side that the picture may have, in pixels.
        seconds : float
            How long it may take.

        Raises
        ------
        WorkerError
            If no worker can be started, or it is busy.
        """
        request = {"type": "picture", "photo": str(photo.absolute()), "max_side": max_side}
        self._ask(request, seconds)

    def look(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Ask what the worker has to work with; `poll` gives a `Status`.

        Parameters
        ----------
        seconds : float
            How long it may take.

        Raises
        ------
        WorkerError
            If no worker can be started, or it is busy.
        """
        self._ask({"type": "look"}, seconds)

    def fetch_bundle(self, folder: Path, seconds: float = DEADLINE_SECONDS) -> None:
        """Ask for MediaPipe's bundle from the internet; `poll` gives a `Fetched`.

        Parameters
        ----------
        folder : Path
            Where the bundle goes.
        seconds : float
            How long it may take.

        Raises
        ------
        WorkerError
            If no worker can be started, or it is busy.
        """
        self._ask({"type": "fetch", "folder": str(folder.absolute())}, seconds)

    def poll(self) -> Progress | Answer | None:
        """Look whether the worker said something; never waits.

        Returns
        -------
        Progress, list of Head, Picture, Fetched, Status or None
            How far the request is, or its answer, or None when there is nothing new.

        Raises
        ------
        ReconstructionError
            With the worker's own sentence, when it could not do what it was asked; `NoFaceError`
            when that is because no face was found.
        WorkerError
            If the worker is gone, hangs, or talks nonsense. It has been ended then.
        """
        worker = self._worker
        if worker is None or worker.request is None:
            return None
        try:
            message = worker.receive()
            if message is not None:
                return self._take(message, worker, worker.request)
        except (EOFError, OSError) as error:
            if worker.answered and not worker.heard:
                # It died of something before this request.
                self._ask_another(worker.request)
                return None
            raise self._ended(worker, _why_gone(worker.process)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._ended(
                worker,
                "The worker process answered with something unreadable and was ended: try again.",
            ) from error
        if time.monotonic() > worker.deadline:
            raise self._ended(
                worker,
                "The worker process did not answer in time and was ended: try again with a "
                "smaller photo, or with the device CPU.",
            )
        return None

    def wait(self, on_progress: Callable[[Progress], None] = lambda _progress: None) -> Answer:
        """Wait for the answer to the request.

        Parameters
        ----------
        on_progress : callable
            Told how far it is.

        Returns
        -------
        list of Head, Picture, Fetched or Status
            The answer.

        Raises
        ------
        ReconstructionError
            As `poll`.
        """
        while True:
            news = self.poll()
            if isinstance(news, Progress):
                on_progress(news)
            elif news is not None:
                return news
            else:
                time.sleep(_POLL_SECONDS)

    def cancel(self) -> None:
        """Stop at once: end the worker in the middle of whatever it does."""
        self._discard()

    def release(self) -> None:
        """Let the worker go and give its memory back; a busy one is ended."""
        if self._worker is not None and not self.busy:
            self._worker.say_goodbye()
        self._discard()

    def _started(self) -> _Worker:
        if self._worker is None or not self.alive:
            self._discard()
            self._worker = _Worker(self._command, self.settings)
        return self._worker

    def _discard(self) -> None:
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _ask(self, request: protocol.Message, seconds: float) -> None:
        if self.busy:
            raise WorkerError("The worker process is busy: wait for it, or cancel what it does.")
        self._requests += 1
        self._started().send({**request, "id": self._requests, "seconds": seconds})

    def _take(
        self, message: protocol.Message, worker: _Worker, request: protocol.Message
    ) -> Progress | Answer | None:
        if message["type"] == "idle":
            # The request and the worker's farewell have crossed.
            self._ask_another(request)
            return None
        if message["id"] != request["id"]:
            raise protocol.ProtocolError(f"an answer to another request: {message}")
        if message["type"] == "progress":
            return Progress(str(message["station"]), float(message["fraction"]))
        answer = _read_answer(message, worker)
        worker.request, worker.answered = None, True
        if isinstance(answer, ReconstructionError):
            raise answer
        return answer

    def _ask_another(self, request: protocol.Message) -> None:
        """Give a request to a new worker, because the one that has it is gone."""
        self._discard()
        self._started().send(request)

    def _ended(self, worker: _Worker, sentence: str) -> WorkerError:
        log = worker.read_log()
        self._discard()
        return WorkerError(sentence, log)


class _Worker:
    """A process, its pipes, the folder that goes with it, and what it was asked last.

    It has ``answered`` once it has done any request, and is ``heard`` once it has said anything
    since the last one.

    Parameters
    ----------
    command : callable
        Gives the command line.
    settings : Settings
        What the process is started with.

    Raises
    ------
    WorkerError
        If the system does not let it start.
    """

    def __init__(self, command: Command, settings: Settings) -> None:
        self.request: protocol.Message | None = None
        self.answered = self.heard = False
        self.deadline = 0.0
        self._buffer = b""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="vrn_blender_"))
            self.process = _launch(command(settings, self._folder), self._folder / _LOG_NAME)
        except OSError as error:
            raise WorkerError(
                f"The worker process could not be started ({error}): restart Blender, and install "
                "the extension again if that does not help."
            ) from error
        self._stdin, self._stdout = _pipes(self.process)

    def send(self, request: protocol.Message) -> None:
        """Write a request; a process that is gone is noticed when its answer is read."""
        self.request, self.heard = request, False
        self.deadline = time.monotonic() + request["seconds"]
        with contextlib.suppress(OSError):
            self._stdin.write(protocol.encode(request))
            self._stdin.flush()

    def receive(self) -> protocol.Message | None:
        """Give the next message if one is there; EOFError once the process has ended."""
        if b"\n" not in self._buffer:
            self._buffer += _read_what_is_there(self._stdout.fileno())
        line, end, rest = self._buffer.partition(b"\n")
        if end:
            self._buffer, self.heard = rest, True
            return protocol.decode(line)
        if len(line) > protocol.MAX_LINE:
            raise protocol.ProtocolError("a line without an end")
        return None

    def take_head(self, file: str) -> Head:
        """Read a head that the process has left in the folder, and remove it there."""
        return self._take(file, protocol.load_head)

    def take_picture(self, file: str) -> Picture:
        """Likewise a picture."""
        return self._take(file, protocol.load_picture)

    def _take(self, file: str, load: Callable[[Path], Left]) -> Left:
        if Path(file).name != file:
            raise protocol.ProtocolError(f"not a file of the worker's folder: {file}")
        left = load(self._folder / file)
        (self._folder / file).unlink()
        return left

    def read_log(self) -> str:
        """Give the end of what the process printed."""
        try:
            return (self._folder / _LOG_NAME).read_text("utf-8", "replace")[-_LOG_TAIL:]
        except OSError:
            return ""

    def say_goodbye(self) -> None:
        """Close its stdin, upon which it ends by itself, and give it a moment for that."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_FAREWELL_SECONDS)

    def end(self) -> None:
        """Kill it unless it has ended, and take away what it leaves."""
        self.process.kill()
        self.process.wait()
        for pipe in (self._stdin, self._stdout):
            # What was left to write has no reader any more.
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _launch(command: Sequence[str], log_path: Path) -> subprocess.Popen[bytes]:
    try:
        with log_path.open("wb") as log:
            return subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=worker_environment(os.environ, sys.path),
                # Otherwise Windows opens a console window for it.
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
    except OSError:
        shutil.rmtree(log_path.parent, ignore_errors=True)
        raise


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    if sys.platform != "win32":
        os.set_blocking(process.stdout.fileno(), False)
    return process.stdin, process.stdout


def _read_answer(message: protocol.Message, worker: _Worker) -> Answer | ReconstructionError:
    if message["type"] == "heads":
        return [worker.take_head(file) for file in message["files"]]
    if message["type"] == "fetched":
        return Fetched(Path(message["path"]))
    if message["type"] == "seen":
        return worker.take_picture(message["file"])
    if message["type"] == "status":
        return Status.from_json(message["status"])
    if message["type"] == "error":
        kind = NoFaceError if message.get("no_face") else ReconstructionError
        return kind(str(message["message"]))
    raise protocol.ProtocolError(f"unknown type of message: {message}")


def _why_gone(process: subprocess.Popen[bytes]) -> str:
    try:
        status = process.wait(_FAREWELL_SECONDS)
    except subprocess.TimeoutExpired:
        status = 0
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    return (
        f"The worker process ended unexpectedly ({how}), perhaps for lack of memory: try again, "
        "with a smaller texture if it goes on."
    )


if sys.platform == "win32":
    import _winapi
    import msvcrt

    def _read_what_is_there(descriptor: int) -> bytes:
        # Pipes cannot be set to non-blocking on Windows before Python 3.12.
        try:
            waiting = _winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor), 0)[0]
        except BrokenPipeError as error:
            raise EOFError from error
        return os.read(descriptor, waiting) if waiting else b""

else:

    def _read_what_is_there(descriptor: int) -> bytes:
        try:
            arrived = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return b""
        if not arrived:
            raise EOFError
        return arrived
