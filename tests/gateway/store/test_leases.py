"""Work of which there may be one at a time: held while it lasts, free soon after its process died."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from gateway.errors import RateLimited
from gateway.store import cursors, leases
from gateway.store.session import reading
from tests.servers import wait_until


def left(engine: Engine) -> str:
    with reading(engine) as session:
        return str(session.execute(text("SELECT leased_until FROM cursors")).scalar_one())


def test_a_lease_that_is_held_elsewhere_asks_to_come_back(engine: Engine) -> None:
    assert cursors.take(engine, "c", "lease.stock", seconds=60)
    with pytest.raises(RateLimited), leases.alone(engine, "c", "stock", patience=0.3):
        pytest.fail("two at a time")


def test_a_lease_whose_process_died_is_free_when_it_has_run_out(engine: Engine) -> None:
    cursors.take(engine, "c", "lease.stock", seconds=0.4)
    with leases.alone(engine, "c", "stock", patience=5):
        pass
    assert cursors.take(engine, "c", "lease.stock") is not None


def test_a_lease_is_prolonged_while_the_work_lasts(engine: Engine) -> None:
    with leases.alone(engine, "c", "stock", seconds=0.6):
        first = left(engine)
        wait_until(lambda: left(engine) != first, what="the lease to be prolonged")
        assert cursors.take(engine, "c", "lease.stock") is None
