# SPDX-License-Identifier: ISC
"""Fixtures: `server` (a factory of servers for one test), `shared` (one server for a file of tests that change nothing in it)."""
import shutil
import tempfile

import pytest

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


@pytest.fixture
def server(request, certificates):
    """server(main={...}, ...): a started server; start=False leaves that to the test. Stopped, and its stop judged, at the end."""
    made = []

    def make(start=True, **named):
        one = Server(certificates, **named)
        made.append(one)
        return one.start() if start else one

    yield make
    try:
        if not failed(request.node):
            for one in made:
                one.stop()
            for one in made:
                one.remove()
    finally:
        for one in made:
            if one.dir.exists():
                one.kill()
                show(one)


@pytest.fixture(scope="module")
def shared(request, certificates):
    one = Server(certificates)
    before = request.session.testsfailed
    try:
        one.start()
        yield one
        one.stop()
        if request.session.testsfailed == before:
            one.remove()
    finally:
        if one.dir.exists():
            one.kill()
            show(one)
