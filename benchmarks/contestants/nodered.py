"""Node-RED: a flow of three nodes, MQTT in, a function that makes a message for each channel, an HTTP request."""

from __future__ import annotations

import contextlib
import json
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator

from benchmarks.contestants.base import START_SECONDS, Field, Running, over_mqtt
from benchmarks.machine import needed, process, program, says
from dispatcher.intake.embedded import free_port

_TOPIC = "node-red/incidents"
_SETTINGS = """\
module.exports = {
  flowFile: "flows.json", credentialSecret: false, uiHost: "127.0.0.1", httpAdminRoot: false, httpNodeRoot: false,
  telemetry: { enabled: false }, editorTheme: { tours: false }, logging: { console: { level: "info" } },
};
"""
_FUNCTION = """\
const text = `Polizeieinsatz in ${msg.payload.place}. `.repeat(8);
const payload = { incident: msg.payload.incident, text };
return [urls.map(url => ({ url, method: "POST", payload, headers: { "content-type": "application/json" } }))];
"""


def missing() -> str:
    """Why it cannot be measured here."""
    return "" if program("node-red") else "Node-RED is not installed (npm install -g node-red)"


@contextlib.asynccontextmanager
async def running(field: Field) -> AsyncIterator[Running]:
    """The server without its editor, once its flow is connected to the broker."""
    home = field.directory / "node-red"
    home.mkdir()
    (home / "settings.js").write_text(_SETTINGS)
    (home / "flows.json").write_text(json.dumps(_flow(field)))
    login = {"user": field.broker.username, "password": field.broker.password}
    (home / "flows_cred.json").write_text(json.dumps({"broker": login}))
    command = (needed("node-red"), "--userDir", str(home), "--port", str(free_port()))
    async with process(*command, stdout=PIPE, stderr=STDOUT) as started:
        assert started.stdout
        await says(started.stdout, b"Connected to broker", START_SECONDS)
        yield over_mqtt(field, started.pid, _TOPIC)


def _flow(field: Field) -> list[dict[str, object]]:
    function = f"const urls = {json.dumps(field.urls)};\n{_FUNCTION}"
    broker = {"broker": "127.0.0.1", "port": str(field.broker.port), "usetls": False, "protocolVersion": "4"}
    events = {"topic": _TOPIC, "qos": "1", "datatype": "json", "broker": "broker", "inputs": 0}
    return [
        {"id": "tab", "type": "tab", "label": "alarm"},
        {
            "id": "broker",
            "type": "mqtt-broker",
            **broker,
            "clientid": "node-red",
            "keepalive": "60",
            "cleansession": True,
        },
        {"id": "in", "type": "mqtt in", "z": "tab", **events, "wires": [["fan"]]},
        {"id": "fan", "type": "function", "z": "tab", "func": function, "outputs": 1, "wires": [["post"]]},
        {
            "id": "post",
            "type": "http request",
            "z": "tab",
            "method": "use",
            "ret": "txt",
            "persist": True,
            "wires": [[]],
        },
    ]
