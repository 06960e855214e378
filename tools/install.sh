#!/bin/sh
# SPDX-License-Identifier: ISC
# install.sh: the program, its systemd unit, the users of its roles (sysusers.d), its directories (tmpfiles.d), and the manual,
# below DESTDIR. Called by `make install` with BUILD, PREFIX, DESTDIR and UNITDIR. Changes no running system: the last lines
# say what to run when DESTDIR is empty.
set -eu
: "${BUILD:=build}" "${PREFIX:=/usr/local}" "${DESTDIR:=}" "${UNITDIR:=$PREFIX/lib/systemd/system}"
cd "$(dirname "$0")/.."

put() { # mode source destination
	install -D -m "$1" "$2" "$DESTDIR$3"
	echo "$DESTDIR$3"
}

put 755 "$BUILD/postern" "$PREFIX/sbin/postern"
unit=$(mktemp)
trap 'rm -f "$unit"' EXIT
sed "s|/usr/sbin/postern|$PREFIX/sbin/postern|g" dist/postern.service >"$unit"
put 644 "$unit" "$UNITDIR/postern.service"
lib=${UNITDIR%/systemd/system}
put 644 dist/postern.sysusers.conf "$lib/sysusers.d/postern.conf"
put 644 dist/postern.tmpfiles.conf "$lib/tmpfiles.d/postern.conf"
pages=$(mktemp -d)
trap 'rm -rf "$unit" "$pages"' EXIT
for page in postern.8 postern.conf.5; do
	"$BUILD/postern" check --man "${page%.*}" >"$pages/$page"
	put 644 "$pages/$page" "$PREFIX/share/man/man${page##*.}/$page"
done
for text in README.md LICENSE docs/*.md; do
	put 644 "$text" "$PREFIX/share/doc/postern/${text##*/}"
done
if [ -z "$DESTDIR" ]; then
	cat <<-END
		Next, as root:
		  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload
		  $PREFIX/sbin/postern init /etc/postern --domain YOUR.DOMAIN
		  systemctl enable --now postern
	END
fi
