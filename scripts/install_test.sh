#!/usr/bin/env bash
# Tests the unit file and scripts/install.sh in scratch roots: what it writes,
# what it keeps, what it refuses. The binary is the real one of this tree.
set -u
cd "$(dirname "$0")/.."
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

ok() { # DESCRIPTION COMMAND…
  what="$1"; shift
  if "$@" >"$tmp/log" 2>&1; then passed=$((passed + 1)); else
    failed=$((failed + 1)); echo "FAIL: $what"; sed 's/^/    /' "$tmp/log"
  fi
}
fails() { # CODE TEXT COMMAND…: exits with CODE and says TEXT
  code="$1" text="$2"; shift 2
  "$@" >"$tmp/out" 2>&1
  got=$?
  cat "$tmp/out"
  [ "$got" = "$code" ] && grep -q -- "$text" "$tmp/out"
}
not() { ! "$@"; }
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
install() { root="$1"; shift; sh scripts/install.sh --root "$root" --offline "$tmp/dist" "$@"; }

FIELDGATE_VERSION=v0.0.1-test bash scripts/release "$tmp/dist" >/dev/null || exit 1
native="$(dpkg --print-architecture)"

# The unit, seen by systemd itself, with the program where the unit expects it.
mkdir -p "$tmp/sd/usr/bin" "$tmp/sd/bin" "$tmp/sd/lib/systemd/system"
cp /bin/kill "$tmp/sd/bin/kill"
ok "prepare a root for systemd-analyze" install "$tmp/sd"
for target in network-online.target multi-user.target sysinit.target basic.target shutdown.target network.target; do
  [ -e "$tmp/sd/lib/systemd/system/$target" ] || printf '[Unit]\nDescription=%s\n' "$target" >"$tmp/sd/lib/systemd/system/$target"
done
ok "the unit is well formed" systemd-analyze verify --man=no --root="$tmp/sd" fieldgate.service
ok "exposure is at most 2.0" systemd-analyze security --offline=true --threshold=20 systemd/fieldgate.service

# First installation.
r="$tmp/first"
ok "install" install "$r"
ok "the binary runs" "$r/usr/bin/fieldgate" version
ok "the version is the release's" sh -c "'$r/usr/bin/fieldgate' version | grep -q v0.0.1-test"
ok "the unit is there" test -f "$r/lib/systemd/system/fieldgate.service"
ok "the configuration checks" "$r/usr/bin/fieldgate" check "$r/etc/fieldgate/fieldgate.toml"
ok "settings are for root and the group only" mode "$r/etc/fieldgate" 750
ok "the queue is private" mode "$r/var/lib/fieldgate" 700

# Upgrade.
echo '[gateway]
id = "mine"' >"$r/etc/fieldgate/fieldgate.toml"
ok "upgrade" install "$r"
ok "the configuration is kept" grep -q mine "$r/etc/fieldgate/fieldgate.toml"
ok "the previous binary is kept" test -x "$r/usr/bin/fieldgate.previous"
ok "the settings were saved first" sh -c "ls '$r'/var/backups/fieldgate-*.tar.gz"
for saved in "$r"/var/backups/fieldgate-*.tar.gz; do ok "nobody else reads them: $saved" mode "$saved" 600; done

# An upgrade that refuses the configuration goes back.
echo 'no_such_key = 1' >"$r/etc/fieldgate/fieldgate.toml"
printf 'older' >>"$r/usr/bin/fieldgate" # bytes behind a program do not matter to it
echo '# older' >>"$r/lib/systemd/system/fieldgate.service"
cp "$r/usr/bin/fieldgate" "$r/lib/systemd/system/fieldgate.service" "$tmp/"
ok "a configuration that the new version refuses stops the upgrade" fails 1 "previous version stays" install "$r"
ok "the previous binary is back in place" cmp "$tmp/fieldgate" "$r/usr/bin/fieldgate"
ok "it runs" "$r/usr/bin/fieldgate" version
ok "and its unit with it" cmp "$tmp/fieldgate.service" "$r/lib/systemd/system/fieldgate.service"
ok "the broken configuration is left for its owner" grep -q no_such_key "$r/etc/fieldgate/fieldgate.toml"

# Refusals.
ok "a damaged file is refused" sh -c "cp -r '$tmp/dist' '$tmp/bad' && echo x >>'$tmp/bad/fieldgate-linux-$native'"
ok "and nothing was written" fails 1 "checksum mismatch" sh scripts/install.sh --root "$tmp/none" --offline "$tmp/bad" --arch "$native"
ok "no file of it is there" test ! -e "$tmp/none"
ok "an unknown option" fails 2 "unknown option" sh scripts/install.sh --bogus
ok "a missing value" fails 2 "needs a value" sh scripts/install.sh --offline
ok "an unknown architecture" fails 2 "unknown architecture" install "$tmp/none" --arch mips
ok "an unknown machine" fails 1 "no build for riscv64" env FIELDGATE_DPKG_ARCH= FIELDGATE_UNAME_M=riscv64 sh scripts/install.sh --root "$tmp/none" --offline "$tmp/dist"
ok "nowhere to install from" fails 2 "say where from" sh scripts/install.sh --root "$tmp/none"

# Architectures: the packages' word before the kernel's.
arch() { FIELDGATE_DPKG_ARCH="$1" FIELDGATE_UNAME_M="$2" sh scripts/install.sh --root "$tmp/none" --offline "$tmp/dist" --dry-run 2>&1 | grep -q "fetch fieldgate-linux-$3 "; }
ok "amd64" arch amd64 x86_64 amd64
ok "arm64" arch arm64 aarch64 arm64
ok "a 64-bit kernel under a 32-bit system" arch armhf aarch64 armv7
ok "a Pi Zero" arch armhf armv6l armv6
ok "no dpkg, armv7" arch "" armv7l armv7
ok "a dry run changes nothing" test ! -e "$tmp/none"

# A cut download runs nothing.
head -c 3000 scripts/install.sh >"$tmp/cut.sh"
ok "a cut script writes nothing" sh -c "sh '$tmp/cut.sh' --root '$tmp/none' --offline '$tmp/dist'; test ! -e '$tmp/none'"

# A restart that is only asked for: the run before is still active for a moment.
grep -v '^main "\$@"$' scripts/install.sh >"$tmp/parts.sh"
mkdir "$tmp/path"
cat >"$tmp/path/systemctl" <<END
#!/bin/sh
case "\$1" in
  is-active) exit 0 ;;
  show) cat "$tmp/invocation" ;;
esac
END
chmod +x "$tmp/path/systemctl"
came_up() { # RUN-NOW: came_up after the run "old", with a sleep that takes no time
  echo "$1" >"$tmp/invocation"
  PATH="$tmp/path:$PATH" sh -c '. "$1"; sleep() { :; }; came_up old' sh "$tmp/parts.sh"
}
ok "the run before does not count as the new one" not came_up old
ok "the new one does" came_up new

# Removal.
ok "uninstall" sh scripts/install.sh --root "$r" --uninstall
ok "the program is gone" test ! -e "$r/usr/bin/fieldgate"
ok "settings and queue are kept" test -d "$r/etc/fieldgate" -a -d "$r/var/lib/fieldgate"
ok "purge" sh scripts/install.sh --root "$r" --uninstall --purge
ok "settings and queue are gone" test ! -e "$r/etc/fieldgate" -a ! -e "$r/var/lib/fieldgate"

echo "install: $passed ok, $failed failed"
[ "$failed" = 0 ]
