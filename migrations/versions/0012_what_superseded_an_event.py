"""Which event took the place of another, as a column"""

from alembic import op
import sqlalchemy as sa


revision = '0012'
down_revision = '0011'


def upgrade() -> None:

    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.add_column(sa.Column('superseded_by', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))

    # Until now the number stood in the reason alone: "superseded by event 17". A person's reason may begin like that.
    if op.get_bind().dialect.name == 'postgresql':
        op.execute(
            "UPDATE inbox SET superseded_by = CAST(substr(reason, 21) AS BIGINT)"
            " WHERE state = 'skipped' AND reason ~ '^superseded by event [0-9]{1,18}$'"
        )
    else:
        op.execute(
            "UPDATE inbox SET superseded_by = CAST(substr(reason, 21) AS INTEGER)"
            " WHERE state = 'skipped' AND reason LIKE 'superseded by event %'"
            " AND length(reason) BETWEEN 21 AND 38 AND substr(reason, 21) NOT GLOB '*[^0-9]*'"
        )
