"""The key of what an event waits for, apart from the record that people read"""

from alembic import op
import sqlalchemy as sa


revision = '0015'
down_revision = '0014'


def upgrade() -> None:
    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.add_column(sa.Column('cause', sa.String(), nullable=True))
