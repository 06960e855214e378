#!/bin/bash
# SPDX-License-Identifier: ISC
# try.sh: a whole server on 127.0.0.1 under var/try, of the program in BUILD (build): makes configuration, certificate and user
# with `postern init` and `postern user add` when they are not there yet, starts it, sends it a message by curl over STARTTLS
# with the certificate verified, shows the log and the file, tells how a mail client logs in, and serves until interrupted.
# ONCE=1: stops when the message has arrived.
# TRY_DIR and TRY_PORTS (SMTP,implicit TLS,submission) take another place and other ports. Writes nothing outside of the tree.
set -u
cd "$(dirname "$0")/.." || exit 1
program=$PWD/${BUILD:-build}/postern
directory=$PWD/${TRY_DIR:-var/try}
ports=${TRY_PORTS:-2525,2465,2587}
domain=example.test user=user
IFS=, read -r smtp implicit submission <<<"$ports"
server='' tail=''

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
die() { printf 'make try: %s\n' "$*" >&2; exit 1; }

# The process that listens on a port, from /proc alone: "NAME (pid N)", or nothing when it is another user's.
listener() {
	local inode entry pid
	inode=$(awk -v port="$(printf ':%04X' "$1")" '$4 == "0A" && $2 ~ port "$" {print $10; exit}' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null)
	[ -n "$inode" ] || return 1
	for entry in /proc/[0-9]*/fd/*; do
		[ "$(readlink "$entry" 2>/dev/null)" = "socket:[$inode]" ] || continue
		pid=${entry#/proc/} pid=${pid%%/*}
		printf '%s (pid %s)' "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -c1-60 | sed 's/ *$//')" "$pid"
		return 0
	done
	return 0
}

check_ports() {
	local port who busy=0
	for port in "$smtp" "$implicit" "$submission"; do
		who=$(listener "$port") || continue
		echo "make try: port $port is in use by ${who:-a process of another user}" >&2
		busy=1
	done
	[ "$busy" = 0 ] || die "stop what listens there, or choose other ports: TRY_DIR=var/try2 TRY_PORTS=3525,3465,3587 make try"
}

stop() {
	[ -z "$tail" ] || kill "$tail" 2>/dev/null
	[ -n "$server" ] || return 0
	kill "$server" 2>/dev/null
	wait "$server"
	local status=$?
	server=''
	return $status
}

# Ends the trial with what the server left in its log and on its standard error.
fail() {
	echo "make try: $1; $directory/log/mainlog ends so:" >&2
	tail -n 20 "$directory/log/mainlog" "$directory/stderr" >&2
	stop
	exit 1
}

# wait_until SECONDS CONDITION...: tries every tenth of a second.
wait_until() {
	local left=$(($1 * 10))
	shift
	until "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		kill -0 "$server" 2>/dev/null || return 1
		sleep 0.1
	done
}

new_files() { find "$directory/mail/$domain/$user/new" -type f 2>/dev/null | sort; }
is_ready() { tail -c "+$((log_start + 1))" "$directory/log/mainlog" 2>/dev/null | grep -q 'daemon started'; }
is_there() { new_files >"$directory/after"; arrived=$(comm -13 "$directory/before" "$directory/after" | head -n 1); [ -n "$arrived" ]; }
is_complete() { tail -c "+$((log_start + 1))" "$directory/log/mainlog" | grep -q ' Completed'; }

[ -x "$program" ] || die "$program is not there: run make first"
check_ports
if [ ! -e "$directory/postern.conf" ]; then
	say "Making a configuration, a certificate and a user in ${directory#"$PWD/"}"
	mkdir -p "$directory" || die "cannot make $directory"
	"$program" init "$directory" --domain "$domain" --user "$user" --address 127.0.0.1 --ports "$ports" ||
		die "postern init failed"
	# Random, and kept beside the configuration, so that the next trial can tell it, too.
	(umask 077 && od -An -N8 -tx1 /dev/urandom | tr -d ' ' >"$directory/password") &&
		"$program" user add -c "$directory/postern.conf" "$user@$domain" <"$directory/password" ||
		die "postern user add failed"
elif [ ! -w "$directory/postern.conf" ]; then
	die "$directory belongs to another user: remove it, or choose another place with TRY_DIR"
fi

log_start=$(stat -c %s "$directory/log/mainlog" 2>/dev/null || echo 0)
new_files >"$directory/before"
say "Starting ${program#"$PWD/"} run -c ${directory#"$PWD/"}/postern.conf"
# In a session of its own: an interrupt from the terminal reaches this script, which then ends the server in good order.
setsid "$program" run -c "$directory/postern.conf" </dev/null 2>"$directory/stderr" &
server=$!
trap 'stop; exit 130' INT TERM
wait_until 30 is_ready || fail "the server did not start"

say "Sending $user@$domain a message over STARTTLS, certificate verified"
printf '%s\r\n' "From: make try <try@$domain>" "To: $user@$domain" "Subject: Postern works" "Date: $(LC_ALL=C date -R)" \
	"Message-ID: <try.$$.$(date +%s)@$domain>" "" "This message came in over TLS, was safe on disk before it was accepted," \
	"and landed in your mailbox." >"$directory/message"
curl -sS --max-time 30 --ssl-reqd --cacert "$directory/tls/cert.pem" --mail-from "try@$domain" --mail-rcpt "$user@$domain" \
	-T "$directory/message" "smtp://127.0.0.1:$smtp/localhost" || fail "curl could not send"
wait_until 30 is_there || fail "the message did not arrive"
wait_until 10 is_complete

say "The log, ${directory#"$PWD/"}/log/mainlog:"
tail -c "+$((log_start + 1))" "$directory/log/mainlog" | sed 's/^/  /'
say "The message landed in"
echo "  ${arrived#"$PWD/"}"
sed 's/^/  | /' "$arrived"
password=$(cat "$directory/password" 2>/dev/null) ||
	password="none yet: ${program#"$PWD/"} user add -c ${directory#"$PWD/"}/postern.conf $user@$domain"
say "For a mail client (sending only, to $domain):"
cat <<E
  user           $user@$domain
  password       $password
  server         127.0.0.1
  submission     port $submission, STARTTLS
  implicit TLS   port $implicit
  certificate    ${directory#"$PWD/"}/tls/cert.pem (trust it in the client; made for localhost and 127.0.0.1)
E

if [ -n "${ONCE:-}" ] && [ "$ONCE" != 0 ]; then
	stop || die "the server ended with status $?"
	say "Stopped again (ONCE=1)."
	exit 0
fi
say "Serving until interrupted (Ctrl-C). The log from here:"
tail -n 0 -F "$directory/log/mainlog" 2>/dev/null &
tail=$!
trap 'trap "" INT TERM; echo; say "Stopping"; stop; exit $?' INT TERM
wait "$server"
status=$?
server=''
stop
die "the server ended by itself with status $status: see ${directory#"$PWD/"}/stderr"
