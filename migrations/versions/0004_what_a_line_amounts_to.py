"""What a company of the books takes as the amount of a line"""

from alembic import op
import sqlalchemy as sa


revision = '0004'
down_revision = '0003'


def upgrade() -> None:

    with op.batch_alter_table('connections', schema=None) as batch_op:
        batch_op.add_column(sa.Column('line_amounts', sa.String(), server_default='rounded', nullable=False))
