"""The gateway signal-cli-rest-api under ``/signal``; an account is a group's id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from dispatcher.wall.board import Service, Shown
from dispatcher.wall.doubles.base import Double, read_object

_FIRST = 1_790_000_000_000


class Signal(Double):
    """Knows every number and group. Like the real one it never says that there is nothing to change or to take back."""

    def routes(self) -> Sequence[web.RouteDef]:
        """Send or change, take back, and what the group is."""
        return [
            web.post("/signal/v2/send", self.send),
            web.delete("/signal/v1/remote-delete/{number}", self.delete),
            web.get("/signal/v1/groups/{number}/{group}", self.group),
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """201 with the message's time stamp."""
        data = await read_object(request)
        group = str((data.get("recipients") or [""])[0])

        def take() -> web.Response:
            """Show the message, or change one."""
            if not group.startswith("group."):
                return web.json_response({"error": "Invalid group id"}, status=400)
            self._show(group, data)
            return self._stamp()

        return await self.serve(request, group, take)

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """201 with the time stamp of the deletion."""
        data = await read_object(request)
        group = str(data.get("recipient", ""))

        def take() -> web.Response:
            """Take the message back."""
            if post := self._meant(group, data.get("timestamp")):
                self.board.delete(post)
            return self._stamp()

        return await self.serve(request, group, take)

    async def group(self, request: web.Request) -> web.StreamResponse:
        """A group that the number is in."""
        group, number = request.match_info["group"], request.match_info["number"]
        rights = {"add_members": "only-admins", "edit_group": "only-admins", "send_messages": "only-admins"}
        about = {
            "id": group, "internal_id": group, "name": self.board.titles.get(group, group), "description": "",
            "member": True, "blocked": False, "members": [number], "admins": [number], "pending_invites": [],
            "pending_requests": [], "invite_link": "", "permissions": rights,
        }  # fmt: skip
        return await self.serve(request, group, lambda: web.json_response(about))

    def _show(self, group: str, data: dict[str, Any]) -> None:
        text, edited = str(data.get("message", "")), data.get("edit_timestamp")
        if edited is None:
            self.board.add(Service.SIGNAL, group, str(_FIRST + len(self.board)), text)
        elif post := self._meant(group, edited):
            self.board.edit(post, text)

    def _meant(self, group: str, timestamp: Any) -> Shown | None:
        return self.board.find(group, str(timestamp))

    def _stamp(self) -> web.Response:
        """A time stamp as the gateway's newest one, which is that of the newest message."""
        return web.json_response({"timestamp": str(_FIRST + len(self.board) - 1)}, status=201)
