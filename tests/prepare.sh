#!/usr/bin/env bash
# What building and testing need besides Rust: a C compiler, certificates, servers to talk to (tests/servers).
# Does nothing where all of it is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# need WHAT PACKAGE...: installs the packages with apt-get, or says what is missing.
need() {
    if ! command -v apt-get >/dev/null; then
        echo "tests/prepare.sh: no $1 found; install it and start again" >&2
        exit 1
    fi
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${@:2}"
}

command -v cc >/dev/null || need "C compiler (TLS, zstd and the allocator are C)" gcc libc6-dev
# Without any authority no TLS client can be made, and even a plaintext connection to a hub is refused.
if [ "$(uname)" = Linux ] && [ ! -e "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ] && [ ! -d /etc/pki/tls/certs ]; then
    need "bundle of certificates" ca-certificates
fi
command -v npm >/dev/null || need "npm (the blob and mail servers of the tests run on Node)" nodejs npm
if [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
    echo "tests/prepare.sh: node is $(node --version); the servers of the tests need 20 or newer" >&2
    exit 1
fi

chromium=
for name in chromium chromium-browser google-chrome chrome; do
    if command -v "$name" >/dev/null; then chromium=$name; fi
done
[ -n "$chromium" ] || need "Chromium (the report is opened in it)" chromium fonts-dejavu-core
command -v git >/dev/null || need "git (a rule is compared with its committed version)" git

# npm writes node_modules/.package-lock.json last: a newer one says that all of it is there.
if [ ! tests/servers/node_modules/.package-lock.json -nt tests/servers/package-lock.json ]; then
    (cd tests/servers && npm ci)
fi
