"""What every result, every word and every look of the room asks stays quick, whatever else waits or was told before."""

from alembic import op

from dispatcher.journal.tables import alerts, deliveries, letters

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indexes: deliveries by state and alert in the place of those by state, letters by number, pages by time."""
    for index in (*deliveries.indexes, *letters.indexes, *alerts.indexes):
        index.create(op.get_bind(), checkfirst=True)
    op.drop_index("deliveries_by_state", "deliveries", if_exists=True)
