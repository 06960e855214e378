# SPDX-License-Identifier: ISC
"""Passwords in a database that an authenticator asks by SQL: the queries hold the names and passwords that clients send, which reach the database
as values of parameters and never as a part of the statement."""
import base64
import re
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest

from harness import Server
from postgres import Postgres
from test_auth import Scram, encode

PASSWORD_OF = "select password from users where name='$auth1'"
IS_RIGHT = "select 1 from users where name='$auth2' and password='$auth3'"
AUTHENTICATORS = f"""begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{lookup @SQL@ {{{IS_RIGHT}}}{{true}}{{false}}}}
  server_set_id = $auth2
scram:
  driver = scram
  public_name = SCRAM-SHA-256
  server_password = ${{lookup @SQL@ {{{PASSWORD_OF}}}{{$value}}fail}}
  server_set_id = $auth1
"""
TABLE = ["create table users (name text, password text)",
         "insert into users values ('ann', 'sesame'), ('o''hara', 'it''s $auth2 ${run{/bin/false}} \\ \"x\"')"]
OHARA = 'it\'s $auth2 ${run{/bin/false}} \\ "x"'
# Each would be let in, or do harm, were it put into the text of the statement.
HOSTILE = [("x' or 'a'='a", "x' or 'a'='a"), ("ann' -- ", "x"), ("ann'/*", "*/or 'x'='x"), ("x", "' union select 1 -- "), ("x' union select 'sesame", "sesame"),
           ("ann'; drop table users; -- ", "x"), ("ann\\", " or 1=1 -- "), ("$1", "$2"), ("?1", "?2"), ("ann%", "%"), ("'", "'"), ("''", "''"),
           ("ann' || '", "sesame' || '")]


class Database:
    """SQLite in a file, or a PostgreSQL."""

    def __init__(self, driver):
        self.dir = Path(tempfile.mkdtemp(prefix="postern-auth-sql-"))
        self.dir.chmod(0o755)
        self.file = self.dir / "users.db"
        self.postgres = Postgres("-c", "log_statement=all") if driver == "pgsql" else None
        self.lookup = "pgsql" if self.postgres else f"sqlite,file={self.file}"
        self.main = {"pgsql_servers": self.postgres.servers} if self.postgres else {}
        for statement in TABLE:
            self.sql(statement)
        if not self.postgres:
            self.file.chmod(0o644)

    def sql(self, statement):
        if self.postgres:
            return self.postgres.sql(statement)
        with sqlite3.connect(self.file) as database:
            return "".join("|".join(map(str, row)) + "\n" for row in database.execute(statement))

    def stop(self):
        if self.postgres:
            self.postgres.stop()
        shutil.rmtree(self.dir)


@pytest.fixture(scope="module", params=["sqlite", "pgsql"])
def one(request, certificates):
    database = Database(request.param)
    made = Server(certificates, extra=AUTHENTICATORS.replace("@SQL@", database.lookup), main={
        **database.main, "auth_cleartext_hosts": "127.0.0.1", "auth_fail_delay": "0s", "auth_fail_limit": "1000 / 1h", "smtp_accept_max_nonmail": 1000}).start()
    made.database = database
    yield made
    made.stop()
    made.remove()
    database.stop()


def plain(one, name, password):
    with one.connect() as client:
        client.ehlo()
        return client.cmd("AUTH PLAIN " + encode(f"\0{name}\0{password}"))[0]


def scram(one, name, password):
    """The code, and whether the server has shown that it knows the password."""
    with one.connect() as client:
        client.ehlo()
        login = Scram(client, plus=False, user=name.replace("=", "=3D").replace(",", "=2C"), password=password)
        code, texts = client.cmd(f"AUTH SCRAM-SHA-256 {encode(login.header + login.bare.encode())}")
        return (code, False) if code != 334 else login.finish(base64.b64decode(texts[0]).decode())


@pytest.mark.parametrize("name, password", [("ann", "sesame"), ("o'hara", OHARA)])
def test_a_password_of_the_database_lets_in(one, name, password):
    """server_condition and server_password; quotes, dollars and backslashes in names and passwords are text."""
    start = one.mark()
    assert plain(one, name, password) == 235
    assert scram(one, name, password) == (235, True)
    assert password not in one.log_text(start)


@pytest.mark.parametrize("name, password", [("ann", "wrong"), ("ann", ""), ("nobody", "sesame"), ("o'hara", "sesame"), ("ann", OHARA)])
def test_another_password_or_name_does_not(one, name, password):
    assert plain(one, name, password) == 535
    assert scram(one, name, password) == (535, False)


@pytest.mark.parametrize("name, password", HOSTILE)
def test_what_a_client_sends_is_no_part_of_the_statement(one, name, password):
    before = one.database.sql("select * from users order by name")
    assert plain(one, name, password) == 535
    assert scram(one, name, password) == (535, False)
    assert one.database.sql("select * from users order by name") == before
    assert plain(one, "ann", "sesame") == 235, "the connection to the database is usable"


def test_some_of_these_names_would_have_let_in_as_text():
    """That the names above are not harmless by themselves."""
    with sqlite3.connect(":memory:") as database:
        for statement in TABLE:
            database.execute(statement)

        def let_in(name, password):
            try:
                return database.execute(IS_RIGHT.replace("$auth2", name).replace("$auth3", password)).fetchone() is not None
            except (sqlite3.Error, sqlite3.Warning):
                return False
        assert sum(let_in(*pair) for pair in HOSTILE) >= 5
        assert database.execute(PASSWORD_OF.replace("$auth1", "x' union select 'sesame")).fetchone() == ("sesame",)


def test_values_are_bound_as_parameters(one):
    """As PostgreSQL's log of statements has it; SQLite keeps none, there the names above show it."""
    name = "x' or 'bound'='bound"
    assert plain(one, name, "$1") == 535
    if not one.database.postgres:
        assert one.database.sql(f"select count(*) from users where name = '{name}'") == "2\n"
        return
    text = (one.database.postgres.dir / "log").read_text()
    quoted = name.replace("'", "''")
    found = re.search(rf"execute [^:]*: select 1 from users where name=\$1 and password=\$2\n.*parameters: \$1 = '{re.escape(quoted)}', \$2 = '\$1'\n", text)
    assert found, text[-2000:]
    assert "statement: select 1 from users" not in text and "where name='" not in text
