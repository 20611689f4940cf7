#!/bin/sh
# Installs OpenClaw from a release archive, for the person who calls it or below another prefix.
#
#   sh install.sh [--prefix FOLDER] [--force] [ARCHIVE]
#   sh install.sh --uninstall [--prefix FOLDER] [--force]
#
# Without an archive, the one that lies beside this script is installed, or the unpacked one that this script lies in. An
# archive is compared with SHA256SUMS beside it. Programs are put in place by renaming, so that a gateway that runs is
# not disturbed. Nothing else is changed: no shell's settings, no service, no state.
set -eu
# What is installed for everybody has to be readable by everybody, whatever root's own custom is.
umask 022

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; }

prefix=${HOME:+$HOME/.local}
archive=
uninstall=
force=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -gt 1 ] || fail "--prefix needs a folder"; prefix=$2; shift ;;
    --prefix=*) prefix=${1#--prefix=} ;;
    --uninstall) uninstall=1 ;;
    --force) force=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) fail "unknown option $1" "See sh install.sh --help." ;;
    *) [ -z "$archive" ] || fail "one archive at a time"; archive=$1 ;;
  esac
  shift
done
[ -n "$prefix" ] || fail "HOME is not set" "Name a folder with --prefix."

# From here on the folder may be entered and left, so the names have to be whole.
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
case $archive in '' | /*) ;; *) archive=$PWD/$archive ;; esac
here=$(cd "$(dirname "$0")" && pwd)

programs=$prefix/lib/openclaw
# Everything that this script has installed, so that it can take away exactly that.
manifest=$programs/.installed

# The services that start the programs below this prefix.
services() {
  for unit in "${XDG_CONFIG_HOME:-${HOME:-/nonexistent}/.config}"/systemd/user/openclaw-*.service \
    "${HOME:-/nonexistent}"/Library/LaunchAgents/*.plist /etc/systemd/system/openclaw-*.service; do
    [ -f "$unit" ] || continue
    if grep -qF -e "$programs/" -e "$prefix/bin/openclaw" "$unit" 2>/dev/null; then say "$unit"; fi
  done
}

# Takes away the files of a list, and the folders that are empty then.
remove_listed() {
  while IFS= read -r file; do
    case $file in '' | /* | ../* | */../*) fail "the list of installed files is broken: $file" ;; esac
    rm -f "$prefix/$file"
    folder=$file
    while [ "$folder" != "${folder%/*}" ] && folder=${folder%/*} && rmdir "$prefix/$folder" 2>/dev/null; do :; done
  done
}

if [ -n "$uninstall" ]; then
  [ -z "$archive" ] || fail "--uninstall takes no archive"
  [ -f "$manifest" ] || fail "nothing that this script has installed is below $prefix"
  left=$(services)
  if [ -n "$left" ] && [ -z "$force" ]; then
    fail "a service still starts it: $left" \
      "Take it away first: $prefix/bin/openclaw gateway uninstall" \
      "(or, of another profile: openclaw --profile NAME gateway uninstall)." \
      "With --force the programs go all the same."
  fi
  list=$(cat "$manifest")
  printf '%s\n' "$list" lib/openclaw/.installed | remove_listed
  say "OpenClaw is gone from $prefix. What it knew is still there: ~/.openclaw"
  exit 0
fi

# The unpacked archive that this script lies in, or one that is unpacked where it can be renamed from: below the prefix.
work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$prefix"
work=$(mktemp -d "$prefix/.openclaw-install.XXXXXX")

if [ -z "$archive" ] && [ ! -d "$here/lib/openclaw" ]; then
  for found in "$here"/openclaw-*-"$(uname -m)"-linux.tar.gz; do
    [ -f "$found" ] || fail "no archive for this machine ($(uname -m)) is beside this script" \
      "Name one: sh install.sh openclaw-VERSION-$(uname -m)-linux.tar.gz"
    [ -z "$archive" ] || fail "several archives are beside this script; name one"
    archive=$found
  done
fi

if [ -n "$archive" ]; then
  [ -f "$archive" ] || fail "there is no archive $archive"
  sums=$(dirname "$archive")/SHA256SUMS
  [ -f "$sums" ] || fail "SHA256SUMS is not beside the archive, so nobody knows whether it is whole"
  name=$(basename "$archive")
  wanted=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$sums")
  [ -n "$wanted" ] || fail "SHA256SUMS does not name $name"
  if command -v sha256sum >/dev/null 2>&1; then
    found=$(sha256sum <"$archive")
  else
    found=$(shasum -a 256 <"$archive")
  fi
  [ "${found%% *}" = "$wanted" ] || fail "$name is not what SHA256SUMS says it is; get it again"
  mkdir "$work/unpacked"
  tar -xzf "$archive" -C "$work/unpacked" --strip-components=1 || fail "$name cannot be unpacked"
else
  # A copy, because what it lies in may be on another file system, where nothing can be renamed from.
  mkdir "$work/unpacked"
  cp -RP "$here/." "$work/unpacked/"
fi
new=$work/unpacked
[ -x "$new/lib/openclaw/openclaw" ] || fail "this is no archive of OpenClaw"
version=$("$new/lib/openclaw/openclaw" --version 2>/dev/null) ||
  fail "these programs do not run on this machine ($(uname -s) $(uname -m))" \
    "They are for $(basename "${archive:-$here}"), and need glibc as new as the one they were built with."

# A program of that name that came from elsewhere is somebody's.
if { [ -e "$prefix/bin/openclaw" ] || [ -L "$prefix/bin/openclaw" ]; } && [ ! -f "$manifest" ] && [ -z "$force" ]; then
  fail "$prefix/bin/openclaw is there already, and is not from here" \
    "Remove it, choose another --prefix, or replace it with --force."
fi
before=
[ ! -f "$manifest" ] || before=$(cat "$manifest")

# What is installed: all but what lies at the root of the archive, which is for whoever unpacks it. The programs come last,
# and `openclaw` after the others, so that a new one never meets old ones.
list=$(cd "$new" && find bin lib share ! -type d | LC_ALL=C sort)
rest=$(say "$list" | grep -v '^lib/openclaw/' | grep -v '^bin/')
others=$(say "$list" | grep '^lib/openclaw/' | grep -v '^lib/openclaw/openclaw$')
ordered=$(printf '%s\n' "$rest" "$others" lib/openclaw/openclaw bin/openclaw)

# Named before anything is there, so that also an installation that breaks off can be taken away.
mkdir -p "$programs"
printf '%s\n' "$before" "$ordered" | sed '/^$/d' | LC_ALL=C sort -u >"$work/manifest"
mv -f "$work/manifest" "$manifest"
say "$ordered" | while IFS= read -r file; do
  [ -d "$prefix/${file%/*}" ] || mkdir -p "$prefix/${file%/*}"
  mv -f "$new/$file" "$prefix/$file"
done

# What an older version had and this one does not.
say "$before" | LC_ALL=C sort -u >"$work/before"
say "$ordered" | LC_ALL=C sort -u >"$work/manifest"
LC_ALL=C comm -23 "$work/before" "$work/manifest" | sed '/^$/d' | remove_listed
mv -f "$work/manifest" "$manifest"

say "OpenClaw $version is installed: $prefix/bin/openclaw"
case ":${PATH:-}:" in
  *":$prefix/bin:"*) ;;
  *) say "Your shell does not look there yet: export PATH=\"$prefix/bin:\$PATH\"" ;;
esac
if [ -n "$before" ]; then
  say "Next, for each gateway that runs: openclaw gateway upgrade"
else
  say "Next: openclaw onboard"
fi
