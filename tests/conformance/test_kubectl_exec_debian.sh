#!/bin/sh
# SPDX-License-Identifier: MIT
exec sh "${top_srcdir:?}/tests/conformance/test_kubectl_exec.sh" debian
