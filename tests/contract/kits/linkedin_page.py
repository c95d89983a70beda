"""LinkedIn's Posts API: the id of a post comes in a header, and the body is empty or of no interest."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

# No server error says that the post was not taken.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)

IMAGE = "urn:li:image:C4D00000000000000001"

KIT = Kit(
    settings=lambda base: {"base_url": base, "organization_id": "123456", "credential": TOKEN},
    good={"nothing": "that is needed"},
    good_status=201,
    headers={"x-restli-id": "urn:li:share:7400000000000000001"},
    uploads=lambda base: [
        (200, {"value": {"uploadUrl": f"{base}/dms-uploads/1", "uploadUrlExpiresAt": 1, "image": IMAGE}}),
        (201, None),
        (200, {"id": IMAGE, "status": "AVAILABLE"}),
    ],
    deviations={"503": _DOUBT, "503 with Retry-After": _DOUBT},
)
