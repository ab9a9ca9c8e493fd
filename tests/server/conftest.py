"""One server for all tests that change none of its limits; its model is loaded once."""

import pytest
from support.web import make_app, visitor


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    return make_app(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session")
def somebody(app):
    """A visitor, while the server runs."""
    with visitor(app) as client:
        client.get("/api/about")  # for the cookie
        yield client
