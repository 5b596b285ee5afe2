"""What the comparison of till and books came to, day by day"""

from alembic import op
import sqlalchemy as sa


revision = '0007'
down_revision = '0006'

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:

    op.create_table('agreement_days',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('status', sa.String(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('event_id', _ID, nullable=True),
    sa.Column('till_cents', sa.BigInteger(), nullable=False),
    sa.Column('books_cents', sa.BigInteger(), nullable=False),
    sa.Column('difference_cents', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('connection', 'day')
    )
    op.create_index('agreement_days_due', 'agreement_days', ['connection', 'due_at'])
    op.create_table('agreement_records',
    sa.Column('id', _ID, autoincrement=True, nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('cause', sa.String(), nullable=False),
    sa.Column('by_policy', sa.Boolean(), nullable=False),
    sa.Column('record', sa.String(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('fix', sa.Text(), nullable=True),
    sa.Column('event_id', _ID, nullable=True),
    sa.Column('cents', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_index('agreement_records_day', 'agreement_records', ['connection', 'day'])
