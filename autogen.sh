#!/bin/sh
# Makes ./configure in a checkout.
set -e
cd "$(dirname "$0")"
exec autoreconf --install --force
