"""By how much the time between two polls of the books is longer than the setting"""

from alembic import op
import sqlalchemy as sa


revision = '0033'
down_revision = '0032'


def upgrade() -> None:
    op.add_column('cursors', sa.Column('stretch', sa.Integer(), nullable=False, server_default='1'))
