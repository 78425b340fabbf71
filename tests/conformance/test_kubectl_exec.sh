#!/bin/sh
# SPDX-License-Identifier: MIT
# The conformance kit on kubectl_exec, with the kubectl in PATH or the one HOOKBOX_TEST_KUBECTL names.
. "${top_srcdir:?}/tests/parts/kit.sh"
. "$top_srcdir/tests/parts/kubectl.sh"

kubectl=${HOOKBOX_TEST_KUBECTL:-kubectl}
command -v "$kubectl" >/dev/null || skip_all "no kubectl"
command -v openssl >/dev/null || skip_all "no openssl"
need_engine
at_end=pod_stop
pod_start "$kit_dir" || skip_all "no API server can be started"
run_kit kubectl_exec <<END
[sandbox checked]
mode = kubectl_exec
kubectl_path = $kubectl
kubeconfig = $kubeconfig
pod = $pod
END
