# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""What lives as long as the add-on is registered: the worker, and the job that it is at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ..worker.client import Client, Settings
from ..worker.status import Status
from .job import Job

if TYPE_CHECKING:
    import bpy

    from .overlay import Overlay

AnyJob = TypeVar("AnyJob", bound=Job)


class Session:
    """The add-on's worker, started when it is needed, and the job of the moment.

    Parameters
    ----------
    make_client : callable
        Makes the worker's client from its settings; tests put another worker in its place.

    Attributes
    ----------
    job : Job or None
        What the worker is at, or was at last.
    folder : str
        Where the last photos were chosen, or nothing.
    faceless : list of Path
        Photos of the last run in which no face was found.
    status : Status or None
        What the worker had to work with when it was looked at last.
    overlay : Overlay or None
        The photo that covers a viewport, if one does.
    """

    def __init__(self, make_client: Callable[[Settings], Client] = Client) -> None:
        self.job: Job | None = None
        self.folder = ""
        self.faceless: list[Path] = []
        self.status: Status | None = None
        self.overlay: Overlay | None = None
        self._make_client = make_client
        self._client: Client | None = None

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self.job is not None and not self.job.done

    @property
    def worker_is_alive(self) -> bool:
        """Whether a worker process holds memory."""
        return self._client is not None and self._client.alive

    @property
    def process_id(self) -> int | None:
        """The worker's process id, or None when there is none."""
        return self._client.process_id if self._client is not None else None

    def begin(self, settings: Settings, make_job: Callable[[Client], AnyJob]) -> AnyJob:
        """Begin a job; `Job.step` or `Job.wait` carries it on.

        Parameters
        ----------
        settings : Settings
            What the worker is to be started with; one with other settings is ended.
        make_job : callable
            Makes the job from the worker's client.

        Returns
        -------
        Job
            The job, which is also the session's.
        """
        if self._client is None or self._client.settings != settings:
            self.release()
            self._client = self._make_client(settings)
        job = make_job(self._client)
        self.job = job
        return job

    def close_overlay(self) -> None:
        """Take the photo off the viewport, if one covers it."""
        if self.overlay is not None:
            self.overlay.close()
            self.overlay = None

    def release(self) -> None:
        """End the worker and give its memory back; a job under way is cancelled."""
        if self.job is not None and not self.job.done:
            self.job.cancel()
        self.job = None
        if self._client is not None:
            self._client.release()
            self._client = None


def session_of(context: bpy.types.Context) -> Session:
    """Give the session that `registration.register` has made.

    Parameters
    ----------
    context : Context
        Any.

    Returns
    -------
    Session
        The one session.
    """
    session: Session = context.window_manager.vrn_session
    return session
