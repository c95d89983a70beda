"""Instagram: a container, its state, its publication."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

# Without an error code of Meta's own, no server error says that the post was not taken.
_DOUBT = (Result.IN_DOUBT, Reason.SERVER_ERROR)

KIT = Kit(
    settings=lambda base: {
        "base_url": base,
        "user_id": "17841400000000001",
        "image_url": "https://polizei.example/card.jpg",
        "credential": TOKEN,
    },
    good={"id": "18000000000000001"},
    before=[(200, {"id": "17900000000000001"}), (200, {"id": "17900000000000001", "status_code": "FINISHED"})],
    deviations={"503": _DOUBT, "503 with Retry-After": _DOUBT},
)
