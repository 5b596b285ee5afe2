"""How far back a feed is read again, what tells that its markers began again, and which systems answer"""

from alembic import op
import sqlalchemy as sa


revision = '0009'
down_revision = '0008'


def upgrade() -> None:

    op.create_table('systems',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('overdue_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failing_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failure', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('connection', 'system')
    )
    with op.batch_alter_table('cursors', schema=None) as batch_op:
        batch_op.add_column(sa.Column('began_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('settled', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('marked', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('marked_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('witness', sa.String(), nullable=True))
        batch_op.add_column(sa.Column('generation', sa.Integer(), server_default='0', nullable=False))
        batch_op.add_column(sa.Column('reread_to', sa.BigInteger(), server_default='0', nullable=False))

    # What was sold before this release was seen by the one before it, or not meant to be followed.
    op.execute('UPDATE cursors SET began_at = CURRENT_TIMESTAMP')
