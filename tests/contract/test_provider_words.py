"""What single providers say in words of their own, and what each kind makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from contract.asking import ask
from contract.kit import SECRET, kit_of, post
from contract.provider import Behave, in_turn, says, sends

from dispatcher.channels.webhook import signature, signing_key
from dispatcher.model.alert import Purpose
from dispatcher.model.cap import Severity
from dispatcher.model.delivery import Reason, Result

PERMANENT, TEMPORARY, IN_DOUBT = Result.PERMANENT, Result.TEMPORARY, Result.IN_DOUBT


def _graph(code: int, **more: Any) -> dict[str, Any]:
    return {"error": {"message": "said", "type": "OAuthException", "code": code, "fbtrace_id": "A1", **more}}


@pytest.mark.parametrize(
    ("status", "error", "result", "reason"),
    [
        (400, _graph(506), PERMANENT, Reason.DUPLICATE),
        (400, _graph(190, error_subcode=463), PERMANENT, Reason.AUTH),
        (500, _graph(190), PERMANENT, Reason.AUTH),
        (400, _graph(10), PERMANENT, Reason.AUTH),
        (403, _graph(275), PERMANENT, Reason.AUTH),
        (400, _graph(368), PERMANENT, Reason.AUTH),
        (400, _graph(32), TEMPORARY, Reason.RATE_LIMITED),
        (403, _graph(80001), TEMPORARY, Reason.RATE_LIMITED),
        (400, _graph(2), TEMPORARY, Reason.SERVER_ERROR),
        (500, _graph(1), IN_DOUBT, Reason.SERVER_ERROR),
        (400, _graph(9999, is_transient=True), TEMPORARY, Reason.SERVER_ERROR),
        (401, _graph(100), PERMANENT, Reason.REJECTED),
        (200, _graph(100), PERMANENT, Reason.REJECTED),
        (500, {"error": {"code": "no number"}}, IN_DOUBT, Reason.SERVER_ERROR),
    ],
)
async def test_facebook_is_judged_by_its_own_code(status: int, error: Any, result: Result, reason: Reason) -> None:
    """The error code decides, whatever HTTP status it came with, and the trace for Meta's support is kept."""
    outcome, _ = await ask("facebook_page", says(status, error))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.provider_id == ""
    if "message" in error["error"]:
        assert "A1" in outcome.detail


@pytest.mark.parametrize(
    ("usage", "wait"),
    [
        ({"1": [{"estimated_time_to_regain_access": 3}, {"estimated_time_to_regain_access": 19}]}, 19),
        ({"1": [{"estimated_time_to_regain_access": 10**30}]}, 1440),
        ({"1": [{"estimated_time_to_regain_access": "soon"}], "2": "x", "3": [7]}, None),
        ([1], None),
    ],
)
async def test_facebook_names_its_wait_in_minutes(usage: Any, wait: int | None) -> None:
    """The longest wait of the usage header is kept, at most a day, and nonsense is no wait at all."""
    behave = says(400, _graph(32), {"X-Business-Use-Case-Usage": json.dumps(usage)})
    outcome, _ = await ask("facebook_page", behave)
    assert outcome.retry_after == (None if wait is None else timedelta(minutes=wait))


async def test_facebook_probe_knows_whose_token_it_is() -> None:
    """A token of another page is found before an alert needs it."""
    outcome, _ = await ask("facebook_page", says(200, {"id": "2", "name": "other"}), "probe")
    assert (outcome.result, outcome.reason) == (PERMANENT, Reason.AUTH)


@pytest.mark.parametrize(
    ("status", "error", "result", "reason"),
    [
        (422, "Validation failed: Text character limit of 500 exceeded", PERMANENT, Reason.TOO_LONG),
        (422, "Cannot attach files that have not finished processing", TEMPORARY, Reason.SERVER_ERROR),
        (422, "Validation failed: Text can't be blank", PERMANENT, Reason.REJECTED),
    ],
)
async def test_mastodon_tells_one_422_from_another(status: int, error: str, result: Result, reason: Reason) -> None:
    """Too long, not yet ready and refused are three things."""
    outcome, _ = await ask("mastodon", says(status, {"error": error}))
    assert (outcome.result, outcome.reason) == (result, reason)


@pytest.mark.parametrize(
    ("reset", "least", "most"),
    [
        ((datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z"), 3000, 3600),
        ("2020-01-01T00:00:00.123456Z", 0, 0),
        ("9999-12-31T00:00:00Z", 86_400, 86_400),
        ("2020-01-01T00:00:00", 9, 9),
        ("1790000000 or so", 9, 9),
    ],
    ids=["in an hour", "over", "far away", "without an offset", "garbage"],
)
async def test_mastodon_says_when_its_limit_ends(reset: str, least: int, most: int) -> None:
    """The reset is a time stamp; where it is none, Retry-After counts."""
    outcome, _ = await ask("mastodon", says(429, {}, {"X-RateLimit-Reset": reset, "Retry-After": "9"}))
    assert timedelta(seconds=least) <= outcome.retry_after <= timedelta(seconds=most)


@pytest.mark.parametrize("status", [404, 410])
async def test_mastodon_deleting_what_is_gone_is_done(status: int) -> None:
    """A status that is not there any more counts as deleted."""
    outcome, _ = await ask("mastodon", says(status, {"error": "Record not found"}), "delete", target="1")
    assert outcome.result is Result.ACCEPTED


async def test_mastodon_posts_in_public_with_language_and_key() -> None:
    """The status says its language and its idempotency key and is visible to everyone."""
    _, heard = await ask("mastodon", says(200, kit_of("mastodon").good))
    assert heard.body()["visibility"] == "public"
    assert heard.body()["language"] == "de"
    assert f"Idempotency-Key: {post().key}" in heard.head()


@pytest.mark.parametrize(
    ("state", "result", "reason"),
    [("STARTING", TEMPORARY, Reason.SERVER_ERROR), ("SCAN_QR_CODE", PERMANENT, Reason.AUTH)],
)
async def test_waha_session_decides_whether_waiting_helps(state: str, result: Result, reason: Reason) -> None:
    """A starting session is worth another try, any other state needs a person; sending and probing agree."""
    refused = says(422, {"error": "Session status is not as expected", "status": state, "expected": ["WORKING"]})
    sent, _ = await ask("whatsapp_channel", refused)
    probed, _ = await ask("whatsapp_channel", says(200, {"name": "default", "status": state}), "probe")
    assert (sent.result, sent.reason) == (probed.result, probed.reason) == (result, reason)
    assert state in sent.detail


@pytest.mark.parametrize("wrap", [lambda row: row, lambda row: {"viewCount": 3, "message": row}])
async def test_waha_is_not_believed_when_the_post_is_still_there(wrap: Any) -> None:
    """A deletion that WAHA reports but did not do is handed to a person."""
    behave = in_turn(says(200, {"status": "PENDING"}), says(200, [wrap({"id": "true_1_A", "body": "still here"})]))
    outcome, heard = await ask("whatsapp_channel", behave, "delete", target="true_1_A")
    assert (outcome.result, outcome.reason) == (PERMANENT, Reason.REJECTED)
    assert "by hand" in outcome.detail
    assert len(heard.requests) == 2


async def test_waha_paths_keep_their_encoding() -> None:
    """The @ of a chat leaves as %40, as WAHA wants it."""
    _, heard = await ask("whatsapp_channel", says(200, []), "find")
    assert "/chats/120363000000000001%40newsletter/messages?" in heard.head()


@pytest.mark.parametrize(
    ("status", "code", "result", "reason", "wait"),
    [
        (429, 42901, TEMPORARY, Reason.RATE_LIMITED, 5),
        (429, 42908, PERMANENT, Reason.RATE_LIMITED, None),
        (429, 42905, PERMANENT, Reason.RATE_LIMITED, None),
        (401, 40101, PERMANENT, Reason.AUTH, None),
        (413, 41301, PERMANENT, Reason.TOO_LONG, None),
    ],
)
async def test_ntfy_daily_limits_are_for_people(
    status: int, code: int, result: Result, reason: Reason, wait: int | None
) -> None:
    """A limit that ends at midnight is not waited for; the ordinary one is, for a few seconds."""
    outcome, _ = await ask("ntfy", says(status, {"code": code, "http": status, "error": "limit reached"}))
    assert (outcome.result, outcome.reason) == (result, reason)
    assert outcome.retry_after == (None if wait is None else timedelta(seconds=wait))


@pytest.mark.parametrize(
    ("purpose", "severity", "priority"),
    [
        (Purpose.PAGE, Severity.MINOR, 5),
        (Purpose.ALERT, Severity.EXTREME, 5),
        (Purpose.ALERT, Severity.SEVERE, 4),
        (Purpose.UPDATE, Severity.MODERATE, 3),
        (Purpose.ALL_CLEAR, Severity.EXTREME, 4),
    ],
)
async def test_ntfy_rings_by_severity(purpose: Purpose, severity: Severity, priority: int) -> None:
    """A page and an extreme alert ring through a phone's silence; the headline stands once, as the title."""
    _, heard = await ask("ntfy", says(200, kit_of("ntfy").good), purpose=purpose, severity=severity)
    message = heard.body()
    assert message["priority"] == priority
    assert message["title"] == "Polizeieinsatz in Leer"
    assert message["message"].startswith("Bleiben Sie in Gebäuden.")
    assert message["topic"] == "duty-team"
    assert message["sequence_id"] == post().key


async def test_ntfy_poll_reads_line_by_line() -> None:
    """Broken lines and other events of a topic do not hide our own message."""
    ours = json.dumps({"event": "message", "id": "m1", "message": f"text {post().code}"}).encode()
    other = json.dumps({"event": "message_clear", "id": "m0", "message": f"text {post().code}"}).encode()
    body = b"\n".join([b'{"event": "open"}', b"nonsense", other, ours, b""])
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    outcome, _ = await ask("ntfy", sends(answer), "find")
    assert (outcome.result, outcome.provider_id) == (Result.VISIBLE, "m1")


def test_signature_is_the_one_of_the_standard() -> None:
    """The published example of Standard Webhooks comes out to the letter."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_ähm", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_a_secret_that_is_none_is_refused_without_repeating_it(secret: str) -> None:
    """A wrong secret fails at connect, and the error does not show it."""
    with pytest.raises(ValueError, match="whsec_ and") as raised:
        signing_key(secret)
    assert len(secret) < 7 or secret not in str(raised.value)


@pytest.mark.parametrize(
    ("verb", "purpose", "type_"),
    [
        ("send", Purpose.ALERT, "alert.published"),
        ("send", Purpose.PAGE, "alert.published"),
        ("send", Purpose.UPDATE, "alert.updated"),
        ("send", Purpose.FALSE_ALARM, "alert.cancelled"),
        ("edit", Purpose.FALSE_ALARM, "alert.corrected"),
        ("delete", Purpose.FALSE_ALARM, "alert.retracted"),
    ],
)
async def test_webhook_receivers_can_check_what_they_get(verb: str, purpose: Purpose, type_: str) -> None:
    """The signature fits the very bytes that left, and the event says what happened to which post."""
    _, heard = await ask("webhook", says(202, {}), verb, purpose=purpose, target="first" if verb != "send" else "")
    headers = dict(line.split(": ", 1) for line in heard.head().split("\r\n")[1:])
    body = heard.requests[-1].partition(b"\r\n\r\n")[2]
    signed = signature(signing_key(SECRET), headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == signed
    event = heard.body()
    assert event["type"] == type_
    assert event["data"]["code"] == post().code
    assert event["data"].get("target") == ("first" if verb != "send" else None)


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("linkedin_page", "find"), ("linkedin_page", "probe"), ("linkedin_page", "edit"), ("linkedin_page", "delete"),
        ("bluesky", "find"), ("bluesky", "probe"), ("bluesky", "delete"),
        ("telegram", "probe"), ("telegram", "edit"), ("telegram", "delete"),
        ("instagram", "find"), ("instagram", "probe"), ("instagram", "delete"),
        ("threads", "find"), ("threads", "probe"), ("threads", "delete"),
        ("whatsapp_cloud", "probe"), ("fcm", "probe"),
        ("x", "find"), ("x", "probe"), ("x", "delete"),
        ("matrix", "find"), ("matrix", "probe"), ("matrix", "edit"), ("matrix", "delete"),
        ("signal", "probe"), ("signal", "edit"), ("signal", "delete"),
        ("gotify/client", "find"), ("gotify/client", "probe"), ("gotify/client", "delete"),
        ("slack", "find"), ("slack", "probe"), ("slack", "edit"), ("slack", "delete"),
        ("whatsapp_channel", "find"), ("facebook_page", "find"), ("mastodon", "find"),
        ("whatsapp_channel", "probe"), ("facebook_page", "probe"), ("mastodon", "probe"), ("ntfy", "probe"),
        ("facebook_page", "edit"), ("mastodon", "edit"), ("ntfy", "edit"),
        ("facebook_page", "delete"), ("mastodon", "delete"), ("ntfy", "delete"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("behave", [says(500, {}), sends(b"")], ids=["500", "closed"])
async def test_what_may_be_done_twice_is_never_in_doubt(kind: str, verb: str, behave: Behave) -> None:
    """Reading, replacing and deleting do no harm twice, so whatever is unclear is only tried again."""
    outcome, _ = await ask(kind, behave, verb, target="1")
    assert outcome.result is Result.TEMPORARY
