"""What must not be forgotten: one ordered log of facts and the tables derived from it, on disk before anyone is told."""
