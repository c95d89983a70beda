"""Nobody passes unknown: every route, tokens, sessions, foreign pages, one-time links, guessing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from integration.console_kit import PEOPLE, SOURCE_TOKEN, TOKENS, Room, control_room, event

from dispatcher.console.auth import FAILURES, sha256
from dispatcher.console.context import CONTEXT
from dispatcher.console.routing import COOKIE

OPEN = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login")}
# The page leads to the log-in, and to begin a session one shows a token in the body.
OTHERWISE = {
    ("GET", "/"): (303, "/login"),
    ("GET", "/readiness"): (303, "/login"),
    ("POST", "/api/v1/session"): (422, None),
}
# A link is its own credential: one that we did not sign opens nothing.
OTHERWISE |= {("GET", "/act/{token}"): (410, None), ("POST", "/act/{token}"): (410, None)}


async def log_in(room: Room, token: str = "operator-token") -> dict[str, str]:
    """Begin a session; the header that belongs to it."""
    response = await room.ask("POST", "/api/v1/session", as_=None, json={"token": token})
    assert response.status == 201, await response.text()
    value = response.cookies[COOKIE].value
    room.client.session.cookie_jar.clear()
    return {"Cookie": f"{COOKIE}={value}"}


def ours(room: Room) -> dict[str, str]:
    """The Origin that our own pages send."""
    return {"Origin": str(room.client.make_url("/")).rstrip("/")}


async def test_no_route_answers_an_unknown_caller(tmp_path: Path) -> None:
    """Of all routes of the router, only liveness, readiness, log-in and the page's files are open; loopback is no exception."""
    async with control_room(tmp_path) as room:
        asked = 0
        for route in room.client.app.router.routes():
            path = route.resource.canonical
            if (route.method, path) in OPEN or path.startswith("/static/"):
                continue
            response = await room.ask(route.method, path.replace("{id}", "x").replace("{token}", "x"), as_=None)
            wanted = OTHERWISE.get((route.method, path), (401, None))
            assert (response.status, response.headers.get("Location")) == wanted, f"{route.method} {path}"
            asked += 1
        assert asked > 25


async def test_an_unknown_token_is_refused_in_the_words_of_http(tmp_path: Path) -> None:
    """A wrong token gets 401 with WWW-Authenticate: Bearer and a problem."""
    async with control_room(tmp_path) as room:
        response = await room.ask("GET", "/api/v1/incidents", as_="wrong")
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.content_type == "application/problem+json"
        problem = await response.json()
        assert {"type", "title", "status", "detail"} <= set(problem)
        assert (problem["status"], problem["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/incidents", {"viewer-token", "operator-token", "second-token", "spare-token", "supervisor-token"}),
        ("GET", "/metrics", {"viewer-token", "operator-token", "second-token", "spare-token", "supervisor-token"}),
        ("POST", "/api/v1/playbooks/fire/preview", {"operator-token", "second-token", "spare-token", "supervisor-token"}),
        ("POST", "/api/v1/alerts/x/release", {"operator-token", "second-token", "spare-token", "supervisor-token"}),
        ("POST", "/api/v1/incidents/x/assign", {"operator-token", "second-token", "spare-token", "supervisor-token"}),
        ("POST", "/api/v1/events", {*TOKENS} - {"viewer-token"}),
    ],
)  # fmt: skip
async def test_a_role_does_what_it_may_and_nothing_else(
    tmp_path: Path, method: str, path: str, allowed: set[str]
) -> None:
    """A viewer changes nothing, a source sees nothing, and who operates may do both."""
    async with control_room(tmp_path) as room:
        answers = {token: (await room.ask(method, path, as_=token)).status for token in TOKENS}
        assert {token for token, status in answers.items() if status != 403} == allowed


async def test_guessing_is_slowed_and_the_right_token_still_works(tmp_path: Path) -> None:
    """After ten wrong tokens in a minute an address gets 429; who has a right one is not locked out by it."""
    async with control_room(tmp_path) as room:
        statuses = [(await room.ask("GET", "/api/v1/incidents", as_=f"wrong-{n}")).status for n in range(FAILURES + 2)]
        assert statuses == [401] * FAILURES + [429] * 2
        refused = await room.ask("POST", "/api/v1/session", as_=None, json={"token": "wrong"})
        assert (refused.status, refused.headers["Retry-After"]) == (429, "60")
        assert (await room.ask("GET", "/login?ticket=wrong", as_=None)).status == 429
        assert (await room.ask("GET", "/api/v1/incidents")).status == 200


async def test_a_session_is_a_person_until_it_ends(tmp_path: Path) -> None:
    """A session's cookie carries its person and role, is closed to scripts and other sites, and is worthless after its end."""
    async with control_room(tmp_path) as room:
        response = await room.ask("POST", "/api/v1/session", as_=None, json={"token": "operator-token"})
        assert await response.json() == {"person": "Leitstelle A", "role": "operator"}
        morsel = response.cookies[COOKIE]
        assert (morsel["httponly"], morsel["samesite"], morsel["path"], morsel["max-age"]) == (
            True,
            "Strict",
            "/",
            "28800",
        )
        assert not morsel["secure"]  # this test speaks plain HTTP
        room.client.session.cookie_jar.clear()
        session = {"Cookie": f"{COOKIE}={morsel.value}"}
        assert (await room.ask("GET", "/", as_=None, headers=session)).status == 200
        assert (await room.ask("GET", "/api/v1/incidents", as_=None, headers=session)).status == 200
        assert (await room.ask("DELETE", "/api/v1/session", as_=None, headers=session | ours(room))).status == 204
        assert (await room.ask("GET", "/api/v1/incidents", as_=None, headers=session)).status == 401


async def test_the_journal_cannot_give_a_session_away(tmp_path: Path) -> None:
    """Of a session's cookie the journal's files hold nothing but the hash."""
    async with control_room(tmp_path) as room:
        value = (await log_in(room))["Cookie"].partition("=")[2].encode()
        assert len(value) >= 43
        assert [path.name for path in tmp_path.iterdir() if value in path.read_bytes()] == []


async def test_a_session_survives_a_restart(tmp_path: Path) -> None:
    """Sessions are in the journal: a restarted daemon knows them."""
    async with control_room(tmp_path) as room:
        session = await log_in(room)
    async with control_room(tmp_path) as room:
        assert (await room.ask("GET", "/api/v1/incidents", as_=None, headers=session)).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}],
)  # fmt: skip
async def test_a_foreign_page_cannot_use_somebodys_session(tmp_path: Path, headers: dict[str, str]) -> None:
    """With a session, a change that does not come from our own page is refused and does nothing."""
    async with control_room(tmp_path) as room:
        session = await log_in(room)
        body = {"place": "Bahnhof", "regions": ["leer"]}
        path = "/api/v1/playbooks/fire/trigger"
        response = await room.ask("POST", path, as_=None, headers=session | headers, json=body)
        assert response.status == 403
        assert (await room.get("incidents"))["incidents"] == []


@pytest.mark.parametrize("how", ["origin", "fetch"])
async def test_our_own_page_can_use_a_session(tmp_path: Path, how: str) -> None:
    """With a session, a change from our own page is done, in the person's name."""
    async with control_room(tmp_path) as room:
        session = await log_in(room)
        own = ours(room) if how == "origin" else {"Sec-Fetch-Site": "same-origin"}
        body = {"place": "Bahnhof", "regions": ["leer"]}
        response = await room.ask(
            "POST", "/api/v1/playbooks/fire/trigger", as_=None, headers=session | own, json=body
        )  # fmt: skip
        assert response.status == 201
        assert (await response.json())["receipt"]["source"] == "operator:Leitstelle A"


async def test_a_foreign_page_cannot_log_anybody_in(tmp_path: Path) -> None:
    """A session is not begun for a page of another site, not even with a right token."""
    async with control_room(tmp_path) as room:
        headers = {"Origin": "https://evil.example"}
        body = {"token": "operator-token"}
        assert (await room.ask("POST", "/api/v1/session", as_=None, headers=headers, json=body)).status == 403


async def test_sessions_are_for_people(tmp_path: Path) -> None:
    """A source's token begins no session, and an unknown one neither."""
    async with control_room(tmp_path) as room:
        assert (await room.ask("POST", "/api/v1/session", as_=None, json={"token": SOURCE_TOKEN})).status == 403
        assert (await room.ask("POST", "/api/v1/session", as_=None, json={"token": "wrong"})).status == 401


async def test_a_login_link_works_once(tmp_path: Path) -> None:
    """A one-time link begins a session and leads to the page; a second use of it does neither."""
    async with control_room(tmp_path) as room:
        context = room.client.app[CONTEXT]
        link = f"/login?ticket={context.tickets.issue('Leitstelle A', 'operator')}"
        first = await room.ask("GET", link, as_=None)
        assert (first.status, first.headers["Location"]) == (303, "/")
        session = {"Cookie": f"{COOKIE}={first.cookies[COOKIE].value}"}
        room.client.session.cookie_jar.clear()
        assert (await room.ask("GET", "/", as_=None, headers=session)).status == 200
        second = await room.ask("GET", link, as_=None)
        assert (second.status, COOKIE in second.cookies) == (401, False)


async def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    """Whose token is revoked is out at once, session or not; whose role shrinks does no more than that role may."""
    file = tmp_path / "tokens.yaml"

    def write(role: str) -> None:
        entry = {"id": "t1", "sha256": sha256("mine"), "role": role, "person": "anna"}
        file.write_text(json.dumps({"tokens": [entry] if role else []}))

    write("operator")
    async with control_room(tmp_path, tokens_file=file) as room:
        begun = await room.ask("POST", "/api/v1/session", as_=None, json={"token": "mine"})
        session = {"Cookie": f"{COOKIE}={begun.cookies[COOKIE].value}"}
        room.client.session.cookie_jar.clear()
        for role, status in (("operator", 200), ("viewer", 401), ("", 401), ("supervisor", 200)):
            write(role)
            assert (await room.ask("GET", "/api/v1/alerts", as_=None, headers=session)).status == status


async def test_a_machine_speaks_only_for_itself(tmp_path: Path) -> None:
    """A source's token cannot report events of another source, nor of a person."""
    async with control_room(tmp_path) as room:
        for claimed in ("another", "operator:Leitstelle A"):
            problem = await room.post("events", event(id=claimed, source=claimed), as_=SOURCE_TOKEN, status=400)
            assert problem["field"] == "source"


async def test_every_answer_is_hardened(tmp_path: Path) -> None:
    """No answer, good or bad, may be framed, sniffed, cached, or run foreign code."""
    async with control_room(tmp_path) as room:
        for path in ("/", "/login", "/static/console.css", "/api/v1/incidents", "/nowhere", "/healthz"):
            headers = (await room.ask("GET", path)).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"


async def test_no_secret_comes_back(tmp_path: Path) -> None:
    """No answer to a viewer contains a token."""
    async with control_room(tmp_path) as room:
        await room.trigger()
        for path in ("snapshot", "incidents", "alerts", "deliveries", "channels", "playbooks", "letters"):
            text = await (await room.ask("GET", f"/api/v1/{path}", as_="viewer-token")).text()
            assert not [token for token in (*PEOPLE, SOURCE_TOKEN) if token in text]
