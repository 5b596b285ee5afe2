"""What people note about a cause, and what they did to many records at once"""

from alembic import op
import sqlalchemy as sa

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')

revision = '0026'
down_revision = '0025'


def upgrade() -> None:
    op.create_table(
        'cause_marks',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('cause', sa.String(), nullable=False),
        sa.Column('note', sa.Text(), nullable=True),
        sa.Column('assignee', sa.String(), nullable=True),
        sa.Column('snoozed_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('marked_by', sa.String(), nullable=False),
        sa.Column('marked_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'cause'),
    )
    op.create_table(
        'bulk_actions',
        sa.Column('id', _ID, autoincrement=True, nullable=False),
        sa.Column('action', sa.String(), nullable=False),
        sa.Column('actor', sa.String(), nullable=False),
        sa.Column('reason', sa.Text(), nullable=True),
        sa.Column('connection', sa.String(), nullable=True),
        sa.Column('begun_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('undone_at', sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint('id'),
    )
    op.create_table(
        'bulk_events',
        sa.Column('bulk_id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('event_id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint('bulk_id', 'event_id'),
    )
