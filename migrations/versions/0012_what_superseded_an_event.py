"""Which event took the place of another, as a column"""

from alembic import op
import sqlalchemy as sa


revision = '0012'
down_revision = '0011'


def upgrade() -> None:

    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.add_column(sa.Column('superseded_by', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))

    # Until now the number stood in the reason alone: "superseded by event 17".
    op.execute(
        "UPDATE inbox SET superseded_by = CAST(substr(reason, 21) AS INTEGER)"
        " WHERE state = 'skipped' AND reason LIKE 'superseded by event %'"
    )
