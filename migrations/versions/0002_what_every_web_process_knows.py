"""What every web process knows: what was used up, and who guesses"""

from alembic import op
import sqlalchemy as sa


revision = '0002'
down_revision = '0001'


def upgrade() -> None:

    op.create_table('spent',
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('digest')
    )
    with op.batch_alter_table('spent', schema=None) as batch_op:
        batch_op.create_index('spent_ends', ['ends_at'], unique=False)

    op.create_table('guesses',
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('ends_at', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('source')
    )
    with op.batch_alter_table('guesses', schema=None) as batch_op:
        batch_op.create_index('guesses_ends', ['ends_at'], unique=False)
