"""The e-mail address and the account of the provider with which people log in by single sign-on"""

from alembic import op
import sqlalchemy as sa


revision = '0032'
down_revision = '0031'


def upgrade() -> None:
    op.add_column('users', sa.Column('email', sa.String(), nullable=True))
    op.add_column('users', sa.Column('subject', sa.String(), nullable=True))
    op.create_index('users_email', 'users', ['email'], unique=True)
    op.create_index('users_subject', 'users', ['subject'], unique=True)
