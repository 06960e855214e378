# SPDX-License-Identifier: ISC
"""Fixtures: `server` and `module_server` (factories of servers for one test, for a file of tests), `shared` (one server for a file of
tests that change nothing in it), `directory` (that every user may enter), `nsd` (a name server)."""
import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest

from dns_server import Nsd
from harness import Server

# They take longest, in this order: begun first, so that no worker is left with one of them when all others have ended.
LONGEST = ("chapter_38", "ocsp", "hardening_guide", "stapling_rules", "delivery", "tls", "ratelimit", "proxy", "password_checks")


def pytest_collection_modifyitems(items):
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, "report_" + report.when, report)


def failed(node):
    return any(getattr(node, "report_" + when, None) is not None and getattr(node, "report_" + when).failed
               for when in ("setup", "call"))


def show(one):
    print(f"\n--- {one.dir} is kept; its log:\n{one.log_text()[-8000:]}\n--- its stderr:\n{one.complaints()[-8000:]}")


@pytest.fixture(scope="session")
def certificates():
    directory = tempfile.mkdtemp(prefix="postern-test-tls-")
    yield directory
    shutil.rmtree(directory)


@contextlib.contextmanager
def servers(certificates, has_failed):
    """A factory: of servers with these options, started unless start=False. At the end they are stopped and their stop is judged, or
    they are killed, kept and shown when a test has failed."""
    made = []

    def make(start=True, **named):
        one = Server(certificates, **named)
        made.append(one)
        return one.start() if start else one

    try:
        yield make
        if not has_failed():
            for one in made:
                one.stop()
            for one in made:
                one.remove()
    finally:
        for one in made:
            if one.dir.exists():
                one.kill()
                show(one)


@pytest.fixture
def server(request, certificates):
    """server(main={...}, ...): a server of one test."""
    with servers(certificates, lambda: failed(request.node)) as make:
        yield make


@pytest.fixture(scope="module")
def module_server(request, certificates):
    """module_server(main={...}, ...): a server of a file of tests that change nothing in it."""
    before = request.session.testsfailed
    with servers(certificates, lambda: request.session.testsfailed != before) as make:
        yield make


@pytest.fixture(scope="module")
def shared(module_server):
    """One as it comes."""
    return module_server()


@pytest.fixture(scope="module")
def directory():
    """One that every user may enter: pytest's own are closed to the users that Exim and other daemons drop to."""
    made = Path(tempfile.mkdtemp(prefix="postern-test-open-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def nsd():
    """A name server with the zones that dns_server.py has."""
    one = Nsd().start()
    yield one
    one.remove()
