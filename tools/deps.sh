#!/bin/sh
# SPDX-License-Identifier: ISC
# deps.sh SET...: sees that the packages of these sets (build, try, test, exim, fuzz, bench) are there; says nothing when they are.
# What is missing is installed with apt-get, as root or by sudo without a password; otherwise the one command to run is
# printed, and the exit status is 1. What is tested is the thing needed, not the package: a tool from elsewhere will do.
set -u

command_is() { command -v "$1" >/dev/null 2>&1; }
library() { command_is pkg-config && pkg-config --exists "$1"; }
python_has() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c "import $1" >/dev/null 2>&1; }
perl_has() { command_is perl && perl -M"$1" -e 1 >/dev/null 2>&1; }
# The C library's headers have a directory of the machine's on Debian, so ask the compiler.
libc_headers() { echo '#include <stdio.h>' | ${CC:-gcc} -E -x c - >/dev/null 2>&1; }
header() { echo "#include <$1>" | ${CC:-gcc} -E -x c - >/dev/null 2>&1; }
# A library of another program's (Debian's Exim, which the tests ask), or one that is preloaded.
shared() { ldconfig -p 2>/dev/null | grep -q -F "$1 " || ls /usr/lib/*/"$1" >/dev/null 2>&1; }
# Debian keeps the servers of all its versions outside of the path.
postgres_is() { ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; }
fuzzer_runtime() {
	command_is clang && [ -e "$(clang -print-resource-dir)/lib/linux/libclang_rt.fuzzer-$(uname -m).a" ]
}

# package: how to see that it is there
table() {
	case $1 in
	build) cat <<-'T' ;;
		gcc command_is gcc
		libc6-dev libc_headers
		make command_is make
		meson command_is meson
		ninja-build command_is ninja
		pkg-config command_is pkg-config
		libssl-dev library libssl
		libseccomp-dev library libseccomp
		libidn2-dev library libidn2
		libpcre2-dev library libpcre2-8
		libunbound-dev header unbound.h
		libjansson-dev library jansson
		libsqlite3-dev library sqlite3
		zlib1g-dev library zlib
		libpq-dev library libpq
		libhiredis-dev library hiredis
		libcdb-dev library libcdb
		libcurl4-openssl-dev library libcurl
		libunistring-dev header unistr.h
		libargon2-dev library libargon2
		libpam0g-dev library pam
		dns-root-data test -r /usr/share/dns/root.key
		libmimalloc-dev header mimalloc.h
	T
	try) cat <<-'T' ;;
		curl command_is curl
		openssl command_is openssl
	T
	test) cat <<-'T' ;;
		libcmocka-dev library cmocka
		valgrind command_is valgrind
		python3 command_is /usr/bin/python3
		python3-pytest python_has pytest
		python3-pytest-xdist python_has xdist
		swaks command_is swaks
		libnet-ssleay-perl perl_has Net::SSLeay
		curl command_is curl
		msmtp command_is msmtp
		gsasl command_is gsasl
		openssl command_is openssl
		gnutls-bin command_is gnutls-cli
		sslscan command_is sslscan
		testssl.sh command_is testssl
		faketime command_is faketime
		procps command_is ps
		mandoc command_is mandoc
		man-db command_is man
		systemd command_is systemd-analyze
		nsd command_is /usr/sbin/nsd
		ldnsutils command_is ldns-signzone
		postgresql postgres_is
		redis-server command_is redis-server
		haproxy command_is /usr/sbin/haproxy
		clamav-daemon command_is /usr/sbin/clamd
		spamd command_is /usr/sbin/spamd
		rspamd command_is rspamd
	T
	exim) cat <<-'T' ;;
		libnss-wrapper shared libnss_wrapper.so
		libevent-2.1-7 shared libevent-2.1.so.7
		libgnutls-dane0 shared libgnutls-dane.so.0
		libldap-2.5-0 shared libldap-2.5.so.0
		libmariadb3 shared libmariadb.so.3
		libperl5.36 shared libperl.so.5.36
		libspf2-2 shared libspf2.so.2
	T
	fuzz) cat <<-'T' ;;
		clang command_is clang
		libclang-rt-14-dev fuzzer_runtime
	T
	clang) echo clang command_is clang ;;
	bench) cat <<-'T' ;;
		postfix command_is postfix
		util-linux command_is unshare
		openssl command_is openssl
		python3 command_is /usr/bin/python3
	T
	*) echo "deps.sh: unknown set '$1' (build, try, test, exim, fuzz, clang, bench)" >&2; exit 2 ;;
	esac
}

missing_in() {
	list=$(table "$1") || exit 2
	echo "$list" | while read -r package check argument; do
		# pkg-config is itself in the table: without it every library counts as missing, which costs nothing to install.
		$check $argument || echo "$package"
	done
}

missing() {
	for set in $sets; do missing_in "$set"; done | sort -u | tr '\n' ' ' | sed 's/ $//'
}

sets=$*
wanted=$(missing)
[ -n "$wanted" ] || exit 0

if ! command_is apt-get; then
	echo "Missing (Debian's names): $wanted" >&2
	echo "This is not Debian: please install them with your system's tools, then run make again." >&2
	exit 1
fi
if [ "$(id -u)" = 0 ]; then
	root="env"
elif command_is sudo && sudo -n true 2>/dev/null; then
	root='sudo -n env'
else
	echo "Missing: $wanted. As root, run:" >&2
	echo "  apt-get update && apt-get install -y --no-install-recommends $wanted" >&2
	exit 1
fi

echo "Installing: $wanted" >&2
apt() { $root DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >&2; }
apt update || echo "apt-get update failed; trying with the package lists that are there" >&2
# Postfix is wanted as a program to compare with, not as this machine's mail server: without a configuration it is not started.
case " $wanted " in
*' postfix '*) echo 'postfix postfix/main_mailer_type select No configuration' | $root debconf-set-selections ;;
esac
# Tests start servers for themselves: as services of this machine they are neither started now nor at its next start.
services=
for service in postgresql redis-server nsd haproxy clamav-daemon spamd rspamd; do
	case " $wanted " in *" $service "*) services="$services $service" ;; esac
done
policy=/usr/sbin/policy-rc.d
if [ -n "$services" ] && [ ! -e $policy ]; then
	trap '$root rm -f $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null && $root chmod 755 $policy
fi
# Nothing that is installed is removed for it (Postfix would take the place of another mail server).
# shellcheck disable=SC2086 # a list of packages
apt install --no-install-recommends --no-remove $wanted || { echo "apt-get could not install: $wanted" >&2; exit 1; }
for service in $services; do
	if command_is systemctl; then
		$root systemctl disable "$service" >/dev/null 2>&1
	else
		$root update-rc.d "$service" disable >/dev/null 2>&1
	fi
done
still=$(missing)
[ -z "$still" ] || { echo "Installed, yet still not found: $still" >&2; exit 1; }
