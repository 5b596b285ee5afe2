"""The sales of one connection are found without reading those of others"""

from alembic import op


revision = '0016'
down_revision = '0015'


def upgrade() -> None:
    op.create_index('sales_connection', 'sales', ['connection', 'day', 'id'])
