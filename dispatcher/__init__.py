"""Crisis alerting for control rooms: incident events in over MQTT, the right words out on every regional channel at once."""

__version__ = "0.1.0"
