"""Signed certificates of compared days, who signed them off, and the keys they are signed with"""

from alembic import op
import sqlalchemy as sa


revision = '0020'
down_revision = '0019'

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade() -> None:

    op.create_table('certificates',
    sa.Column('id', _ID, autoincrement=True, nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('result', sa.String(), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('signature', sa.String(), nullable=False),
    sa.Column('public_key', sa.String(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('connection', 'number', name='certificates_number')
    )
    op.create_index('certificates_day', 'certificates', ['connection', 'day', 'number'])
    op.create_table('day_sign_offs',
    sa.Column('id', _ID, autoincrement=True, nullable=False),
    sa.Column('connection', sa.String(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('certificate', sa.Integer(), nullable=False),
    sa.Column('signed_by', sa.String(), nullable=False),
    sa.Column('signed_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    sa.UniqueConstraint('connection', 'day', 'certificate', name='day_sign_offs_once')
    )
    op.create_table('signing_keys',
    sa.Column('public_key', sa.String(), nullable=False),
    sa.Column('secret_sealed', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('public_key')
    )
