"""What the reasons of a difference between till and books are made of"""

from alembic import op
import sqlalchemy as sa


revision = '0030'
down_revision = '0029'


def upgrade() -> None:
    op.add_column('agreement_records', sa.Column('messages', sa.Text(), nullable=True))
