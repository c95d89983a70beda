"""The first schema."""

from alembic import op

from dispatcher.journal.tables import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "meta", "facts", "events", "letters", "incidents", "alerts", "releases", "deliveries", "attempts", "sessions",
)  # fmt: skip


def upgrade() -> None:
    """Every table of the first release."""
    for name in TABLES:
        metadata.tables[name].create(op.get_bind(), checkfirst=True)
