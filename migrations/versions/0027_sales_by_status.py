"""An index by which the sales of one connection in a state that is rare there are found"""

from alembic import op


revision = '0027'
down_revision = '0026'


def upgrade() -> None:
    op.create_index('sales_standing', 'sales', ['connection', 'status', 'day', 'id'])
