#!/bin/bash
# How much one processor verifies: signatures, requests, metadata.  Counted by processor time, so other jobs of the
# machine weigh little.
set -eu
exec "$BUILD/tests/bench/verify"
