#!/usr/bin/env bash
# What proxy/run, tests/run and the Dockerfile share: installing packages and building a preset.
#
#   docker/setup.sh SECTION...     installs what packages.txt lists in these sections and this machine lacks;
#                                  legacy-clients: from npm, into build/
#   . docker/setup.sh              the functions alone
set -euo pipefail

GENKAN_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

Say() { printf '%s\n' "$*" >&2; }

Die() {
  Say "${0##*/}: $*"
  exit 2
}

# The packages of the named sections of packages.txt, one a line.
Packages() {
  awk -v sections=" $* " '
    { sub(/#.*/, "") }
    /^\[/ { gsub(/[][ \t]/, ""); inside = index(sections, " " $0 " "); next }
    NF && inside { print $1 }' "$GENKAN_ROOT/docker/packages.txt" | sort -u
}

# Those of the named packages that dpkg does not call installed.
Missing() {
  # A name that dpkg has never heard of is an error to it and an ordinary answer to us.
  { dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true; } |
    awk -v all="$*" '$1 == "installed" { have[$2] = 1 }
      END { count = split(all, name, " ")
            for (i = 1; i <= count; i++) if (!(name[i] in have)) print name[i] }'
}

AsRoot() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    Die "this needs root or sudo: $*"
  fi
}

# apache2 and others start their server when they are installed. A policy-rc.d that says no keeps
# them quiet; the one that was there before is put back.
QuietServices() {
  AsRoot sh -c 'cd /usr/sbin
    if [ -e policy-rc.d ] && [ ! -e policy-rc.d.before-genkan ]; then mv policy-rc.d policy-rc.d.before-genkan; fi
    printf "#!/bin/sh\nexit 101\n" >policy-rc.d && chmod 755 policy-rc.d'
}
RestoreServices() {
  AsRoot sh -c 'cd /usr/sbin && rm -f policy-rc.d
    if [ -e policy-rc.d.before-genkan ]; then mv policy-rc.d.before-genkan policy-rc.d; fi'
}

Apt() { AsRoot env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

# Reads a program's output and says how far it is: a line each tenth of the way, or after 15 s.
# $1 names the work. apt's status lines (APT::Status-Fd) and ninja's [n/m] count; apt's chatter goes
# to the log $2, every other line of ninja through, because it is a warning or an error.
Progress() {
  awk -v work="$1" -v log_file="${2:-}" '
    function Tell(percent, detail,    now) {
      now = systime()
      if (percent >= last + 10 || percent < last || now - told >= 15) {
        printf "  %s: %d %%%s\n", work, percent, detail; fflush(); last = percent - percent % 10; told = now
      }
    }
    BEGIN { told = systime() }
    # ninja looks for new files and configures again when there are: no step of the work.
    /^ninja: Entering/ || /^\[[0-9]+\/[0-9]+\] Re-(checking|running)/ || /^-- / { next }
    /^(dl|pm)status:/ { split($0, part, ":"); Tell(int(part[3]), part[1] == "dlstatus" ? " downloaded" : " installed"); next }
    /^\[[0-9]+\/[0-9]+\] / { split(substr($1, 2), part, /[\/\]]/); Tell(int(100 * part[1] / part[2]), " (step " part[1] " of " part[2] ")"); next }
    log_file != "" { print >> log_file; next }
    { print; fflush() }'
}

# Installs what the sections list and the machine lacks; silent when that is nothing.
Install() {
  local wanted missing log
  mapfile -t wanted < <(Packages "$@")
  ((${#wanted[@]})) || Die "packages.txt has no section $*"
  mapfile -t missing < <(Missing "${wanted[@]}")
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || Die "this is no Debian; please install: ${missing[*]}"
  Say "== installing ${#missing[@]} Debian packages and what they need: ${missing[*]}"
  log=$(mktemp)
  trap RestoreServices EXIT
  QuietServices
  # A third repository of the machine that is out of reach must not stop us: install decides.
  Apt update >"$log" 2>&1 || true
  Apt install -y --no-install-recommends -o APT::Status-Fd=1 "${missing[@]}" 2>&1 </dev/null |
    Progress packages "$log" >&2 || {
    tail -n 30 "$log" >&2
    Die "apt-get could not install them (its last words above, all in $log)"
  }
  RestoreServices
  trap - EXIT
  rm -f "$log"
}

# Clients of the past, as npm's packages have them: build/legacy-clients/NAME@VERSION/node. They are
# unpacked, and none of their install scripts runs. Whoever has no way to npm's registry goes on
# without; the test that wants them then says so.
LegacyClients() {
  local dir=$GENKAN_ROOT/build/legacy-clients package version scratch
  for package in $(Packages legacy-clients); do
    if [[ -x $dir/$package/node ]]; then continue; fi
    command -v npm >/dev/null || Install npm
    Say "== fetching $package"
    scratch=$(mktemp -d)
    version=${package#*@}
    if ! (cd "$scratch" && npm pack --silent "$package" >/dev/null && tar xzf ./*.tgz); then
      rm -rf "$scratch"
      Say "npm cannot fetch $package: e2e.legacy_clients will fail"
      return 0
    fi
    # Early ones are an archive in the archive.
    if [[ ! -e $scratch/package/bin/node ]]; then
      tar xzf "$scratch/package/node-v$version-linux-x64.tar.gz" -C "$scratch/package" --strip-components=1
    fi
    mkdir -p "$dir/$package"
    mv "$scratch/package/bin/node" "$dir/$package/node.new"
    mv "$dir/$package/node.new" "$dir/$package/node"
    rm -rf "$scratch"
  done
}

# The demo and many tests say "localhost", which a system made by debootstrap alone does not know.
NameLocalhost() {
  if getent hosts localhost >/dev/null; then return 0; fi
  Say '== naming localhost in /etc/hosts'
  AsRoot sh -c 'printf "127.0.0.1\tlocalhost\n::1\tlocalhost\n" >>/etc/hosts'
}

# Build PRESET [TARGET...]: configures build/PRESET when it must be, and builds.
Build() {
  local preset=$1 dir=$GENKAN_ROOT/build/$1
  shift
  cd "$GENKAN_ROOT"
  if [[ ! -e $dir/build.ninja || CMakePresets.json -nt $dir/build.ninja ]]; then
    Say "== configuring build/$preset"
    mkdir -p build
    cmake --preset "$preset" >"build/$preset.log" 2>&1 || {
      tail -n 40 "build/$preset.log" >&2
      Die "cmake --preset $preset failed (above)"
    }
    touch "$dir/build.ninja"
  fi
  Say "== building build/$preset"
  if [[ -t 1 ]]; then
    ninja -C "$dir" "$@" >&2
  else
    ninja -C "$dir" "$@" | Progress "$preset" >&2
  fi || Die "the build failed (above)"
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  (($#)) || Die "which sections of packages.txt?"
  sections=()
  for section in "$@"; do
    if [[ $section == legacy-clients ]]; then LegacyClients; else sections+=("$section"); fi
  done
  if ((${#sections[@]})); then Install "${sections[@]}"; fi
fi
