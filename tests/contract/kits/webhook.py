"""A receiver of signed webhooks, for which any complete 2xx is a receipt, whatever it says."""

from contract.kit import SECRET_VARIABLE, Kit

from dispatcher.model.delivery import Reason, Result

_RECEIPT = (Result.ACCEPTED, None)

KIT = Kit(
    settings=lambda base: {"url": f"{base}/hook", "secret_env": SECRET_VARIABLE},
    good={"received": True},
    deviations={
        **dict.fromkeys(("200 empty", "204", "200 empty list", "200 other object", "200 broken JSON"), _RECEIPT),
        "200 bottomless JSON": _RECEIPT,
        "200 login page": (Result.PERMANENT, Reason.AUTH),
    },
)
