"""How far everything was read again after a till's markers began again"""

from alembic import op
import sqlalchemy as sa


revision = '0031'
down_revision = '0030'


def upgrade() -> None:
    op.add_column('cursors', sa.Column('reread_at', sa.BigInteger(), nullable=True))
    op.add_column('cursors', sa.Column('reread_until', sa.DateTime(timezone=True), nullable=True))
