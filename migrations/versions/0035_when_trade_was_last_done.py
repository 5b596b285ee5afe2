"""When an event of the trade ended last: requests, dry runs and echoes of our own writes no longer count as such"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op


revision = '0035'
down_revision = '0034'

# An event of the customers without a target wrote nothing: it confirms what was written before.
_IS_TRADE = (
    "entity IN ('Receipt', 'TillInvoice', 'TillOrder', 'Day', 'Item', 'Relation', 'Customer')"
    " AND subject NOT LIKE '%\\:dry' AND (flow <> 'customers' OR target_id IS NOT NULL)"
)
_ENDED = "state IN ('done', 'skipped')"


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        # Each worker has rows of its own and holds them until it commits: with the whole table, nobody waits in a ring.
        op.execute('LOCK TABLE event_counts IN EXCLUSIVE MODE')
        _count_in_postgresql()
    else:
        _count_in_sqlite()
    # A sale's events are kept for good; those of another flow may be deleted, and then the time known so far stays.
    # The inbox is read once: meanwhile every worker, and every webhook, waits for the lock.
    found = f'SELECT flow, state, max(updated_at) FROM inbox WHERE {_ENDED} AND {_IS_TRADE} GROUP BY flow, state'
    newest = 'SELECT at FROM found WHERE found.flow = event_counts.flow AND found.state = event_counts.state'
    op.execute(
        f'WITH found (flow, state, at) AS MATERIALIZED ({found})'
        f" UPDATE event_counts SET newest = coalesce(({newest}), CASE WHEN flow <> 'orders' THEN newest END)"
    )


def _count_in_postgresql() -> None:
    became = f"SELECT flow, state, 1, CASE WHEN {_IS_TRADE} THEN updated_at END FROM became WHERE {_ENDED}"
    was = f"SELECT flow, state, -1 AS events, NULL::timestamptz AS newest FROM was WHERE {_ENDED}"
    for name, changes in (('added', became), ('moved', f'{was} UNION ALL {became}')):
        op.execute(
            f"CREATE OR REPLACE FUNCTION count_{name}_events() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO event_counts (flow, state, shard, events, newest)"
            " SELECT flow, state, pg_backend_pid(), sum(events), max(newest)"
            f" FROM ({changes}) AS changes (flow, state, events, newest)"
            " GROUP BY flow, state HAVING sum(events) <> 0 ORDER BY flow, state"
            " ON CONFLICT (flow, state, shard) DO UPDATE SET events = event_counts.events + excluded.events,"
            " newest = greatest(event_counts.newest, excluded.newest);"
            " RETURN NULL; END $$"
        )


def _count_in_sqlite() -> None:
    is_trade = _IS_TRADE
    for name in ('entity', 'subject', 'flow <>', 'target_id'):
        is_trade = is_trade.replace(name, f'NEW.{name}')
    # `max` of two values is empty as soon as one is.
    latest = "max(coalesce(event_counts.newest, excluded.newest), coalesce(excluded.newest, event_counts.newest))"
    counted = (
        "INSERT INTO event_counts (flow, state, shard, events, newest)"
        f" VALUES (NEW.flow, NEW.state, 0, 1, CASE WHEN {is_trade} THEN NEW.updated_at END)"
        f" ON CONFLICT (flow, state, shard) DO UPDATE SET events = events + excluded.events, newest = {latest}"
    )
    for name, when, changed in (
        ('added', 'INSERT', ''),
        ('ended', 'UPDATE OF state', 'OLD.state <> NEW.state AND '),
    ):
        op.execute(f'DROP TRIGGER inbox_{name}')
        op.execute(
            f"CREATE TRIGGER inbox_{name} AFTER {when} ON inbox WHEN {changed}NEW.{_ENDED} BEGIN {counted}; END"
        )
