"""What the books have of a sale, beside what the till has: its sums, and both sides' lines in their versions"""

from alembic import op
import sqlalchemy as sa


revision = '0034'
down_revision = '0033'

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.add_column('sales', sa.Column('document_cents', sa.BigInteger(), nullable=True))
    op.add_column('sales', sa.Column('document_vat_cents', sa.BigInteger(), nullable=True))
    op.add_column('sales', sa.Column('document_day', sa.Date(), nullable=True))
    op.add_column('sales', sa.Column('document_read_at', sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        'sale_contents',
        sa.Column('id', ROW_ID, autoincrement=True, nullable=False),
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('sale_id', sa.String(), nullable=False),
        sa.Column('side', sa.String(), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('content', sa.Text(), nullable=False),
        sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('connection', 'sale_id', 'side', 'version', name='sale_contents_version'),
    )
    op.create_index('sale_contents_seen', 'sale_contents', ['seen_at'])
