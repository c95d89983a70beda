"""X's API v2, signed with OAuth 1.0a."""

from contract.kit import KEYS_VARIABLE, Kit

from dispatcher.model.delivery import Reason, Result

# No server error says that the post was not taken.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)

KIT = Kit(
    settings=lambda base: {"base_url": base, "credential": {"token_env": KEYS_VARIABLE}},
    good={"data": {"id": "1990000000000000001", "text": "text"}},
    good_status=201,
    uploads=lambda _base: [
        (200, {"data": {"id": "1880000000000000001"}}),
        (200, {"data": {"id": "1880000000000000001"}}),
    ],
    deviations={"503": _DOUBT, "503 with Retry-After": _DOUBT},
)
