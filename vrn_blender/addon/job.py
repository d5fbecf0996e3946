# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What the worker is at: photos one after another, a download; knows nothing of Blender."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..reconstruction.errors import NoFaceError, ReconstructionError
from ..reconstruction.result import Head, Options, Picture
from ..worker.client import Answer, Client, Progress
from ..worker.status import Status

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Made:
    """A head and where it comes from.

    Attributes
    ----------
    head : Head
        The head.
    photo : Path
        Its photo.
    seconds : float
        From the request to the head, starting the worker included.
    box : tuple of float or None
        The face's place in the photo, where the user has given it: `Options.box`.
    """

    head: Head
    photo: Path
    seconds: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Failure:
    """Something that did not work.

    Attributes
    ----------
    reason : str
        One sentence for the user.
    log : str
        What the worker printed last, where that is all there is to go by.
    faceless : Path or None
        The photo, where no face was found in it.
    """

    reason: str
    log: str
    faceless: Path | None = None


class Job(ABC):
    """Something that the worker does, looked after without waiting.

    Parameters
    ----------
    client : Client
        The worker.

    Attributes
    ----------
    failures : list of Failure
        What did not work.
    done : bool
        Whether it is over, in whatever way.
    cancelled : bool
        Whether the user ended it.
    station : str
        What the worker does now.
    """

    def __init__(self, client: Client) -> None:
        self.failures: list[Failure] = []
        self.done = False
        self.cancelled = False
        self.station = "start"
        self._client = client
        self._fraction = 0.0
        self._asked = False

    @property
    @abstractmethod
    def title(self) -> str:
        """What is worked on, for the user."""

    @property
    def fraction(self) -> float:
        """How much of the whole is over, 0 to 1."""
        return self._fraction

    def step(self) -> None:
        """Take in what the worker has said since the last step; never waits."""
        while not self.done:
            try:
                if not self._asked:
                    self._asked = True
                    self._ask()
                news = self._client.poll()
            except ReconstructionError as error:
                self.failures.append(self._failure(error))
                self._next()
                continue
            if news is None:
                return
            if isinstance(news, Progress):
                self.station, self._fraction = news.station, news.fraction
            else:
                self._take(news)
                self._next()

    def wait(self, on_step: Callable[[], None] = lambda: None) -> None:
        """Step until it is done.

        Parameters
        ----------
        on_step : callable
            Called about fifty times a second.
        """
        self.step()
        while not self.done:
            on_step()
            time.sleep(_POLL_SECONDS)
            self.step()

    def cancel(self) -> None:
        """Stop at once, by ending the worker."""
        self._client.cancel()
        self.done = self.cancelled = True

    @abstractmethod
    def _ask(self) -> None:
        """Send the next request."""

    @abstractmethod
    def _take(self, answer: Answer) -> None:
        """Keep the answer to the request."""

    def _failure(self, error: ReconstructionError) -> Failure:
        return Failure(str(error), getattr(error, "log", ""))

    def _next(self) -> None:
        """Go on after an answer or a failure."""
        self.done = True


class PhotoJob(Job):
    """Turns photos into heads; a bad photo does not stop the rest.

    Parameters
    ----------
    client : Client
        The worker.
    photos : sequence of Path
        At least one.
    options : Options
        What to make of them.

    Attributes
    ----------
    made : list of Made
        The heads so far.
    """

    def __init__(self, client: Client, photos: Sequence[Path], options: Options) -> None:
        super().__init__(client)
        self.made: list[Made] = []
        self._photos = list(photos)
        self._options = options
        self._index = 0
        self._begun = 0.0

    @property
    def title(self) -> str:
        """The photo's name, and which of how many it is."""
        count = len(self._photos)
        place = f" ({self._index + 1} of {count})" if count > 1 else ""
        return self._photos[self._index].name + place

    @property
    def fraction(self) -> float:
        """How much of all photos is over, 0 to 1."""
        return (self._index + self._fraction) / len(self._photos)

    def _ask(self) -> None:
        self._begun = time.perf_counter()
        self._client.reconstruct(self._photos[self._index], self._options)

    def _take(self, answer: Answer) -> None:
        if isinstance(answer, list):
            seconds = time.perf_counter() - self._begun
            photo, box = self._photos[self._index], self._options.box
            self.made += [Made(head, photo, seconds, box) for head in answer]

    def _failure(self, error: ReconstructionError) -> Failure:
        failure = super()._failure(error)
        if not isinstance(error, NoFaceError):
            return failure
        return replace(failure, faceless=self._photos[self._index])

    def _next(self) -> None:
        if self._index + 1 == len(self._photos):
            self.done = True
            return
        self._index += 1
        self._asked = False
        self._fraction = 0.0
        self.station = "start"


class DownloadJob(Job):
    """Fetches MediaPipe's bundle.

    Parameters
    ----------
    client : Client
        The worker.
    folder : Path
        Where the bundle goes.
    """

    def __init__(self, client: Client, folder: Path) -> None:
        super().__init__(client)
        self._folder = folder

    @property
    def title(self) -> str:
        """What is downloaded."""
        return "MediaPipe's face model"

    def _ask(self) -> None:
        self._client.fetch_bundle(self._folder)

    def _take(self, answer: Answer) -> None:
        """Nothing: the file lies where it belongs."""


class PictureJob(Job):
    """Reads a photo to be looked at.

    Parameters
    ----------
    client : Client
        The worker.
    photo : Path
        The photo.
    max_side : int
        The longest side that the picture may have, in pixels.

    Attributes
    ----------
    picture : Picture or None
        The photo, once it is there.
    """

    def __init__(self, client: Client, photo: Path, max_side: int) -> None:
        super().__init__(client)
        self.picture: Picture | None = None
        self._photo = photo
        self._max_side = max_side

    @property
    def title(self) -> str:
        """The photo's name."""
        return self._photo.name

    def _ask(self) -> None:
        self.station = "photo"
        self._client.show_photo(self._photo, self._max_side)

    def _take(self, answer: Answer) -> None:
        if isinstance(answer, Picture):
            self.picture = answer


class StatusJob(Job):
    """Looks at what the worker has to work with.

    Attributes
    ----------
    status : Status or None
        It, once it is there.
    """

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.status: Status | None = None

    @property
    def title(self) -> str:
        """What is looked at."""
        return "Libraries and model files"

    def _ask(self) -> None:
        self._client.look()

    def _take(self, answer: Answer) -> None:
        if isinstance(answer, Status):
            self.status = answer
