"""A Workflows webhook, for which any complete 2xx says that the flow was started, whatever it says."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

_STARTED = (Result.ACCEPTED, None)
_DENIED = (Result.PERMANENT, Reason.AUTH)
# No server error says that the flow was not started.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)

KIT = Kit(
    settings=lambda base: {"base_url": base, "credential": TOKEN},
    good={"nothing": "that is needed"},
    good_status=202,
    headers={"x-ms-workflow-run-id": "08584500000000000000000000000CU00"},
    deviations={
        **dict.fromkeys(("200 empty", "204", "200 empty list", "200 other object", "200 broken JSON"), _STARTED),
        "200 bottomless JSON": _STARTED,
        "200 login page": _DENIED,
        "404": _DENIED,
        "410": _DENIED,
        "503": _DOUBT,
        "503 with Retry-After": _DOUBT,
    },
)
