# shellcheck shell=bash
# What packaging/run, packaging/test and .ci/run share: finding or installing the tools that the build needs.
# It is sourced, not run. Each function does nothing when its tool is there, so all of them may be called again and again.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '==> %s\n' "$*" >&2; }

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

can_install() { has apt-get && { [ "$(id -u)" -eq 0 ] || has sudo; }; }

# Packages come from Debian only, and only when apt can be used: as root, or through sudo.
install_packages() {
  can_install || fail "missing Debian packages: $*" "install them as root: apt-get install $*"
  say "installing Debian packages: $*"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# Whether this release of Debian has the package. A fresh machine has no package lists yet, and they are fetched once.
debian_has() {
  can_install || return 1
  [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit)" ] || as_root apt-get update -qq
  [[ $(apt-cache policy "$1") == *"Candidate: "[0-9]* ]]
}

# Some dependencies contain C, cargo links with the C compiler, and downloads are verified against the CA bundle.
ensure_build_tools() {
  local missing=()
  has cc || missing+=(build-essential)
  has git || missing+=(git)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -n "${SSL_CERT_FILE:-}" ] || missing+=(ca-certificates)
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# Rust tools look for their toolchains and caches below HOME. When HOME is unset or empty of them (a private home, a
# service user), the ones in the account's real home directory are used.
find_rust_homes() {
  local account_home
  account_home=$(getent passwd "$(id -u)" | cut -d: -f6)
  export HOME=${HOME:-$account_home}
  if [ -d "${CARGO_HOME:-$HOME/.cargo}/bin" ]; then
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  fi
  cargo --version >/dev/null 2>&1 && return
  if [ -z "${RUSTUP_HOME:-}" ] && [ -d "$account_home/.rustup" ]; then
    export RUSTUP_HOME=$account_home/.rustup
  fi
  if [ -z "${CARGO_HOME:-}" ] && [ -d "$account_home/.cargo" ]; then
    export CARGO_HOME=$account_home/.cargo
    PATH=$PATH:$CARGO_HOME/bin
  fi
}

# The oldest compiler that will do is written in one place: rust-version in Cargo.toml.
ensure_cargo() {
  local needed found
  needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  find_rust_homes
  if ! has cargo && ! has rustup && debian_has rustup; then
    install_packages rustup
  fi
  if has rustup && ! cargo --version >/dev/null 2>&1; then
    say "installing the stable Rust toolchain"
    rustup default stable >&2
  fi
  found=$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)
  [ -n "$found" ] || fail "no Rust compiler found, and no rustup package to install it with" \
    "install Rust as https://rustup.rs describes, open a new shell, and run this command again"
  [ "$(printf '%s\n' "$needed" "$found" | sort -V | head -n 1)" = "$needed" ] ||
    fail "cargo $found is too old: $needed or newer is needed" \
      "with rustup: rustup update stable && rustup default stable" \
      "with Debian's own cargo package: install rustup as https://rustup.rs describes"
}

# Where cargo puts what it builds, also when the user has moved it.
target_dir() {
  local dir=${CARGO_TARGET_DIR:-$root/target}
  case $dir in /*) printf '%s\n' "$dir" ;; *) printf '%s\n' "$root/$dir" ;; esac
}
