#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on kubectl_exec, with the kubectl in PATH or the one HOOKBOX_TEST_KUBECTL
# names, one-off; with the argument "debian", with the one that Debian packages, through the agent.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/kubectl.sh"

need_kubectl "$kit_dir" "$@"
at_end=pod_stop
pod_start "$kit_dir" || skip_all "no API server can be started"
agent=off
[ "${1-}" = debian ] && agent=auto
run_kit kubectl_exec <<END
[sandbox checked]
mode = kubectl_exec
kubectl_path = $kubectl
$pod_keys
pod = $pod
agent = $agent
END
