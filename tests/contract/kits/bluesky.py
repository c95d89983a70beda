"""The AT Protocol: a login comes before the first record."""

from contract.kit import CANARY, TOKEN, Kit

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"

KIT = Kit(
    settings=lambda base: {"base_url": base, "identifier": "polizei.example", "credential": TOKEN},
    good={"uri": f"at://{DID}/app.bsky.feed.post/3l2qxoptmcc2a", "cid": "bafyrei"},
    uploads=lambda _base: [(200, {"blob": {"$type": "blob", "ref": {"$link": "bafkrei"}, "mimeType": "image/jpeg"}})],
    before=[
        (
            200,
            {
                "accessJwt": f"access-{CANARY}",
                "refreshJwt": f"refresh-{CANARY}",
                "did": DID,
                "handle": "polizei.example",
            },
        )
    ],
)
