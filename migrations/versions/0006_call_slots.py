"""Call slots and cooldowns of outside accounts"""

from alembic import op
import sqlalchemy as sa


revision = '0006'
down_revision = '0005'


def upgrade() -> None:

    op.create_table('rate_limits',
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('cooldown_from', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.Column('cooldown_until', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.Column('refusal_level', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.Column('refused_at', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.Column('wanted_by', sa.String(), nullable=True),
    sa.Column('wanted_until', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.PrimaryKeyConstraint('system', 'account')
    )
    op.create_table('call_slots',
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('holder', sa.String(), nullable=True),
    sa.Column('leased_until', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.Column('ready_at', sa.Float(), server_default=sa.text('0'), nullable=False),
    sa.PrimaryKeyConstraint('system', 'account', 'number')
    )
