"""A row per sale of the till, filled with what the links and waiting events of earlier releases tell"""
# ruff: noqa: S608 - every part of the statements is written here

from alembic import op
import sqlalchemy as sa


revision = '0014'
down_revision = '0013'


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'sales',
        sa.Column('id', row_id, autoincrement=True, nullable=False),
        sa.Column('connection', sa.String(), nullable=False),
        sa.Column('kind', sa.String(), nullable=False),
        sa.Column('sale_id', sa.String(), nullable=False),
        sa.Column('number', sa.String(), nullable=True),
        sa.Column('day', sa.Date(), nullable=False),
        sa.Column('branch', sa.Integer(), nullable=True),
        sa.Column('branch_name', sa.String(), nullable=True),
        sa.Column('customer', sa.String(), nullable=True),
        sa.Column('amount_cents', sa.BigInteger(), nullable=True),
        sa.Column('vat_cents', sa.BigInteger(), nullable=True),
        sa.Column('tenders', sa.Text(), nullable=True),
        sa.Column('status', sa.String(), nullable=False),
        sa.Column('document_entity', sa.String(), nullable=True),
        sa.Column('document_id', sa.String(), nullable=True),
        sa.Column('document_number', sa.String(), nullable=True),
        sa.Column('event_id', row_id, nullable=True),
        sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id'),
        sa.UniqueConstraint('connection', 'sale_id', name='sales_sale'),
    )
    _fill()
    for name, columns in (
        ('sales_day', ['day', 'id']),
        ('sales_branch', ['connection', 'branch', 'day', 'id']),
        ('sales_status', ['status', 'day', 'id']),
        ('sales_amount', ['amount_cents']),
        ('sales_number', ['number']),
        ('sales_document', ['document_id']),
        ('sales_document_number', ['document_number']),
        ('sales_event', ['event_id']),
    ):
        op.create_index(name, 'sales', columns)
    named = sa.text('customer IS NOT NULL')
    op.create_index('sales_named', 'sales', ['updated_at'], sqlite_where=named, postgresql_where=named)


def _fill() -> None:
    """Booked sales from their links; waiting and parked ones, not linked yet, from their newest events."""
    is_postgres = op.get_bind().dialect.name == 'postgresql'

    def part(name: str) -> str:
        return f"(l.detail::json->>'{name}')" if is_postgres else f"json_extract(l.detail, '$.{name}')"

    has_detail = "l.detail LIKE '{%'" if is_postgres else 'json_valid(l.detail)'
    day = 'CAST({} AS DATE)' if is_postgres else 'date({})'
    newest = "(SELECT max(i.id) FROM inbox i WHERE i.subject = l.connection || '/orders/{}/' || l.source_id)"
    receipt, invoice = newest.format('Receipt'), newest.format('TillInvoice')
    dated = f"substr({part('dated')}, 1, 10)"
    op.execute(
        'INSERT INTO sales (connection, kind, sale_id, number, day, amount_cents, status, document_entity, document_id,'
        ' document_number, event_id, updated_at)'
        f" SELECT l.connection, CASE WHEN {invoice} IS NULL THEN 'Receipt' ELSE 'TillInvoice' END, l.source_id,"
        f" {part('number')}, coalesce({day.format(dated)}, {day.format('l.created_at')}),"
        f" CAST({part('total_cents')} AS BIGINT),"
        f" CASE WHEN {part('withdrawn')} IS NOT NULL OR {part('gone')} IS NOT NULL THEN 'voided' ELSE 'booked' END,"
        f" l.target_entity, l.target_id, {part('document_number')},"
        f' coalesce({receipt}, {invoice}), l.updated_at'
        f" FROM links l WHERE l.kind = 'document' AND {has_detail}"
    )
    status = "CASE i.state WHEN 'parked' THEN 'needs_attention' ELSE 'waiting' END"
    open_ = "i.state IN ('parked', 'waiting', 'uncertain') AND i.entity IN ('Receipt', 'TillInvoice')"
    mine = 'sales.connection = i.connection AND sales.sale_id = i.entity_id'
    newer = 'SELECT 1 FROM inbox n WHERE n.subject = i.subject AND n.id > i.id'
    op.execute(
        'INSERT INTO sales (connection, kind, sale_id, number, day, status, event_id, updated_at)'
        f" SELECT i.connection, i.entity, i.entity_id, i.order_id, {day.format('i.received_at')}, {status}, i.id,"
        f" i.updated_at FROM inbox i WHERE {open_} AND i.connection IS NOT NULL AND i.subject NOT LIKE '%\\:dry'"
        f' AND NOT EXISTS ({newer}) AND NOT EXISTS (SELECT 1 FROM sales WHERE {mine})'
    )
    newest = f'FROM inbox i WHERE i.id = sales.event_id AND {open_}'
    op.execute(f'UPDATE sales SET status = (SELECT {status} {newest}) WHERE EXISTS (SELECT 1 {newest})')
