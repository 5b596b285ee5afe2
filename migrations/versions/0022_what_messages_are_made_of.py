"""The templates and values of messages for people, stored beside their English text"""

from alembic import op
import sqlalchemy as sa


revision = '0022'
down_revision = '0021'

_TABLES = ('inbox', 'journal', 'alerts')


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column('messages', sa.Text(), nullable=True))
