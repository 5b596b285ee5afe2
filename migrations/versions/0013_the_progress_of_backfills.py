"""The progress of backfills as columns of rows of their own; until now it was among the positions of polls.

The rows in `cursors` stay: a release before this one may still go on with them while both run.
"""

import json

from alembic import op
import sqlalchemy as sa


revision = '0013'
down_revision = '0012'

_PREFIX, _NOTES = 'backfill/', '/notes'
_COUNTS = ('total', 'read', 'unchanged')


def upgrade() -> None:

    backfills = op.create_table('backfills',
    sa.Column('event_key', sa.String(), nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('position', sa.String(), nullable=True),
    sa.Column('total', sa.Integer(), server_default='0', nullable=False),
    sa.Column('read', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unchanged', sa.Integer(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('event_key')
    )
    cursors = sa.table('cursors', sa.column('connection'), sa.column('source'), sa.column('position'))
    of_backfills = cursors.c.source.like(f'{_PREFIX}%')
    rows = {}
    for connection, source, position in op.get_bind().execute(sa.select(cursors).where(of_backfills)).all():
        key = source.removeprefix(_PREFIX).removesuffix(_NOTES)
        empty = {'event_key': key, 'connection': connection, 'position': None, **dict.fromkeys(_COUNTS, 0)}
        row = rows.setdefault(key, empty)
        if source.endswith(_NOTES):
            notes = json.loads(position or '{}')
            row.update({name: int(notes.get(name) or 0) for name in _COUNTS})
        else:
            row['position'] = position
    if rows:
        op.bulk_insert(backfills, list(rows.values()))
