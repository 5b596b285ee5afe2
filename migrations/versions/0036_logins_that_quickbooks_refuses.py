"""With which code QuickBooks refuses a company although the login is good"""

from alembic import op
import sqlalchemy as sa


revision = '0036'
down_revision = '0035'


def upgrade() -> None:
    op.add_column('tokens', sa.Column('lost_code', sa.String(), nullable=True))
