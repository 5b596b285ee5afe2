"""Loads that a person paused, and when the first webhook of each system arrived"""

from alembic import op
import sqlalchemy as sa


revision = '0023'
down_revision = '0022'


def upgrade() -> None:
    op.add_column('backfills', sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        'first_webhooks',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('system', sa.String(), nullable=False),
        sa.Column('arrived_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'system'),
    )
