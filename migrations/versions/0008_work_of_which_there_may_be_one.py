"""Leases on work of which there may be one at a time, apart from the polls' cursors"""

from alembic import op
import sqlalchemy as sa


revision = '0008'
down_revision = '0007'


def upgrade() -> None:

    op.create_table('leases',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('work', sa.String(), nullable=False),
    sa.Column('lease', sa.String(), nullable=False),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('connection', 'work')
    )
    op.create_index('leases_of', 'leases', ['lease'], unique=False)
