import datetime as dt
import time

import sqlalchemy as sa
from airflow.utils.sqlalchemy import UtcDateTime
from sqlalchemy.dialects import postgresql

import include.evergreen.sqlite_clock  # noqa: F401 - the import is the effect

RUNS = sa.Table("runs", sa.MetaData(), sa.Column("run_after", UtcDateTime))


def test_a_run_due_a_moment_ago_is_due_within_the_same_second():
    engine = sa.create_engine("sqlite://")
    time.sleep(1.05 - time.time() % 1)  # 50 ms into a second: no boundary may hide the loss
    with engine.begin() as connection:
        RUNS.create(connection)
        now = dt.datetime.now(dt.UTC)
        for seconds in (-0.01, 0.3):
            due = {"run_after": now + dt.timedelta(seconds=seconds)}
            connection.execute(sa.insert(RUNS).values(due))
        due = connection.execute(sa.select(RUNS).where(RUNS.c.run_after <= sa.func.now())).all()
        assert [row.run_after for row in due] == [now - dt.timedelta(seconds=0.01)]
        read = connection.scalar(sa.select(sa.func.now()))
    engine.dispose()
    assert read is not None
    assert abs(read.replace(tzinfo=dt.UTC) - now) < dt.timedelta(milliseconds=500)


def test_other_databases_keep_their_own_clock():
    assert str(sa.select(sa.func.now()).compile(dialect=postgresql.dialect())) == (
        "SELECT now() AS now_1"
    )
