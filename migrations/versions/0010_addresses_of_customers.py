"""The e-mail addresses of the books' customers"""

from alembic import op
import sqlalchemy as sa


revision = '0010'
down_revision = '0009'


def upgrade() -> None:

    op.create_table('customer_addresses',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('customer_id', sa.String(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('connection', 'customer_id', 'digest')
    )
    op.create_index('customer_addresses_digest', 'customer_addresses', ['connection', 'digest'], unique=False)
