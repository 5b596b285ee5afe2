"""People who log in to the dashboard by name, and the sessions of all who logged in"""

from alembic import op
import sqlalchemy as sa


revision = '0019'
down_revision = '0018'


def upgrade() -> None:
    op.create_table('users',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('login', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('connection', sa.String(), nullable=True),
    sa.Column('password', sa.String(), nullable=True),
    sa.Column('invitation', sa.String(), nullable=True),
    sa.Column('invitation_ends_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('disabled_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('login'),
    sa.UniqueConstraint('invitation')
    )
    op.create_index('users_connection', 'users', ['connection'], unique=False)
    op.create_table('web_sessions',
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('user_id', sa.Integer(), nullable=True),
    sa.Column('address', sa.String(), nullable=False),
    sa.Column('browser', sa.String(), nullable=False),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('digest')
    )
    op.create_index('web_sessions_user', 'web_sessions', ['user_id'], unique=False)
    op.create_index('web_sessions_ends', 'web_sessions', ['ends_at'], unique=False)
