# SPDX-License-Identifier: MIT
# Sourced by vm.sh: a kernel and an initrd with a real sshd, made of the distribution's packages.
# None of them is installed: no kernel and no sshd of this machine is touched.
# shellcheck shell=sh disable=SC2034 # what it sets is vm.sh's

# Of the guest. sshd's libraries are found by what it depends on.
vm_kernel_package=linux-image-cloud-amd64
vm_modules='virtio_ring virtio virtio_mmio failover net_failover virtio_net'

# vm_install LOG: what the host needs, and lists of packages that name what the guest needs.
vm_install()
{
	if [ "$(uname -m)" != x86_64 ]; then
		vm_problem="the tests' VM is an x86-64 one, and this machine is $(uname -m)"
		return 1
	fi
	vm_missing=
	have qemu-system-x86_64 || vm_missing=qemu-system-x86
	have ssh && have ssh-keygen || vm_missing="$vm_missing openssh-client"
	have python3 || vm_missing="$vm_missing python3"
	have xz || vm_missing="$vm_missing xz-utils"
	# shellcheck disable=SC2086 # a list of words
	if [ -n "$vm_missing" ] && ! packages_install $vm_missing >>"$1" 2>&1; then
		vm_problem="could not be installed for the VM: $vm_missing (see $1)"
		return 1
	fi
	if ! have qemu-system-x86_64 || ! have ssh-keygen; then
		vm_problem="there is no qemu-system-x86_64 or no ssh-keygen here"
		return 1
	fi
}

# vm_closure PACKAGE...: the packages, and the libraries that they depend on.
vm_closure()
{
	vm_all=
	while [ $# -gt 0 ]; do
		vm_all="$vm_all $*"
		# shellcheck disable=SC2046 # a list of words
		set -- $(apt-cache depends -q --important "$@" | sed -n 's/^ *|*\(Pre\)*Depends: \(z*lib[^<:]*\).*/\2/p' |
			grep -v '^libpam-' | sort -u | while read -r vm_name; do
			case " $vm_all " in
			*" $vm_name "*) ;;
			*) echo "$vm_name" ;;
			esac
		done)
	done
	echo "$vm_all"
}

# Downloads the guest's packages into the working directory, and unpacks them into ./root.
vm_unpack()
{
	vm_image=$(apt-cache depends -q "$vm_kernel_package" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	if [ -z "$vm_image" ]; then
		echo "apt knows no $vm_kernel_package"
		return 1
	fi
	vm_names=$(vm_closure openssh-server) || return 1
	# shellcheck disable=SC2086 # a list of words
	apt-get download -q -o Acquire::Check-Date=false "$vm_image" busybox-static $vm_names || return 1
	mkdir root || return 1
	for vm_deb in ./*.deb; do
		dpkg -x "$vm_deb" root && rm "$vm_deb" || return 1
	done
}

# vm_copy PROGRAM: from ./root into ./guest with the libraries that it loads.
vm_copy()
{
	vm_loader=$(echo root/lib*/ld-linux-x86-64.so.2)
	vm_paths=root/lib/x86_64-linux-gnu:root/usr/lib/x86_64-linux-gnu
	mkdir -p "guest/$(dirname "$1")" guest/lib64 && cp "root/$1" "guest/$1" &&
		cp -L "$vm_loader" guest/lib64/ || return 1
	"$vm_loader" --library-path "$vm_paths" --list "root/$1" >libraries || return 1
	# One of this machine's would not be there in the guest.
	if grep -E '=> (/|not found)' libraries; then
		return 1
	fi
	sed -n 's/.*=> *\(root[^ ]*\).*/\1/p' libraries | while read -r vm_library; do
		cp -L "$vm_library" guest/lib/x86_64-linux-gnu/ || return 1
	done
}

vm_copy_module()
{
	vm_found=$(find root -name "$1.ko*")
	case $vm_found in
	*.ko) cp "$vm_found" guest/lib/modules/ ;;
	*.ko.xz) xz -dc "$vm_found" >"guest/lib/modules/$1.ko" ;;
	*) echo "$vm_image has no module $1" && return 1 ;;
	esac
}

# All files belong to root until the guest's init has run: who builds this need not be root.
vm_write_init()
{
	cat >guest/init <<'END'
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
ln -s /proc/self/fd /dev/fd
ln -s /proc/self/fd/0 /dev/stdin
ln -s /proc/self/fd/1 /dev/stdout
ln -s /proc/self/fd/2 /dev/stderr
for module in MODULES; do
	insmod "/lib/modules/$module.ko"
done
hostname vm
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2
chown -R 1000:1000 /home/ssh
chown -R 1001:1001 /home/loud
yes 'a loud banner' | head -c 200000 >/etc/ssh/banner
# On demand nothing listens.
grep -q vm_no_sshd /proc/cmdline && sed -i /sshd/d /etc/inittab
exec /bin/busybox init
END
	sed -i "s/MODULES/$vm_modules/" guest/init
	cat >guest/etc/inittab <<'END'
::respawn:/usr/sbin/sshd -D -e
::ctrlaltdel:/bin/reboot -f
END
}

# The key exchange is the cheapest one: of a login on an emulated CPU, a quarter is the default one's.
# PerSourcePenalties is newer than some sshd that refuses to know it.
vm_write_sshd_config()
{
	cat >guest/etc/ssh/sshd_config <<'END'
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 500
MaxSessions 10
UseDNS no
PrintMotd no
LogLevel ERROR
KexAlgorithms curve25519-sha256
PidFile none
END
	! grep -qai persourcepenalties root/usr/sbin/sshd ||
		echo 'PerSourcePenalties no' >>guest/etc/ssh/sshd_config
	printf '%s\n' 'Match User loud' '	Banner /etc/ssh/banner' >>guest/etc/ssh/sshd_config
}

# root and ssh, as smolBSD has them; loud, whose every login says more than anybody reads.
vm_write_users()
{
	cat >guest/etc/passwd <<'END'
root:*:0:0:root:/root:/bin/sh
sshd:*:101:65534::/run/sshd:/bin/false
ssh:*:1000:1000::/home/ssh:/bin/sh
loud:*:1001:1001::/home/loud:/bin/sh
nobody:*:65534:65534::/:/bin/false
END
	printf '%s\n' root:x:0: ssh:x:1000: loud:x:1001: tty:x:5: nogroup:x:65534: >guest/etc/group
	printf '%s\n' '127.0.0.1 localhost' '10.0.2.15 vm' >guest/etc/hosts
	echo 'passwd: files
group: files
hosts: files' >guest/etc/nsswitch.conf
	echo /bin/sh >guest/etc/shells
}

# The keys of the host and of its users are files beside the initrd: tests know them.
vm_write_keys()
{
	ssh-keygen -q -t ed25519 -N '' -C hookbox-test -f made/id &&
		ssh-keygen -q -t ed25519 -N '' -C hookbox-test-host -f made/host_key &&
		ssh-keygen -q -t ed25519 -N '' -C hookbox-test-other -f made/other_key &&
		cp made/host_key guest/etc/ssh/ssh_host_ed25519_key &&
		cp made/host_key.pub guest/etc/ssh/ssh_host_ed25519_key.pub &&
		for vm_home in root home/ssh home/loud; do
			cp made/id.pub "guest/$vm_home/.ssh/authorized_keys" || return 1
		done
}

# Fills ./guest from ./root and ./made with what a test uses.
vm_assemble()
{
	mkdir -p made guest/bin guest/dev guest/etc/ssh guest/home/loud/.ssh guest/home/ssh/.ssh guest/lib/modules \
		guest/lib/x86_64-linux-gnu guest/proc guest/root/.ssh guest/run/sshd guest/sys \
		guest/tmp guest/usr/bin guest/usr/sbin guest/var || return 1
	vm_box=root/bin/busybox
	[ -f $vm_box ] || vm_box=root/usr/bin/busybox
	cp $vm_box guest/bin/busybox || return 1
	for vm_applet in $($vm_box --list); do
		[ "$vm_applet" = busybox ] || ln -s busybox "guest/bin/$vm_applet" || return 1
	done
	vm_copy usr/sbin/sshd || return 1
	# What later versions of it are split into.
	for vm_program in sshd-session sshd-auth; do
		[ ! -f "root/usr/lib/openssh/$vm_program" ] || vm_copy "usr/lib/openssh/$vm_program" ||
			return 1
	done
	# The resolver of users is loaded by name, where it is a library of its own.
	cp root/lib/x86_64-linux-gnu/libnss_files.so.2 guest/lib/x86_64-linux-gnu/ 2>/dev/null
	for vm_module in $vm_modules; do
		vm_copy_module "$vm_module" || return 1
	done
	vm_write_init && vm_write_sshd_config && vm_write_users && vm_write_keys || return 1
	chmod -R go-w guest && chmod 755 guest/init && chmod 1777 guest/tmp &&
		chmod 700 guest/root/.ssh guest/home/*/.ssh &&
		chmod 600 guest/etc/ssh/ssh_host_ed25519_key
}

# Does all in the empty working directory, and leaves the result in ./made. A list of packages that
# has grown old names what is no longer to be had.
vm_make()
{
	vm_unpack || { apt_get update && rm -rf ./* && vm_unpack; } || return 1
	vm_assemble || return 1
	cp root/boot/vmlinuz-* made/kernel || return 1
	# Not compressed: unpacking takes an emulated CPU longer than reading.
	(cd guest && find . | LC_ALL=C sort | bin/busybox cpio -o -H newc -R 0:0) >made/initrd
}

# vm_build DIR: makes kernel, initrd, id, id.pub, host_key.pub, other_key there, unless it has been
# done. Two that need it at the same time do it once.
vm_build()
{
	mkdir -p "$1" || return 1
	vm_recipe=$(cksum <"${top_srcdir:-.}/tests/parts/vm-build.sh")
	(
		flock 9
		[ "$(cat "$1/recipe" 2>/dev/null)" != "$vm_recipe" ] || exit 0
		exec >"$1/build.log" 2>&1
		vm_scratch=$(mktemp -d "$1/making.XXXXXX") || exit 1
		chmod 755 "$vm_scratch"
		trap 'rm -rf "$vm_scratch"' EXIT
		cd "$vm_scratch" || exit 1
		umask 022
		apt-cache show "$vm_kernel_package" >/dev/null 2>&1 || apt_get update || exit 1
		vm_make || exit 1
		# A VM that runs has the keys of before.
		cd .. && rm -f shared && mv "$vm_scratch"/made/* . && echo "$vm_recipe" >recipe
	) 9>"$1/lock" && return 0
	vm_problem="the VM could not be made: $(tail -n 1 "$1/build.log") (see $1/build.log)"
	return 1
}
