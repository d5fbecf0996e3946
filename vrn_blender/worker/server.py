# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The worker process: ``python -m vrn_blender.worker.server``; it serves one photo after another.

It ends by itself when its stdin closes, which happens when Blender ends in any way, when nobody
needed it for a while, and when a request takes longer than it may. Its folder goes with it.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from ..reconstruction.errors import NoFaceError, ReconstructionError
from . import protocol
from .status import take_status

if TYPE_CHECKING:
    from ..reconstruction.reconstruct import Reconstructor

Send = Callable[[protocol.Message], None]
Progress = Callable[[str, float], None]
Answer = Callable[[protocol.Message, Progress], protocol.Message]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve requests from stdin until it closes or nobody needs the worker any more.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; by default the process's own.
    """
    options = _parse(arguments)
    channel = _claim_stdout()
    # Ctrl-C in a terminal reaches both processes; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    _die_before_blender()
    requests: queue.SimpleQueue[protocol.Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests, options.folder), daemon=True).start()

    def send(message: protocol.Message) -> None:
        channel.write(protocol.encode(message))
        channel.flush()

    service = Service(options.model, options.bundle_folder, options.folder)
    try:
        serve(service, requests, send, options.idle_seconds)
    except Exception:
        traceback.print_exc()
    finally:
        _leave(options.folder)


def serve(
    service: Service,
    requests: queue.SimpleQueue[protocol.Message],
    send: Send,
    idle_seconds: float,
) -> None:
    """Answer requests until none comes for a while.

    Parameters
    ----------
    service : Service
        What answers them.
    requests : SimpleQueue of dict
        Where they come from.
    send : callable
        Takes each message of the answers.
    idle_seconds : float
        How long to wait for the next request.
    """
    while True:
        try:
            request = requests.get(timeout=idle_seconds)
        except queue.Empty:
            send({"type": "idle"})
            return
        # This watchdog is no Python thread, so it also ends a native call that never returns.
        faulthandler.dump_traceback_later(request["seconds"], exit=True)
        service.answer(request, send)
        faulthandler.cancel_dump_traceback_later()


class Service:
    """Answers requests; holds MediaPipe and the network between them.

    Parameters
    ----------
    model : Path
        The network.
    bundle_folders : sequence of Path
        Where MediaPipe's bundle may be, besides the usual folders.
    folder : Path
        Where heads are left for Blender's process.
    """

    def __init__(self, model: Path, bundle_folders: Sequence[Path], folder: Path) -> None:
        self._model = model
        self._bundle_folders = bundle_folders
        self._folder = folder
        self._reconstructor: Reconstructor | None = None
        self._answers: dict[str, Answer] = {
            "reconstruct": self._reconstruct,
            "picture": self._picture,
            "fetch": self._fetch,
            "look": self._look,
        }

    def answer(self, request: protocol.Message, send: Send) -> None:
        """Answer one request with progress, and then with what it asked for or with an error.

        Parameters
        ----------
        request : dict
            As the protocol has it.
        send : callable
            Takes each message of the answer.
        """
        number = request["id"]

        def progress(station: str, fraction: float) -> None:
            send({"type": "progress", "id": number, "station": station, "fraction": fraction})

        try:
            result = self._answers[request["type"]](request, progress)
        except Exception as error:
            traceback.print_exc()
            no_face = isinstance(error, NoFaceError)
            result = {"type": "error", "message": explain(error), "no_face": no_face}
        send({**result, "id": number})

    def _opened(self, progress: Progress) -> Reconstructor:
        if self._reconstructor is None:
            progress("start", 0.0)
            # Imported here because it takes seconds, during which progress can be shown already.
            from ..reconstruction.reconstruct import Reconstructor

            self._reconstructor = Reconstructor(self._model, self._bundle_folders)
        return self._reconstructor

    def _reconstruct(self, request: protocol.Message, progress: Progress) -> protocol.Message:
        options = protocol.options_from_json(request["options"])
        heads = self._opened(progress).reconstruct(Path(request["photo"]), options, progress)
        files = [f"{request['id']}-{head.face_number}.npz" for head in heads]
        for file, head in zip(files, heads, strict=True):
            protocol.save_head(self._folder / file, head)
        return {"type": "heads", "files": files}

    def _picture(self, request: protocol.Message, progress: Progress) -> protocol.Message:
        picture = self._opened(progress).picture(Path(request["photo"]), request["max_side"])
        file = f"{request['id']}-picture.npz"
        protocol.save_picture(self._folder / file, picture)
        return {"type": "seen", "file": file}

    def _look(self, _request: protocol.Message, progress: Progress) -> protocol.Message:
        progress("look", 0.0)
        status = take_status(self._model, self._bundle_folders)
        return {"type": "status", "status": status.to_json()}

    def _fetch(self, request: protocol.Message, progress: Progress) -> protocol.Message:
        # Imported here because reconstructions never touch the network.
        from .download import fetch_bundle

        path = fetch_bundle(Path(request["folder"]), lambda part: progress("download", part))
        return {"type": "fetched", "path": str(path)}


def explain(error: Exception) -> str:
    """Say in one sentence what went wrong and what to do.

    Parameters
    ----------
    error : Exception
        Whatever a station raised.

    Returns
    -------
    str
        The sentence.
    """
    if isinstance(error, ReconstructionError):
        return str(error)
    if isinstance(error, MemoryError):
        return "There is not enough memory: choose a smaller texture, or close other programs."
    if isinstance(error, ImportError):
        return f"A library is missing or broken ({error}): install the extension again."
    return (
        f"Something unexpected went wrong ({type(error).__name__}: {error}): try another photo, "
        "and report this one if it goes on."
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vrn_blender.worker.server")
    parser.add_argument("folder", type=Path, help="shared with Blender's process; ends with this")
    parser.add_argument("--model", type=Path, required=True, help="the network")
    parser.add_argument("--bundle-folder", type=Path, action="append", default=[])
    parser.add_argument("--idle-seconds", type=float, required=True)
    return parser.parse_args(arguments)


def _die_before_blender() -> None:
    """Ask Linux to end this process first when memory runs out, not Blender with unsaved work."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _claim_stdout() -> BinaryIO:
    """Keep the real stdout for the protocol; whatever else is printed goes to stderr."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return channel


def _read(requests: queue.SimpleQueue[protocol.Message], folder: Path) -> None:
    """Hand requests on, and end the process as soon as there is nobody left to work for.

    It runs in a thread so that the end of Blender is noticed in the middle of a computation too.
    """
    try:
        for line in sys.stdin.buffer:
            requests.put(protocol.decode(line))
    finally:
        _leave(folder)


def _leave(folder: Path) -> NoReturn:
    shutil.rmtree(folder, ignore_errors=True)
    # Not sys.exit: native threads may be in the middle of something that never ends.
    os._exit(0)


if __name__ == "__main__":
    main()
