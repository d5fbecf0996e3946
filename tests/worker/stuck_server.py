# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 vrn_blender authors
"""The real server, with a service that never comes to an end: busy, or stuck in native code."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from vrn_blender.worker import protocol, server
from vrn_blender.worker.client import Settings, server_command


def stuck_command(settings: Settings, folder: Path) -> list[str]:
    """Start this file in the server's place."""
    command = server_command(settings, folder)
    place = command.index("-m")
    return [*command[:place], __file__, *command[place + 2 :]]


class StuckService(server.Service):
    def answer(self, request: protocol.Message, send: server.Send) -> None:
        print("a library prints something on stdout")
        send({"type": "progress", "id": request["id"], "station": "photo", "fraction": 0.0})
        if Path(request["photo"]).stem == "native":
            # PyDLL keeps the interpreter's lock, so no other Python thread runs meanwhile.
            ctypes.PyDLL(None).sleep(60)
        while True:
            sum(range(1000))


if __name__ == "__main__":
    server.Service = StuckService  # type: ignore[misc]
    server.main(sys.argv[1:])
