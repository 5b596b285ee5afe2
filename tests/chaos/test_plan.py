"""The seed alone decides what happens, and every kind of act and trouble comes up."""

from __future__ import annotations

from tests.chaos import collisions, plan, trade, trouble
from tests.chaos.plan import Act


def test_a_seed_makes_the_same_plan_every_time_and_another_one_another() -> None:
    first, again, other = (plan.make(seed, acts=300, sales=60, seconds=30.0) for seed in (7, 7, 8))
    assert first == again
    assert first.acts != other.acts
    assert first.troubles != other.troubles


def test_a_plan_has_the_acts_and_sales_that_were_asked_for() -> None:
    made = plan.make(1, acts=500, sales=100, seconds=30.0)
    assert len(made.acts) == 500
    assert sum(act.name in plan.SALES for act in made.acts) == 100


def test_a_plan_can_be_of_sales_alone() -> None:
    made = plan.make(1, acts=10, sales=10, seconds=1.0)
    assert all(act.name in plan.SALES for act in made.acts)


def test_steps_come_in_order_of_time_and_within_it() -> None:
    made = plan.make(3, acts=50, sales=10, seconds=20.0)
    times = [step.at for step in made.steps]
    assert times == sorted(times)
    assert times[0] >= 0.0
    assert times[-1] <= 20.0


def test_every_kind_of_trouble_and_act_comes_up_and_can_be_carried_out() -> None:
    made = plan.make(5, acts=4000, sales=1000, seconds=3000.0)
    assert {each.name for each in made.troubles} == set(plan.TROUBLES) == set(trouble.BEGINNINGS)
    assert {each.name for each in made.acts} == set(trade.ACTS) == {*plan.SALES, *plan.AFTER, *plan.CHANGES}
    wires = {(each.target, each.way) for each in made.troubles if each.name == "wire"}
    assert wires == {(target, way) for target in plan.WIRES for way in plan.WEATHER}
    assert set(plan.WEATHER) == set(trouble.FAULTS)
    assert all(isinstance(step, Act) or step.seconds <= plan.LONGEST for step in made.steps)


def test_each_kind_of_collision_happens_as_often_as_asked_and_ends_in_time() -> None:
    made = plan.make(5, acts=40, sales=10, seconds=60.0, collisions=3)
    names = [each.name for each in made.troubles if each.name in plan.COLLISIONS]
    assert {name: names.count(name) for name in names} == dict.fromkeys(collisions.BEGINNINGS, 3)
    assert all(each.at + each.seconds < 90.0 for each in made.troubles)


def test_a_plan_without_collisions_is_what_it_was() -> None:
    with_them, without = (plan.make(5, acts=40, sales=10, seconds=60.0, collisions=count) for count in (1, 0))
    assert [each for each in with_them.troubles if each.name not in plan.COLLISIONS] == list(without.troubles)
    assert with_them.acts == without.acts
