#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on smolbsd_ssh, in a VM that runs already, one-off.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/vm.sh"

at_end=vm_stop
need_vm
run_kit smolbsd_ssh <<END
[sandbox checked]
mode = smolbsd_ssh
host = 127.0.0.1
port = $vm_port
identity_file = $vm_key
host_key = $vm_host_key
agent = off
connect_timeout = 60s
END
