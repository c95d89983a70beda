"""What people need: joins, stops, used links, sequences of sources, configurations that worked."""

from alembic import op

from dispatcher.journal.tables import alerts, incidents, metadata

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("joins", "sequences", "stops", "used_links", "configurations")


def upgrade() -> None:
    """Five tables more, and two indexes: incidents of one playbook, alerts that are held."""
    for name in TABLES:
        metadata.tables[name].create(op.get_bind(), checkfirst=True)
    for index in (*incidents.indexes, *alerts.indexes):
        index.create(op.get_bind(), checkfirst=True)
