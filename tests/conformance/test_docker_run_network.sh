#!/bin/sh
# SPDX-License-Identifier: MIT
exec sh "${top_srcdir:?}/tests/conformance/test_docker_run.sh" 4 yes
