"""What most end-to-end tests start from."""

import pytest

from support.ca import Ca
from support.chains import expired_root
from support.origin import Origin


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """An authority for the whole file."""
    return Ca(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def origin():
    """An HTTP/1.1 server that says "hello PATH" and records what it got."""
    with Origin() as server:
        yield server


@pytest.fixture
def dst(tmp_path):
    """A lineage as it was in September 2021, the roots, and profiles over them."""
    return expired_root(tmp_path)
