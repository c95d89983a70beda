"""What a start and every event ask stays quick over a long history."""

from alembic import op

from dispatcher.journal.tables import alerts, incidents

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Indexes: alerts by revision, purpose and time, those without rows, incidents by change; one that they make needless."""
    for index in (*incidents.indexes, *alerts.indexes):
        index.create(op.get_bind(), checkfirst=True)
    op.drop_index("ix_alerts_incident", "alerts", if_exists=True)
