"""Small tables for charts, and loads that a person cancelled"""

from alembic import op
import sqlalchemy as sa


revision = '0025'
down_revision = '0024'


def upgrade() -> None:
    op.create_table(
        'booked_days',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('branch', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('sales', sa.BigInteger(), nullable=False),
        sa.Column('cents', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'day', 'branch'),
    )
    op.create_table(
        'read_days',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('what', sa.String(), nullable=False),
        sa.Column('reads', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'day', 'what'),
    )
    op.create_table(
        'hours',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('lag_seconds', sa.BigInteger(), nullable=False),
        sa.Column('causes', sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'at'),
    )
    op.add_column('backfills', sa.Column('cancelled_at', sa.DateTime(timezone=True), nullable=True))
