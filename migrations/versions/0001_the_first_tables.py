"""The first tables"""

from alembic import op
import sqlalchemy as sa


revision = '0001'
down_revision = None


def upgrade() -> None:

    op.create_table('alerts',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('cause', sa.String(), nullable=False),
    sa.Column('stage', sa.String(), nullable=False),
    sa.Column('connection', sa.String(), nullable=True),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('fix', sa.String(), nullable=True),
    sa.Column('first_seen', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cleared_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('clear_sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('told', sa.String(), nullable=False),
    sa.Column('clear_told', sa.String(), nullable=False),
    sa.Column('sending_until', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.create_index('alerts_cleared', ['cleared_at'], unique=False)
        batch_op.create_index('alerts_open', ['cause'], unique=True, sqlite_where=sa.text('cleared_at IS NULL'), postgresql_where=sa.text('cleared_at IS NULL'))

    op.create_table('audit',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.String(), nullable=False),
    sa.Column('action', sa.String(), nullable=False),
    sa.Column('target', sa.String(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id')
    )
    op.create_table('connections',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('realm_id', sa.String(), nullable=True),
    sa.Column('mplus_url', sa.String(), nullable=True),
    sa.Column('mplus_ident_sealed', sa.Text(), nullable=True),
    sa.Column('mplus_secret_sealed', sa.Text(), nullable=True),
    sa.Column('mplus_subscription_id', sa.String(), nullable=True),
    sa.Column('mplus_webhook_secrets_sealed', sa.Text(), nullable=True),
    sa.Column('live', sa.Boolean(), nullable=False),
    sa.Column('paused', sa.String(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name'),
    sa.UniqueConstraint('realm_id')
    )
    op.create_table('cursors',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('position', sa.String(), nullable=True),
    sa.Column('polled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lease', sa.String(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('failure', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('connection', 'source')
    )
    op.create_table('inbox',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('connection', sa.String(), nullable=True),
    sa.Column('account', sa.String(), nullable=True),
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('entity', sa.String(), nullable=False),
    sa.Column('entity_id', sa.String(), nullable=False),
    sa.Column('operation', sa.String(), nullable=True),
    sa.Column('subject', sa.String(), nullable=False),
    sa.Column('priority', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=True),
    sa.Column('code', sa.String(), nullable=True),
    sa.Column('record', sa.String(), nullable=True),
    sa.Column('field', sa.String(), nullable=True),
    sa.Column('fix', sa.String(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('crashes', sa.Integer(), nullable=False),
    sa.Column('careful', sa.Boolean(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('turn_at', sa.DateTime(timezone=True), sa.Computed('coalesce(due_at, received_at)', persisted=True), nullable=True),
    sa.Column('lease', sa.String(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('order_id', sa.String(), nullable=True),
    sa.Column('sku', sa.String(), nullable=True),
    sa.Column('email', sa.String(), nullable=True),
    sa.Column('target_entity', sa.String(), nullable=True),
    sa.Column('target_id', sa.String(), nullable=True),
    sa.Column('hint', sa.Text(), nullable=True),
    sa.Column('result', sa.Text(), nullable=True),
    sa.Column('correlation', sa.String(), nullable=False),
    sa.Column('occurred_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('key')
    )
    with op.batch_alter_table('inbox', schema=None) as batch_op:
        batch_op.create_index('inbox_turn', ['connection', 'priority', 'turn_at', 'id'], unique=False, sqlite_where=sa.text("state NOT IN ('working', 'done', 'skipped', 'parked')"), postgresql_where=sa.text("state NOT IN ('working', 'done', 'skipped', 'parked')"))
        batch_op.create_index('inbox_one_working', ['subject'], unique=True, sqlite_where=sa.text("state = 'working'"), postgresql_where=sa.text("state = 'working'"))
        batch_op.create_index('inbox_order', ['order_id'], unique=False)
        batch_op.create_index('inbox_received', ['received_at'], unique=False)
        batch_op.create_index('inbox_state', ['state', 'id'], unique=False)
        batch_op.create_index('inbox_subject', ['subject', 'id'], unique=False)

    op.create_table('journal',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('event_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('connection', sa.String(), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('system', sa.String(), nullable=True),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('milliseconds', sa.Integer(), nullable=True),
    sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('journal', schema=None) as batch_op:
        batch_op.create_index('journal_at', ['at'], unique=False)
        batch_op.create_index('journal_event', ['event_id', 'id'], unique=False)

    op.create_table('numbers',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('number', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('item_id', sa.String(), nullable=True),
    sa.Column('given_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('connection', 'number'),
    sa.UniqueConstraint('connection', 'item_id', name='numbers_item')
    )
    op.create_table('limits',
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('calls_at', sa.Float(), nullable=False),
    sa.Column('batches_at', sa.Float(), nullable=False),
    sa.Column('braked_until', sa.Float(), nullable=False),
    sa.PrimaryKeyConstraint('system', 'account')
    )
    op.create_table('slots',
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('account', sa.String(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('holder', sa.String(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('wanted_by', sa.String(), nullable=True),
    sa.Column('wanted_until', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('system', 'account', 'number')
    )
    op.create_table('links',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('source_id', sa.String(), nullable=False),
    sa.Column('target_entity', sa.String(), nullable=False),
    sa.Column('target_id', sa.String(), nullable=False),
    sa.Column('sync_token', sa.String(), nullable=True),
    sa.Column('fingerprint', sa.String(), nullable=True),
    sa.Column('detail', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('connection', 'kind', 'source_id', name='links_source')
    )
    with op.batch_alter_table('links', schema=None) as batch_op:
        batch_op.create_index('links_created', ['connection', 'kind', 'created_at'], unique=False)
        batch_op.create_index('links_target', ['connection', 'kind', 'target_id'], unique=False)

    op.create_table('meters',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('system', sa.String(), nullable=False),
    sa.Column('month', sa.String(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('calls', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('connection', 'system', 'month', 'kind')
    )
    op.create_table('processes',
    sa.Column('boot', sa.String(), nullable=False),
    sa.Column('role', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('boot')
    )
    op.create_table('settings_documents',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('author', sa.String(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('connection', 'version', name='settings_version')
    )
    op.create_table('tokens',
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('access_sealed', sa.Text(), nullable=True),
    sa.Column('access_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('refresh_sealed', sa.Text(), nullable=True),
    sa.Column('refresh_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('hard_expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seed', sa.String(), nullable=True),
    sa.Column('lease', sa.String(), nullable=True),
    sa.Column('leased_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lost', sa.String(), nullable=True),
    sa.Column('lost_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('connection')
    )

