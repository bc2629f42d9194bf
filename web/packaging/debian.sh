#!/usr/bin/env bash
# Installs from Debian what the tests need and the machine lacks: Chromium (or set CHROME to another), and a C compiler for the race
# detector.
set -euo pipefail
missing=()
if [ -z "${CHROME:-}" ] && ! command -v chromium >/dev/null; then missing+=(chromium); fi
if ! command -v gcc >/dev/null; then missing+=(gcc libc6-dev); fi
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "Please install: ${missing[*]} (or set CHROME to the path of a Chromium)." >&2
  exit 1
fi
sudo=""
if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
$sudo apt-get update -q
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
