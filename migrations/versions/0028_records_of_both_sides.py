"""What was last seen of products and customers on both sides"""

from alembic import op
import sqlalchemy as sa


revision = '0028'
down_revision = '0027'

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:
    op.create_table(
        'records',
        sa.Column('id', ROW_ID, autoincrement=True, nullable=False),
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('source_id', sa.String(), nullable=False),
        sa.Column('name', sa.String(), nullable=False),
        sa.Column('code', sa.String(), nullable=True),
        sa.Column('books_id', sa.String(), nullable=True),
        sa.Column('books_name', sa.String(), nullable=True),
        sa.Column('till_number', sa.String(), nullable=True),
        sa.Column('till_name', sa.String(), nullable=True),
        sa.Column('active', sa.Boolean(), nullable=True),
        sa.Column('status', sa.String(), nullable=False),
        sa.Column('differs', sa.Boolean(), server_default=sa.text('false'), nullable=False),
        sa.Column('fields', sa.Text(), nullable=True),
        sa.Column('stock', sa.Text(), nullable=True),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('written_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('altered_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('event_id', ROW_ID, nullable=True),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('connection', 'kind', 'source_id', name='records_source'),
    )
    op.create_index('records_name', 'records', ['kind', 'name', 'id'])
    op.create_index('records_connection', 'records', ['connection', 'kind', 'name', 'id'])
    op.create_index('records_status', 'records', ['kind', 'status', 'name', 'id'])
    op.create_index('records_code', 'records', ['code'])
    op.create_index('records_till', 'records', ['till_number'])
    op.create_index('records_event', 'records', ['event_id'])
    op.create_index('records_differing', 'records', ['kind', 'differs', 'name', 'id'])
    op.create_index('records_active', 'records', ['kind', 'active', 'name', 'id'])
    where = sa.text("kind = 'customer'")
    op.create_index('records_personal', 'records', ['updated_at'], sqlite_where=where, postgresql_where=where)
    # What the links know already; names follow when a record is seen again.
    op.execute(
        "INSERT INTO records (connection, kind, source_id, name, books_id, till_number, status, written_at, updated_at) "
        "SELECT connection, 'product', source_id, '', source_id, target_id, 'linked', updated_at, updated_at "
        "FROM links WHERE kind = 'item' AND target_entity = 'Article'"
    )
    op.execute(
        "INSERT INTO records (connection, kind, source_id, name, books_id, till_number, status, written_at, updated_at) "
        "SELECT connection, 'customer', source_id, source_id, target_id, substr(source_id, 10), 'linked', updated_at, "
        "updated_at FROM links WHERE kind = 'relation' AND source_id LIKE 'relation:%' AND target_id <> ''"
    )
