"""Drops what only releases before 0021 used: triggers on links, a second cursor of the books, old limits"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op


revision = '0037'
down_revision = '0036'


def upgrade() -> None:
    op.drop_index('links_day', 'links')
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('DROP TRIGGER links_told ON links')
        op.execute('DROP FUNCTION tell_status_of_link()')
    else:
        op.execute('DROP TRIGGER links_added')
        op.execute('DROP TRIGGER links_changed')
    _join_cursors()
    op.drop_table('slots')
    op.drop_table('limits')


def _join_cursors() -> None:
    """The older of the two positions of the books is right for both, or the only one; all are ISO texts in UTC."""
    older = (
        "SELECT s.position FROM cursors s WHERE s.connection = cursors.connection"
        " AND s.source = 'quickbooks.cdc.sales' AND (cursors.position IS NULL OR s.position < cursors.position)"
    )
    op.execute(
        f"UPDATE cursors SET position = ({older}) WHERE source = 'quickbooks.cdc' AND EXISTS ({older})"
    )
    op.execute("DELETE FROM cursors WHERE source = 'quickbooks.cdc.sales' OR source LIKE 'backfill/%'")
