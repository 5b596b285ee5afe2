"""Counts of ended events, and indexes for what was found by reading a whole table"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op
import sqlalchemy as sa


revision = '0017'
down_revision = '0016'

# Searched by their beginning: only by code points is a beginning one range of an index.
_BY_CODE_POINT = {'inbox': ('key', 'entity_id', 'order_id', 'sku', 'email'), 'links': ('source_id',)}

# The business day in the details of a sale's link. Two shapes, because neither database knows the other's functions.
_DAY = {
    'postgresql': """substring(detail from '"day": "([^"]*)"')""",
    'sqlite': "CASE WHEN json_valid(detail) THEN json_extract(detail, '$.day') END",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name

    if dialect == 'postgresql':
        for table, columns in _BY_CODE_POINT.items():
            changes = ', '.join(f'ALTER COLUMN {name} TYPE VARCHAR COLLATE "C"' for name in columns)
            op.execute(f'ALTER TABLE {table} {changes}')

    op.create_index('inbox_entity_id', 'inbox', ['entity_id', 'id'], unique=False)
    _create_partial('inbox_sku', ['sku'], 'sku IS NOT NULL')
    _create_partial('inbox_email', ['email'], 'email IS NOT NULL')
    _create_partial('inbox_asked', ['entity', 'id'], "entity IN ('Agreement', 'Backfill', 'Doctor')")
    _create_partial('inbox_left_out', ['connection', 'code'], "state = 'skipped' AND code IS NOT NULL")
    ended = "state NOT IN ('received', 'working', 'waiting', 'uncertain', 'parked') AND entity NOT IN ('Agreement', 'Backfill', 'Doctor', 'Poll')"
    holds = f'{ended} AND (email IS NOT NULL OR hint IS NOT NULL OR result IS NOT NULL)'
    proves = "(superseded_by IS NOT NULL OR entity NOT IN ('Receipt', 'TillInvoice', 'TillOrder', 'Day'))"
    _create_partial('inbox_holds', ['updated_at'], holds)
    _create_partial('inbox_proves_nothing', ['updated_at'], f'{ended} AND {proves}')
    day = _DAY[dialect]
    op.execute(f"CREATE INDEX links_day ON links (connection, ({day})) WHERE kind = 'document' AND ({day}) IS NOT NULL")

    op.create_table('event_counts',
    sa.Column('flow', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('shard', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('events', sa.BigInteger(), nullable=False),
    sa.Column('newest', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('flow', 'state', 'shard')
    )
    (_count_in_postgresql if dialect == 'postgresql' else _count_in_sqlite)()
    # The triggers are there first: PostgreSQL lets no other transaction change the inbox before this one ends.
    op.execute(
        "INSERT INTO event_counts (flow, state, shard, events, newest)"
        " SELECT flow, state, 0, count(*), max(updated_at) FROM inbox"
        " WHERE state IN ('done', 'skipped') GROUP BY flow, state"
    )


def _create_partial(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, 'inbox', columns, unique=False, sqlite_where=where, postgresql_where=where)


def _count_in_postgresql() -> None:
    """By statement, not by row: a deletion takes thousands at once, and each would follow the versions of one row."""
    was = "SELECT flow, state, -1 AS events, NULL::timestamptz AS newest FROM was WHERE state IN ('done', 'skipped')"
    became = "SELECT flow, state, 1, updated_at FROM became WHERE state IN ('done', 'skipped')"
    old, new = 'OLD TABLE AS was', 'NEW TABLE AS became'
    for name, when, tables, changes in (
        ('added', 'INSERT', new, became),
        ('moved', 'UPDATE', f'{old} {new}', f'{was} UNION ALL {became}'),
        ('deleted', 'DELETE', old, was),
    ):
        op.execute(
            f"CREATE FUNCTION count_{name}_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO event_counts (flow, state, shard, events, newest)"
            " SELECT flow, state, pg_backend_pid(), sum(events), max(newest)"
            f" FROM ({changes}) AS changes (flow, state, events, newest)"
            " GROUP BY flow, state HAVING sum(events) <> 0 ORDER BY flow, state"
            " ON CONFLICT (flow, state, shard) DO UPDATE SET events = event_counts.events + excluded.events,"
            " newest = greatest(event_counts.newest, excluded.newest);"
            " RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER inbox_{name} AFTER {when} ON inbox REFERENCING {tables}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION count_{name}_events()"
        )


def _count_in_sqlite() -> None:
    was, became = "OLD.state IN ('done', 'skipped')", "NEW.state IN ('done', 'skipped')"
    # `max` of two values is empty as soon as one is.
    latest = "max(coalesce(event_counts.newest, excluded.newest), coalesce(excluded.newest, event_counts.newest))"
    less, more = (
        f"INSERT INTO event_counts (flow, state, shard, events, newest) VALUES ({row}.flow, {row}.state, 0, {by}, {at})"
        f" ON CONFLICT (flow, state, shard) DO UPDATE SET events = events + excluded.events, newest = {latest}"
        for row, by, at in (('OLD', -1, 'NULL'), ('NEW', 1, 'NEW.updated_at'))
    )
    for name, when, condition, counted in (
        ('added', 'INSERT', became, more),
        ('left', 'UPDATE OF state', f'OLD.state <> NEW.state AND {was}', less),
        ('ended', 'UPDATE OF state', f'OLD.state <> NEW.state AND {became}', more),
        ('deleted', 'DELETE', was, less),
    ):
        op.execute(f"CREATE TRIGGER inbox_{name} AFTER {when} ON inbox WHEN {condition} BEGIN {counted}; END")
