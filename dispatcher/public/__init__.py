"""What strangers may reach: a listener of its own, off by default, that knows nothing of incidents and decides nothing."""
