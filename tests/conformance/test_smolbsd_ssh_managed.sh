#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on smolbsd_ssh, in a VM that it boots with startnb.sh, through the agent.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/vm.sh"

at_end='vm_smolbsd_end "$kit_dir/smol"'
need_vm_files
vm_smolbsd_dir "$kit_dir/smol" || skip_all "no directory can be laid out"
run_kit smolbsd_ssh <<END
[sandbox checked]
mode = smolbsd_ssh
smolbsd_dir = smol
service = sshd
identity_file = $vm_dir/id
boot_timeout = 120s
connect_timeout = 60s
END
