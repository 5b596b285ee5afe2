"""The lists of both systems for pages, and which VAT rates and turnover groups a sale has"""

from alembic import op
import sqlalchemy as sa


revision = '0018'
down_revision = '0017'


def upgrade() -> None:
    op.create_table(
        'system_lists',
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('options', sa.Text(), nullable=False),
        sa.Column('read_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('connection', 'name'),
    )
    op.add_column('sales', sa.Column('vat_rates', sa.Text(), nullable=True))
    op.add_column('sales', sa.Column('turnover_groups', sa.Text(), nullable=True))
