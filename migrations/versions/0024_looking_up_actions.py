"""What an action of the audit trail is made of, and indexes by which actions and alerts are looked up"""

from alembic import op
import sqlalchemy as sa


revision = '0024'
down_revision = '0023'


def upgrade() -> None:
    op.add_column('audit', sa.Column('messages', sa.Text(), nullable=True))
    op.create_index('audit_actor', 'audit', ['actor', 'id'])
    op.create_index('audit_action', 'audit', ['action', 'id'])
    op.create_index('audit_both', 'audit', ['actor', 'action', 'id'])
    op.create_index('audit_at', 'audit', ['at'])
    op.create_index('alerts_connection', 'alerts', ['connection', 'id'])
