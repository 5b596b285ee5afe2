"""Takes the flags out of the details of links, which have been columns since 0021

By itself: a table whose trigger is dropped is locked until the end of the transaction, and this one may take seconds.
"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op


revision = '0038'
down_revision = '0037'

_KINDS = "('document', 'money', 'deposit', 'payment', 'day_document')"
_FLAGS = ('replacing', 'withdrawn', 'removing', 'voiding', 'voided', 'left_out', 'gone', 'adopted', 'day')


def upgrade() -> None:
    if op.get_bind().dialect.name == 'postgresql':
        names = ', '.join(f"'{name}'" for name in _FLAGS)
        without = f'(detail::jsonb - ARRAY[{names}])::text'
        readable = "detail LIKE '{%'"
    else:
        paths = ', '.join(f"'$.{name}'" for name in _FLAGS)
        without = f'json_remove(detail, {paths})'
        readable = "CASE WHEN json_valid(detail) THEN json_type(detail) END = 'object'"
    flagged = ' OR '.join(f"detail LIKE '%\"{name}\": %'" for name in _FLAGS)
    op.execute(
        f"UPDATE links SET detail = NULLIF({without}, '{{}}') WHERE kind IN {_KINDS} AND ({flagged}) AND {readable}"
    )
