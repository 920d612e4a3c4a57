"""One local Spark session for the folder, set up as notebooks get it."""

import pytest

from millrace import explore


@pytest.fixture(scope="session")
def spark():
    session = explore.session()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()
