"""Meta's Graph API."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

PAGE = "100000000000001"

# Without an error code of Meta's own, no server error says that the post was not taken.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)

KIT = Kit(
    settings=lambda base: {"base_url": base, "page_id": PAGE, "credential": TOKEN},
    good={"id": f"{PAGE}_1"},
    deviations={"503": _DOUBT, "503 with Retry-After": _DOUBT},
)
