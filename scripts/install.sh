#!/bin/sh
# Installs, upgrades or removes fieldgate on a board with systemd.
#
#   install.sh --offline DIR              from a folder that scripts/release made
#   install.sh --url BASE --version V     from BASE/V/ on a web server of yours
#   install.sh --uninstall [--purge]      the program; with --purge also settings, queue and user
#
#   --dry-run      say what would be done, do nothing
#   --arch ARCH    amd64, arm64, armv7 or armv6 instead of what this board is
#   --root DIR     into a scratch root instead of / (no user, no systemctl)
#   --no-start     do not start or restart the service
#
# The configuration is created if it is absent and never overwritten. An upgrade
# keeps the previous binary beside the new one and goes back to it when the new
# one refuses the configuration or does not come up within 90 seconds.
set -eu

main() {
  url="${FIELDGATE_URL:-}" version="" offline="" root="" arch=""
  dry="" uninstall="" purge="" start=1
  while [ $# -gt 0 ]; do
    case "$1" in
      --offline) need "$@"; offline="$2"; shift ;;
      --url) need "$@"; url="$2"; shift ;;
      --version) need "$@"; version="$2"; shift ;;
      --root) need "$@"; root="${2%/}"; shift ;;
      --arch) need "$@"; arch="$2"; shift ;;
      --dry-run) dry=1 ;;
      --uninstall) uninstall=1 ;;
      --purge) purge=1 ;;
      --no-start) start="" ;;
      -h | --help) usage; return 0 ;;
      *) die 2 "unknown option $1; see install.sh --help" ;;
    esac
    shift
  done
  [ -z "$purge" ] || [ -n "$uninstall" ] || die 2 "--purge goes with --uninstall"
  if [ -z "$root" ] && [ -z "$dry" ] && [ "$(id -u)" != 0 ]; then
    die 7 "this writes to /usr/bin and /etc; run it with sudo"
  fi

  bin="$root/usr/bin/fieldgate"
  unit="$root/lib/systemd/system/fieldgate.service"
  conf="$root/etc/fieldgate/fieldgate.toml"
  state="$root/var/lib/fieldgate"
  if [ -n "$uninstall" ]; then uninstall; else install_or_upgrade; fi
}

usage() { sed -n '2,17s/^# \{0,1\}//p' "$0"; }
say() { printf '%s\n' "$*"; }
die() { code="$1"; shift; printf 'install.sh: %s\n' "$*" >&2; exit "$code"; }
need() { [ $# -ge 2 ] || die 2 "$1 needs a value"; }

# run prints a step, and does it unless this is a dry run.
run() {
  say "  $*"
  [ -n "$dry" ] || "$@"
}

# The package architecture decides, not the kernel: a Raspberry Pi may run a
# 64-bit kernel under a 32-bit system, where an arm64 binary would still run but
# libraries and tools beside it would not match.
detect_arch() {
  machine="${FIELDGATE_UNAME_M:-$(uname -m)}"
  packages="${FIELDGATE_DPKG_ARCH-$(dpkg --print-architecture 2>/dev/null || true)}"
  case "$packages:$machine" in
    amd64:* | :x86_64) echo amd64 ;;
    arm64:* | :aarch64) echo arm64 ;;
    *:armv6l) echo armv6 ;;
    armhf:* | :armv7l | :armv8l) echo armv7 ;;
    *) die 1 "no build for $machine; there are builds for amd64, arm64, armv7 and armv6 (choose one with --arch)" ;;
  esac
}

fetch() { # NAME: from the folder or the server into $work
  if [ -n "$offline" ]; then
    [ -f "$offline/$1" ] || die 1 "$offline/$1 is missing; make the folder with scripts/release"
    cp "$offline/$1" "$work/$1"
  elif command -v curl >/dev/null 2>&1; then
    curl -fsSL --retry 3 --proto '=https,http' -o "$work/$1" "$url/$version/$1" || die 6 "cannot fetch $url/$version/$1"
  else
    wget -q -O "$work/$1" "$url/$version/$1" || die 6 "cannot fetch $url/$version/$1"
  fi
}

fetch_all() {
  for f in SHA256SUMS "$name" fieldgate.service fieldgate.toml; do fetch "$f"; done
  (cd "$work" && grep -E " (\*)?($name|fieldgate\.service|fieldgate\.toml)\$" SHA256SUMS >wanted &&
    [ "$(wc -l <wanted)" -eq 3 ] && sha256sum -c --status wanted) ||
    die 1 "checksum mismatch: a file is damaged or not of this release; nothing was changed"
  chmod 0755 "$work/$name"
}

install_or_upgrade() {
  if [ -n "$offline" ]; then
    [ -d "$offline" ] || die 1 "$offline is no folder; make it with scripts/release"
  else
    [ -n "$url" ] || die 2 "say where from: --offline DIR, or --url BASE --version V"
    [ -n "$version" ] || die 2 "--url needs --version"
  fi
  [ -n "$arch" ] || arch="$(detect_arch)" || exit $?
  case "$arch" in
    amd64 | arm64 | armv7 | armv6) ;;
    *) die 2 "unknown architecture $arch; one of amd64, arm64, armv7, armv6" ;;
  esac
  name="fieldgate-linux-$arch"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  if [ -n "$dry" ]; then say "would fetch $name and check its SHA-256"; else fetch_all; fi

  if [ -e "$bin" ]; then say "upgrade ($arch):"; else say "install ($arch):"; fi
  make_user
  backup
  run mkdir -p "$root/usr/bin" "$root/lib/systemd/system" "$root/etc/fieldgate/conf.d" "$state"
  run chmod 0750 "$root/etc/fieldgate"
  run chmod 0700 "$state"
  if [ -e "$bin" ]; then run cp -p "$bin" "$bin.previous"; else run rm -f "$bin.previous"; fi
  if [ -e "$unit" ]; then run cp -p "$unit" "$work/unit.previous"; fi
  # Into place by rename: a power cut leaves the old file or the new one.
  run cp "$work/$name" "$bin.new"
  run cp "$work/fieldgate.service" "$unit.new"
  run chmod 0644 "$unit.new"
  run sync
  run mv "$bin.new" "$bin"
  run mv "$unit.new" "$unit"
  if [ -e "$conf" ]; then
    say "  $conf is kept as it is"
  else
    run cp "$work/fieldgate.toml" "$conf"
    run chmod 0640 "$conf"
  fi
  own_files
  verdict
  start_service
  next_step
}

make_user() {
  [ -z "$root" ] || return 0
  id fieldgate >/dev/null 2>&1 ||
    run useradd --system --user-group --home-dir /var/lib/fieldgate --no-create-home --shell /usr/sbin/nologin fieldgate
}

own_files() {
  [ -z "$root" ] || return 0
  run chown -R root:fieldgate /etc/fieldgate
  run chown -R fieldgate:fieldgate /var/lib/fieldgate
}

# backup keeps the settings as they were before the upgrade, the newest five.
# They hold secrets: nobody else may read them.
backup() {
  [ -e "$conf" ] && [ -e "$bin" ] || return 0
  keep="$root/var/backups"
  run mkdir -p "$keep"
  before="$(umask)"
  umask 077
  run tar -C "$root/etc" -czf "$keep/fieldgate-$(date +%Y%m%d-%H%M%S).tar.gz" fieldgate
  umask "$before"
  [ -z "$dry" ] || return 0
  # shellcheck disable=SC2012 # the names are our own
  ls -1t "$keep"/fieldgate-*.tar.gz | tail -n +6 | while read -r old; do rm -f "$old"; done
}

# verdict asks the new binary about the configuration that is there.
verdict() {
  [ -z "$dry" ] || return 0
  [ "$arch" = "$(detect_arch)" ] || { say "  not checked: $arch does not run here"; return 0; }
  if out="$("$bin" check "$conf" 2>&1)"; then return 0; fi
  say "$out"
  if [ -e "$bin.previous" ]; then
    go_back
    die 1 "the new version refuses $conf (above); the previous version stays in place"
  fi
  say "  mend $conf, then: fieldgate check"
}

# go_back puts the previous binary and its unit into place again.
go_back() {
  run mv "$bin.previous" "$bin"
  if [ -e "$work/unit.previous" ]; then run mv "$work/unit.previous" "$unit"; fi
}

# came_up waits for a run of the service that is not the one before: just after
# a restart without waiting, the old run is still the active one.
came_up() { # INVOCATION of the run before
  left=90
  while [ "$left" -gt 0 ]; do
    if systemctl is-active --quiet fieldgate.service && [ "$(invocation)" != "$1" ]; then return 0; fi
    sleep 1
    left=$((left - 1))
  done
  return 1
}

invocation() { systemctl show --property=InvocationID --value fieldgate.service 2>/dev/null || true; }

start_service() {
  [ -n "$start" ] && [ -z "$root" ] || return 0
  command -v systemctl >/dev/null 2>&1 && [ -d /run/systemd/system ] || { say "  systemd is not running: nothing started"; return 0; }
  run systemctl daemon-reload
  run systemctl enable fieldgate.service
  old_run="$(invocation)"
  # A failure that was counted before must not forbid this start.
  run systemctl reset-failed fieldgate.service || true
  run systemctl restart --no-block fieldgate.service
  [ -z "$dry" ] || return 0
  if came_up "$old_run"; then return 0; fi
  [ -e "$bin.previous" ] || die 1 "fieldgate did not come up in 90 s; see: journalctl -u fieldgate"
  go_back
  run systemctl daemon-reload
  run systemctl reset-failed fieldgate.service || true
  run systemctl restart --no-block fieldgate.service
  die 1 "the new version did not come up in 90 s; the previous one is back; see: journalctl -u fieldgate"
}

next_step() {
  [ -z "$dry" ] || { say "dry run: nothing was changed"; return 0; }
  say "installed: $("$bin" version 2>/dev/null | head -n 1 || echo "$name")"
  say "next: edit $conf, then: fieldgate check && systemctl reload fieldgate"
}

uninstall() {
  say "uninstall:"
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    run systemctl disable --now fieldgate.service || true
  fi
  run rm -f "$bin" "$bin.previous" "$bin.new" "$unit"
  if [ -n "$purge" ]; then
    run rm -rf "$root/etc/fieldgate" "$state"
    if [ -z "$root" ] && id fieldgate >/dev/null 2>&1; then run userdel fieldgate; fi
  else
    say "  kept: $root/etc/fieldgate and $state (--purge removes them)"
  fi
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then run systemctl daemon-reload; fi
  [ -z "$dry" ] || say "dry run: nothing was changed"
}

# Everything above is only definitions: a download that was cut runs nothing.
main "$@"
