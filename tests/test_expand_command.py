# SPDX-License-Identifier: ISC
"""postern expand, and Exim's flags in front of the same commands: input, exit status, --json, --trace, and what is not there."""
import json
import os
import pty
import re
import subprocess

import pytest

from harness import POSTERN, SANITIZER

ENVIRONMENT = {**os.environ, **SANITIZER}


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "conf"
    path.write_text(f"primary_hostname = mx.example.test\nqualify_domain = example.test\nspool_directory = {tmp_path}\n"
                    f"log_file_path = {tmp_path}/%slog\nGREETING = hello\ndomainlist local_domains = example.test\n"
                    "begin rewrite\n*@old.test $1@new.test\nbegin retry\n* * F,1h,5m\n")
    return path


def run(*arguments, stdin="", program=POSTERN, **named):
    done = subprocess.run([program, *map(str, arguments)], input=stdin.encode(), capture_output=True, timeout=60,
                          env=ENVIRONMENT, **named)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def expand(conf, *arguments, stdin=""):
    return run("expand", "-C", conf, *arguments, stdin=stdin)


def test_each_expression_gives_a_line(conf):
    assert expand(conf, "${lc:A}", "b", "") == (0, "a\nb\n\n", "")


def test_lines_of_standard_input_without_prompts(conf):
    assert expand(conf, stdin="${lc:A}\n\n${uc:b}\n") == (0, "a\n\nB\n", "")


def test_last_line_needs_no_newline(conf):
    assert expand(conf, stdin="${lc:A}") == (0, "a\n", "")


def test_backslash_continues_a_line_and_white_space_after_it_is_dropped(conf):
    assert expand(conf, stdin="${lc:AB\\\n   CD\\\n\tEF}\nx\n") == (0, "abcdef\nx\n", "")


def test_prompts_on_a_terminal(conf):
    master, slave = pty.openpty()
    process = subprocess.Popen([POSTERN, "expand", "-C", str(conf)], stdin=slave, stdout=subprocess.PIPE, env=ENVIRONMENT)
    os.close(slave)
    os.write(master, b"${lc:A}\n\x04")
    out, _ = process.communicate(timeout=60)
    os.close(master)
    assert out == b"> a\n> \n" and process.returncode == 0


def test_macros_of_the_file_of_the_command_line_and_of_the_input(conf):
    assert expand(conf, stdin="GREETING\nOTHER = ${uc:x}\nOTHER\n") == (0, "hello\nX\n", "")
    assert expand(conf, "-D", "GREETING=good day", stdin="GREETING\n") == (0, "good day\n", "")


def test_set_gives_acl_variables_a_value(conf):
    assert expand(conf, stdin="set acl_m0 = ${uc:x}\n$acl_m0\nset acl_c_name = 1\n${if def:acl_c_name{y}{n}}\n") == (0, "X\ny\n", "")
    status, out, _ = expand(conf, stdin="set nothing = 1\n")
    assert status == 1 and out.startswith("Failed: ")


def test_exit_status_tells_failures_apart(conf, tmp_path):
    assert expand(conf, "${nosuch:x}", "y")[0] == 1
    assert expand(conf, "${if eq{a}{b}{x}fail}")[0] == 1
    assert expand(conf, "${lookup{a}lsearch{%s/none}}" % tmp_path)[0] == 75
    assert expand(tmp_path / "none", "x")[0] == 2


def test_exims_flag_always_ends_with_0(conf):
    assert run("-C", conf, "-be", "${nosuch:x}", "${lc:A}")[0] == 0
    status, out, _ = run("-C", conf, "-be", "${nosuch:x}", "${lc:A}")
    assert out.splitlines()[0].startswith("Failed: ") and out.splitlines()[1] == "a"


@pytest.mark.parametrize("arguments", [["-be", "-C", "CONF"], ["-C", "CONF", "-be"], ["-CCONF", "-be"], ["-DX=1", "-C", "CONF", "-be"]])
def test_exims_flags_in_any_order(conf, arguments):
    assert run(*[argument.replace("CONF", str(conf)) for argument in arguments], "$qualify_domain") == (0, "example.test\n", "")


def test_session_flags_reach_the_variables(conf):
    status, out, _ = run("-C", conf, "-be", "-oMa", "[192.0.2.1]:99", "-oMs", "host.test", "-f", "a@b.test",
                         "$sender_host_address $sender_host_port $sender_host_name $sender_address")
    assert (status, out) == (0, "192.0.2.1 99 host.test a@b.test\n")


def test_a_message_to_expand_against(conf, tmp_path):
    (tmp_path / "message").write_bytes(b"Subject: one\r\n two\r\nFrom: x@y.test\r\n\r\nbody\r\n")
    for arguments in (["expand", "-C", conf, "-bem", tmp_path / "message"], ["-C", conf, "-bem", tmp_path / "message"]):
        assert run(*arguments, "$h_subject:|$message_body|$reply_address") == (0, "one\n two|body |x@y.test\n", "")


def test_json_is_an_object_a_line(conf):
    status, out, _ = expand(conf, "--json", "-f", "a@b.test", "${lc:A}\\n\\\"", "$sender_address", "${nosuch:x}", "${if eq{a}{b}{x}fail}")
    answers = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert answers[0] == {"expression": "${lc:A}\\n\\\"", "result": "ok", "value": "a\n\"", "tainted": False}
    assert answers[1]["tainted"] is True
    assert answers[2]["result"] == "failed" and answers[2]["column"] == 1 and "nosuch" in answers[2]["reason"]
    assert answers[3]["result"] == "forced failure"


def test_trace_shows_each_step_below_what_it_is_part_of(conf):
    status, out, err = expand(conf, "--trace", "-f", "Joe@B.test", "${if match{$sender_address}{^(.*)@}{${lc:$1}}{none}}")
    assert (status, out) == (0, "joe\n")
    steps = [(len(line) - len(line.lstrip()), line.split("  =>  ")[0].strip(), line.split("  =>  ")[1]) for line in err.splitlines()]
    assert [(depth, source) for depth, source, _ in steps] == [
        (2, "${if match{$sender_address}{^(.*)@}{${lc:$1}}{none}}"), (4, "match{$sender_address}{^(.*)@}"), (6, "$sender_address"),
        (4, "${lc:$1}"), (6, "$1")]
    assert steps[2][2] == "Joe@B.test   (from a peer)" and steps[1][2] == "true"
    trace = json.loads(expand(conf, "--json", "--trace", "${uc:$qualify_domain}")[1])["trace"]
    assert [(step["depth"], step["value"]) for step in trace] == [(0, "EXAMPLE.TEST"), (1, "example.test")]


def test_debug_flag_of_exim_traces(conf):
    assert "=>" in run("-C", conf, "-d+expand", "-be", "${lc:A}")[2]


def test_without_a_configuration_the_language_works(tmp_path):
    done = subprocess.run([POSTERN, "expand", "${lc:A}"], capture_output=True, timeout=60,
                          env={key: value for key, value in ENVIRONMENT.items() if key != "POSTERN_CONF"})
    assert (done.returncode, done.stdout) == (0, b"a\n"), done


def test_print_is_exims_bP(conf):
    assert run("-C", conf, "-bP", "qualify_domain") == (0, "qualify_domain = example.test\n", "")
    status, out, _ = run("-C", conf, "-bP", "+local_domains")
    assert status == 0 and "example.test" in out


def test_version_is_exims_bV(conf, tmp_path):
    status, out, _ = run("-C", conf, "-bV")
    assert status == 0 and re.match(r"Postern version \d+\.\d+", out) and f"Configuration file is {conf}" in out
    (tmp_path / "bad").write_text("nonsense\n")
    status, _, err = run("-C", tmp_path / "bad", "-bV")
    assert status == 2 and "nonsense" in err


def test_rewriting_is_exims_brw_and_retry_brt(conf):
    status, out, err = run("-C", conf, "-brw", "joe@old.test")
    assert status == 0 and "joe@new.test" in out, err
    status, out, err = run("-C", conf, "-brt", "example.org")
    assert status == 0 and "F,1h,5m" in out.replace(" ", ""), (out, err)


@pytest.mark.parametrize("arguments,words", [
    (["-bt", "a@b"], "routing"), (["-bv", "a@b"], "verification"), (["-bs"], "SMTP on standard input"),
    (["-bp"], "queue"), (["-Mrm", "x"], "queue"), (["-q"], "queue"), (["-t"], "standard input"), (["-i", "-f", "a@b", "c@d"], "standard input")])
def test_what_is_not_there_says_so(conf, arguments, words):
    status, out, err = run("-C", conf, *arguments)
    assert status == 2 and "not available in this version of Postern" in err and words in err and out == ""


def test_unknown_flags_are_errors(conf):
    status, _, err = run("-C", conf, "-bZ")
    assert status == 2 and "-bZ" in err


@pytest.mark.parametrize("name,arguments,status,words", [("mailq", [], 2, "queue"), ("newaliases", [], 0, ""), ("sendmail", ["a@b"], 2, "standard input"),
                                                         ("exim4", ["-be", "${lc:A}"], 0, "a")])
def test_other_names_of_the_program(conf, tmp_path, name, arguments, status, words):
    (tmp_path / name).symlink_to(POSTERN)
    got, out, err = run("-C", conf, *arguments, program=tmp_path / name)
    assert got == status and words in out + err
