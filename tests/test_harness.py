# SPDX-License-Identifier: ISC
"""What all tests lean on: processes of tests side by side on one machine do not disturb each other."""
import socket
import subprocess
import sys

from harness import TREE, free_ports

OTHER = "from harness import free_ports\nprint(*free_ports(500), flush=True)\ninput()\n"


def test_processes_side_by_side_have_ports_of_their_own():
    with subprocess.Popen([sys.executable, "-c", OTHER], cwd=TREE / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = set(free_ports(500))
        other.communicate("\n")
    assert len(theirs) == len(ours) == 500 and not theirs & ours


def test_a_port_in_use_is_not_given_and_a_given_one_not_soon_again():
    port = free_ports(1)[0]
    with socket.create_server(("127.0.0.1", port)):
        assert port not in free_ports(1000)
    again = [free_ports(1)[0] for _ in range(150)]
    assert len(set(again)) == 150
