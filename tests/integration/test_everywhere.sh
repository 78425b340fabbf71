#!/bin/sh
# SPDX-License-Identifier: MIT
# examples/everywhere.ini: one hook in five sandboxes, all of them real, decides the same in each.
. "${top_srcdir:?}/tests/parts/tap.sh"
. "$top_srcdir/tests/parts/packages.sh"
. "$top_srcdir/tests/parts/program.sh"
. "$top_srcdir/tests/parts/bwrap.sh"
. "$top_srcdir/tests/parts/kubectl.sh"
. "$top_srcdir/tests/parts/vm.sh"

need_engine
need_bwrap
have kubectl || skip_all "no kubectl"
have openssl || skip_all "no openssl"
image=$("$top_srcdir/tests/parts/docker-image.sh" hookbox-test:busybox) ||
	skip_all "no image can be made"

tap_dir
container=
# shellcheck disable=SC2317 # called by the trap
clean_up()
{
	pod_stop
	vm_stop
	[ -z "$container" ] || docker rm -f "$container"
	rm -rf "$dir"
}
trap 'clean_up >/dev/null 2>&1' EXIT

# bwrap_run's user 65534 has to reach the hooks.
chmod 711 "$dir"
mkdir "$dir/hooks" && cp "$top_srcdir/examples/hooks/pii_redactor.sh" "$dir/hooks" &&
	cp "$top_srcdir/examples/everywhere.ini" "$dir" && chmod -R go-w,a+rX "$dir/hooks" ||
		exit 99
hook=$dir/hooks/pii_redactor.sh
install='mkdir -p /hooks && cat >/hooks/pii_redactor.sh && chmod 755 /hooks/pii_redactor.sh'

need_vm
vm_run root "$install" <"$hook" || skip_all "the VM takes no file"
pod_start "$dir" || skip_all "no API server can be started"
KUBECONFIG=$kubeconfig kubectl exec -i "$pod" -- sh -c "$install" <"$hook" ||
	skip_all "the pod takes no file"
container=$(docker run -d --init --network none --log-driver none --label hookbox-test=1 \
	--mount "type=bind,source=$dir/hooks,target=/hooks,readonly" "$image" sleep 86400) ||
	skip_all "no container can be started"

# That of the VM is accepted anew, and goes with $dir.
export XDG_STATE_HOME="$dir" KUBECONFIG="$kubeconfig" HOOKBOX_CONFIG="$dir/everywhere.ini" \
	HOOKBOX_PLUGIN_PATH="$top_builddir/plugins/.libs" HOOKBOX_IMAGE="$image" \
	HOOKBOX_CONTAINER="$container" HOOKBOX_POD="$pod" HOOKBOX_VM_PORT="$vm_port" \
	HOOKBOX_VM_KEY="$vm_key"
sandboxes='bwrap_run docker_run docker_exec kubectl_exec smolbsd_ssh'

is "$(sed -n 's/^mode = //p' "$HOOKBOX_CONFIG" | grep -vx filter | tr '\n' ' ')" "$sandboxes " \
	"the example has five sandboxes"
run config check
is "$status" 0 "the example is right"
run doctor
is "$status" 0 "doctor finds all that it needs"
[ "$status" = 0 ] || tap_note "$out" "$err"

# same_everywhere REQUEST EXPECTED WHAT: the hook's bytes, and the decision but for the hook's name.
same_everywhere()
{
	printf '%s' "$1" >"$dir/request"
	for sandbox in $sandboxes; do
		run exec --sandbox "$sandbox" -- /hooks/pii_redactor.sh <"$dir/request"
		is "$status/$out/$err" "0/$2/" "$sandbox: the hook's answer to $3"
		run run "pii_$sandbox" --phase before_call <"$dir/request"
		sed "s/\"hook\":\"pii_$sandbox\"/\"hook\":\"pii\"/" "$dir/out" >"$dir/decision.$sandbox"
		cmp "$dir/decision.bwrap_run" "$dir/decision.$sandbox" >&2 && [ -s "$dir/decision.$sandbox" ]
		ok $? "$sandbox: the same decision on $3"
	done
}

request='{"hook":"provider","request":{"messages":[{"role":"user","content":"%s"}]}}'
# shellcheck disable=SC2059 # it is a format
deny=$(printf "$request" 'mail a@b.org, my ssn is 123-45-6789')
# shellcheck disable=SC2059
allow=$(printf "$request" 'the \"weather\" in Z\u00fcrich, ü, '"what's \$HOME?")
same_everywhere "$deny" \
	'{"allow":false,"reason":"personal data found: email, ssn","metadata":{"kinds":["email","ssn"]}}' \
	"personal data"
like "$(cat "$dir/decision.bwrap_run")" '{"allow":false,*"reason":"personal data found: email, ssn"*' \
	"which is a deny"
same_everywhere "$allow" '{"allow":true}' "a harmless message"
like "$(cat "$dir/decision.bwrap_run")" '{"allow":true,*' "which is allowed"

printf '%s' "$allow" >"$dir/request"
run emit provider before_call <"$dir/request"
like "$status/$out" '0/*"allow":true*' "an event that all five allow"
printf '%s' "$deny" >"$dir/request"
run emit provider before_call <"$dir/request"
like "$status/$out" '1/*"allow":false*"hook":"pii_bwrap_run"*' "and one that the first denies"
nothing_left "five sandboxes"
tap_done
