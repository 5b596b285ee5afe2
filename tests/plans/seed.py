"""A database as a year of trade leaves it: events, links and log lines, made by set-based statements in seconds."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, text

OPEN_ROWS = 300
"""The newest events: these are not ended yet."""
CONNECTION = "default"
_DAY, _YEAR = 86_400, 365 * 86_400

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})",
    "postgresql": "WITH n(i) AS (SELECT generate_series(1, {rows}))",
}
_AGO = {
    "sqlite": "(strftime('%Y-%m-%d %H:%M:%f', 'now', printf('-%d seconds', {seconds})) || '000')",
    "postgresql": "(now() - ({seconds}) * interval '1 second')",
}

# Six of ten events are sales, of which every twentieth is a second version of the one before; one in 5,000 is parked.
_INBOX = """
{numbers}, e AS (
  SELECT i, {ago} AS at,
    CASE WHEN i % 3 = 1 THEN 'second' WHEN i % 30 = 2 THEN 'third' ELSE 'default' END AS connection,
    CASE WHEN i % 10 < 6 THEN 'orders' WHEN i % 10 < 8 THEN 'products' WHEN i % 10 = 8 THEN 'stock' ELSE 'customers'
    END AS flow,
    CASE WHEN i % 10 < 6 THEN 'Receipt' WHEN i % 10 < 9 THEN 'Item' ELSE 'Relation' END AS entity,
    CASE WHEN i % 10 < 6 THEN '' || (90000000 + i - (CASE WHEN i % 20 = 4 THEN 3 ELSE 0 END))
      WHEN i % 10 < 9 THEN '' || (900000 + i % 2000) ELSE '' || (90000 + i % 5000) END AS entity_id,
    CASE WHEN i % 5000 = 0 THEN 'parked'
      WHEN i > {rows} - {open} THEN
        CASE i % 10 WHEN 0 THEN 'parked' WHEN 1 THEN 'uncertain' WHEN 2 THEN 'waiting' ELSE 'received' END
      WHEN i % 3 = 0 THEN 'skipped' ELSE 'done' END AS state
  FROM n)
INSERT INTO inbox (key, connection, flow, source, entity, entity_id, subject, priority, state, reason, code, attempts,
  crashes, careful, due_at, order_id, sku, email, target_entity, target_id, superseded_by, hint, correlation,
  received_at, updated_at)
SELECT 'seed:' || i, connection, flow, CASE WHEN entity = 'Item' THEN 'webhook' ELSE 'poll' END, entity, entity_id,
  connection || '/' || flow || '/' || entity || '/' || entity_id, 10, state,
  CASE state WHEN 'skipped' THEN 'superseded by event ' || (i + 1)
    WHEN 'parked' THEN 'the product ' || i || ' is not in the books' END,
  CASE WHEN state = 'parked' THEN 'missing-product' WHEN state = 'skipped' AND i % 900 = 0 THEN 'not-yet' END,
  1, 0, {false}, CASE WHEN state IN ('received', 'waiting', 'uncertain') THEN {soon} END,
  CASE WHEN flow = 'orders' THEN '1.' || i END, CASE WHEN entity = 'Item' THEN 'sku-' || (i % 2000) END,
  CASE WHEN flow = 'customers' THEN 'person' || (i % 5000) || '@example.nl' END,
  CASE WHEN state = 'done' THEN 'SalesReceipt' END, CASE WHEN state = 'done' THEN '' || i END,
  CASE WHEN state = 'skipped' THEN i + 1 END, NULL, 'c' || i, at, at
FROM e
"""

# Of ten links six are documents; the others are payments, orders, items, customers, and documents of money.
_LINKS = """
{numbers}, l AS (
  SELECT i, {ago} AS at,
    CASE WHEN i % 3 = 1 THEN 'second' WHEN i % 30 = 2 THEN 'third' ELSE 'default' END AS connection,
    CASE WHEN i % 10 < 6 THEN 'document' WHEN i % 10 = 6 THEN 'payment' WHEN i % 10 = 7 THEN 'order'
      WHEN i % 10 = 8 THEN 'item' WHEN i % 20 = 9 THEN 'customer' ELSE 'money' END AS kind
  FROM n)
INSERT INTO links (connection, kind, source_id, target_entity, target_id, sync_token, fingerprint, detail,
  created_at, updated_at)
SELECT connection, kind,
  CASE kind WHEN 'document' THEN '' || (90000000 + i) WHEN 'payment' THEN 'Invoice/' || i || '/1'
    WHEN 'money' THEN 'Invoice/' || i || '/2:2026-01-01' WHEN 'customer' THEN 'email:person' || i || '@example.nl'
    ELSE kind || '-' || i END,
  CASE kind WHEN 'document' THEN 'SalesReceipt' WHEN 'item' THEN 'Article' ELSE 'Payment' END, '' || i, '0',
  'f' || i, '{{"number": "1.' || i || '", "total_cents": 1210}}', at, at
FROM l
"""

_JOURNAL = """
{numbers}
INSERT INTO journal (event_id, connection, at, kind, system, title, detail, milliseconds)
SELECT i, 'default', {ago}, 'sent', 'quickbooks', 'created a SalesReceipt', '{{"TotalAmt": 12.10}}', 100 FROM n
"""

# The sales of those events, of seven locations.
_SALES = """
{numbers}, s AS (SELECT i, {ago} AS at FROM n WHERE i % 10 < 6 AND i % 20 <> 4)
INSERT INTO sales (connection, kind, sale_id, number, day, branch, branch_name, amount_cents, vat_cents, tenders,
  status, document_entity, document_id, document_number, event_id, updated_at)
SELECT CASE WHEN i % 3 = 1 THEN 'second' WHEN i % 30 = 2 THEN 'third' ELSE 'default' END,
  'Receipt', '' || (90000000 + i), '1.' || i, date(at), 1 + i % 7, 'Location ' || (1 + i % 7),
  100 + i * 37 % 20000, (100 + i * 37 % 20000) * 21 / 121, '[["PIN", ' || (100 + i * 37 % 20000) || ']]',
  CASE WHEN i % 5000 = 0 OR (i > {rows} - {open} AND i % 10 = 0) THEN 'needs_attention'
    WHEN i > {rows} - {open} THEN 'waiting' WHEN i % 900 = 0 THEN 'skipped' ELSE 'booked' END,
  'SalesReceipt', '' || i, '1.' || i, i, at
FROM s
"""

# One record to twenty events: two products for each customer.
_RECORDS = """
{numbers}, r AS (SELECT i, {ago} AS at FROM n WHERE i % 20 = 0)
INSERT INTO records (connection, kind, source_id, name, code, books_id, books_name, till_number, till_name, active,
  status, differs, stock, updated_at)
SELECT 'default', CASE WHEN i % 60 = 0 THEN 'customer' ELSE 'product' END, '' || i, 'record ' || i, 'sku-' || i,
  '' || i, 'Record ' || i, '' || i, 'Record ' || i, TRUE,
  CASE WHEN i % 5000 = 0 THEN 'needs_attention' ELSE 'linked' END, i % 2000 = 0,
  '[{{"branch": 1, "on_hand": "12", "unposted": "0", "estimates": "0",'
  || ' "value": "12", "present": "12.5", "formula": ""}}]', at
FROM r
"""


def seed(engine: Engine, rows: int) -> None:
    """So many events, links and log lines of the last year, and their sales, products and customers.

    PostgreSQL gets its statistics, as by its own vacuum.
    """
    dialect = engine.dialect.name
    with engine.begin() as connection:
        for statement in (_INBOX, _LINKS, _JOURNAL, _SALES, _RECORDS):
            _fill(connection, statement, dialect, rows)
    if dialect == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def _fill(connection: Connection, statement: str, dialect: str, rows: int) -> None:
    seconds = f"(({rows} - i) * {_YEAR / rows})"
    cast = f"CAST({seconds} AS INTEGER)"
    made = statement.format(
        numbers=_NUMBERS[dialect].format(rows=rows),
        ago=_AGO[dialect].format(seconds=cast),
        soon=_AGO[dialect].format(seconds=-_DAY),
        false="false" if dialect == "postgresql" else "0",
        rows=rows,
        open=OPEN_ROWS,
    )
    connection.execute(text(made.replace(":%", r"\:%").replace("':", r"'\:").replace("seed:", r"seed\:")))
