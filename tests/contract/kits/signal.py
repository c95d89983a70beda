"""signal-cli-rest-api, which says 400 to nearly everything; what its words do not tell may have been sent."""

from contract.kit import TOKEN, Kit

from dispatcher.model.delivery import Reason, Result

KIT = Kit(
    settings=lambda base: {
        "base_url": base,
        "number": "+4917012345678",
        "group": "group.bGVlcg==",
        "credential": TOKEN,
    },
    good={"timestamp": "1790000000000"},
    good_status=201,
    deviations={"400": (Result.IN_DOUBT, Reason.SERVER_ERROR)},
)
