#!/bin/sh
# SPDX-License-Identifier: MIT
exec sh "${top_srcdir:?}/tests/integration/test_kubectl_faults.sh" debian
