"""What all processes count, and how much of their pools they use"""

from alembic import op
import sqlalchemy as sa


revision = '0003'
down_revision = '0002'


def upgrade() -> None:

    op.create_table('tallies',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('labels', sa.String(), nullable=False),
    sa.Column('value', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('name', 'labels')
    )
    with op.batch_alter_table('processes', schema=None) as batch_op:
        batch_op.add_column(sa.Column('pool_size', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('pool_used', sa.Integer(), nullable=True))
