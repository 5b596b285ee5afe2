"""What became of a document or payment: columns of its link, filled from the flags in its details"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op
import sqlalchemy as sa


revision = '0021'
down_revision = '0020'

_KINDS = "('document', 'money', 'deposit', 'payment', 'day_document')"
# From the strongest: a document that is gone from the books may have other flags from before.
_FLAGS = {
    'replacing': 'replacing',
    'withdrawn': 'withdrawn',
    'removing': 'removed',
    'voided': 'released',
    'voiding': 'releasing',
    'left_out': 'left_out',
}


def upgrade() -> None:
    op.add_column('links', sa.Column('status', sa.String(), server_default='booked', nullable=False))
    op.add_column('links', sa.Column('adopted', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('links', sa.Column('day', sa.String(), nullable=True))
    # The triggers are there first: what the release before writes meanwhile is not missed.
    is_postgres = op.get_bind().dialect.name == 'postgresql'
    (_follow_in_postgresql if is_postgres else _follow_in_sqlite)()
    flagged = ' OR '.join(f"detail LIKE '%\"{name}\": %'" for name in ('gone', *_FLAGS, 'adopted', 'day'))
    op.execute(f"UPDATE links SET detail = detail WHERE kind IN {_KINDS} AND ({flagged})")
    of_day = sa.text('day IS NOT NULL')
    op.create_index('links_of_day', 'links', ['connection', 'day'], sqlite_where=of_day, postgresql_where=of_day)


def _follow_in_postgresql() -> None:
    """The release before may run beside this one: what it writes into the details is put into the columns too."""
    status = "CASE told->>'gone' WHEN 'voided' THEN 'voided' WHEN 'deleted' THEN 'deleted' ELSE CASE"
    status += ''.join(f" WHEN told->>'{name}' = 'true' THEN '{found}'" for name, found in _FLAGS.items())
    op.execute(
        "CREATE FUNCTION tell_status_of_link() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE told json; BEGIN"
        f" IF NEW.kind IN {_KINDS} THEN"
        "  told := CASE WHEN NEW.detail LIKE '{%' THEN NEW.detail::json END;"
        f" NEW.status := {status} ELSE 'booked' END END;"
        "  NEW.adopted := coalesce(told->>'adopted' = 'true', false);"
        "  NEW.day := told->>'day';"
        " END IF; RETURN NEW; END $$"
    )
    op.execute(
        'CREATE TRIGGER links_told BEFORE INSERT OR UPDATE OF detail ON links'
        ' FOR EACH ROW EXECUTE FUNCTION tell_status_of_link()'
    )


def _follow_in_sqlite() -> None:
    told = "CASE WHEN json_valid(NEW.detail) THEN json_extract(NEW.detail, '$.{}') END"
    status = f"CASE {told.format('gone')} WHEN 'voided' THEN 'voided' WHEN 'deleted' THEN 'deleted' ELSE CASE"
    status += ''.join(f" WHEN {told.format(name)} THEN '{found}'" for name, found in _FLAGS.items())
    columns = {
        'status': f"{status} ELSE 'booked' END END",
        'adopted': f"coalesce({told.format('adopted')}, 0)",
        'day': told.format('day'),
    }
    differs = ' OR '.join(f'NEW.{name} IS NOT {value}' for name, value in columns.items())
    values = ', '.join(f'{name} = {value}' for name, value in columns.items())
    for name, when in (('added', 'INSERT'), ('changed', 'UPDATE OF detail')):
        op.execute(sa.text(
            f"CREATE TRIGGER links_{name} AFTER {when} ON links WHEN NEW.kind IN {_KINDS} AND ({differs})"
            f" BEGIN UPDATE links SET {values} WHERE id = NEW.id; END"
        ))
