"""What a connection is called apart from its key, and whether it was removed"""

from alembic import op
import sqlalchemy as sa


revision = '0011'
down_revision = '0010'


def upgrade() -> None:

    with op.batch_alter_table('connections', schema=None) as batch_op:
        batch_op.add_column(sa.Column('display_name', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('status', sa.String(), server_default='active', nullable=False))
        batch_op.add_column(sa.Column('removed_at', sa.DateTime(timezone=True), nullable=True))

    op.execute('UPDATE connections SET display_name = name')
