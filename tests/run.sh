#!/usr/bin/env bash
# All tests, with what they need. Arguments go to `cargo test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tests/prepare.sh
cargo test --locked "$@"
