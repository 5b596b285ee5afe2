"""What sales are found by: their articles and ways to pay, and the kind of sale"""

from alembic import op
import sqlalchemy as sa


revision = '0029'
down_revision = '0028'

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table(
        'sale_tags',
        sa.Column('id', ROW_ID, autoincrement=True, nullable=False),
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('key', sa.String(), nullable=False),
        sa.Column('code', sa.String(), nullable=True),
        sa.Column('name', sa.String(), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('connection', 'kind', 'key', name='sale_tags_key'),
    )
    op.create_index('sale_tags_number', 'sale_tags', ['kind', 'key'])
    op.create_index('sale_tags_code', 'sale_tags', ['code'])
    op.create_table(
        'tagged_sales',
        sa.Column('id', ROW_ID, autoincrement=True, nullable=False),
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('tag_id', ROW_ID, nullable=False),
        sa.Column('sale_id', ROW_ID, nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('tag_id', 'sale_id', name='tagged_sales_tag'),
    )
    op.create_index('sales_kind', 'sales', ['kind', 'day', 'id'])
