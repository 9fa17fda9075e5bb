# shellcheck shell=bash
# The command mqlock for installation: a stripped release build, its manual page and its completions. Sourced, never
# run, after common.sh.
#
# MQLOCK_BINARY in the environment is a program to use instead of a release build.

# release_binary: builds mqlock, and prints its path. On Linux Swift's own libraries are linked statically, so it runs
# on a machine without Swift.
release_binary() {
    local repository=${BROKERS%/*} flags=(-c release --product mqlock --scratch-path)
    if [ -n "${MQLOCK_BINARY:-}" ]; then
        echo "$MQLOCK_BINARY"
        return 0
    fi
    flags+=("${MQLOCK_BUILD:-$repository/.build-release}")
    [ "$(uname)" != Linux ] || flags+=(--static-swift-stdlib)
    put_swift_on_path
    say "building mqlock; a release build takes some minutes"
    (cd "$repository" && swift build "${flags[@]}") </dev/null >&2 || die "$EX_UNAVAILABLE" "mqlock does not build"
    echo "$(cd "$repository" && swift build "${flags[@]}" --show-bin-path)/mqlock"
}

# install_below ROOT ZSH: puts program, manual page and completions below ROOT; ZSH is the folder for the completions of zsh.
install_below() {
    local root=$1 zsh=$2 binary
    binary=$(release_binary) || exit
    mkdir -p "$root/bin" "$root/share/man/man1" "$root/share/bash-completion/completions" \
        "$root/share/fish/vendor_completions.d" "$root/$zsh" || die "$EX_CANTCREAT" "cannot make folders below $root"
    # Running copies of the old one continue: it is replaced, not written to.
    strip -o "$root/bin/.mqlock.new" "$binary" && chmod 755 "$root/bin/.mqlock.new" \
        && mv -f "$root/bin/.mqlock.new" "$root/bin/mqlock" || die "$EX_CANTCREAT" "cannot write $root/bin/mqlock"
    "$root/bin/mqlock" help --man | gzip -9n >"$root/share/man/man1/mqlock.1.gz" \
        && "$root/bin/mqlock" completion bash >"$root/share/bash-completion/completions/mqlock" \
        && "$root/bin/mqlock" completion zsh >"$root/$zsh/_mqlock" \
        && "$root/bin/mqlock" completion fish >"$root/share/fish/vendor_completions.d/mqlock.fish" \
        || die "$EX_CANTCREAT" "cannot write what belongs to mqlock below $root"
}

# make_deb FILE: a package for Debian and its derivatives, made with Debian's tools.
make_deb() (
    set -o pipefail
    umask 022
    local file=$1 work size version depends doc
    work=$(mktemp -d "${TMPDIR:-/tmp}/mqlock-deb.XXXXXX") || exit "$EX_CANTCREAT"
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    install_below "$work/root/usr" share/zsh/vendor-completions || exit
    version=$("$work/root/usr/bin/mqlock" --version) || exit
    mkdir -p "$work/root/DEBIAN" || exit "$EX_CANTCREAT"
    depends=$(deb_depends "$work" "$work/root/usr/bin/mqlock") || {
        cat "$work/shlibdeps.log" >&2
        die "$EX_UNAVAILABLE" "dpkg-shlibdeps failed"
    }
    doc=$work/root/usr/share/doc/mqlock
    mkdir -p "$doc/examples" || exit "$EX_CANTCREAT"
    cp -R "$BROKERS"/operation/. "$doc/examples" || exit "$EX_CANTCREAT"
    rm -rf "$doc/examples/compose/secrets"
    gzip -9n <"${BROKERS%/*}/.github/CHANGELOG.md" >"$doc/changelog.gz" || exit "$EX_CANTCREAT"
    cat >"$doc/copyright" <<'END'
MQLock is under the Apache License, version 2.0. On Debian its text is in /usr/share/common-licenses/Apache-2.0.

The program holds Swift's libraries, which are under the same license with the Runtime Library Exception, and, in them, those
of Unicode (ICU) under the Unicode License.
END
    size=$(du -sk "$work/root" | cut -f 1)
    cat >"$work/root/DEBIAN/control" <<END
Package: mqlock
Version: ${version##* }
Architecture: $(dpkg --print-architecture)
Maintainer: The MQLock authors <mqlock@localhost>
Section: admin
Priority: optional
Installed-Size: $size
Depends: $depends
Recommends: curl, librdkafka1
Description: locks, elections and fencing by a message broker
 mqlock runs a command under a lock, once per period, or on one of many hosts,
 with RabbitMQ or Kafka as the lock service. The command is ended when the lock
 is lost, and a fencing token keeps late writes away from what it protects.
 .
 curl is needed to ask RabbitMQ's management API (list, break, doctor), and
 librdkafka1 for Kafka.
END
    chmod -R u=rwX,go=rX "$work/root"
    dpkg-deb --root-owner-group -Zxz --build "$work/root" "$file" >&2 || die "$EX_CANTCREAT" "cannot make $file"
)

# deb_depends WORK PROGRAM: prints the packages with the program's libraries, and their versions.
deb_depends() {
    mkdir -p "$1/debian" && printf 'Source: mqlock\n\nPackage: mqlock\nArchitecture: any\n' >"$1/debian/control" || return 1
    (cd "$1" && dpkg-shlibdeps -S"$1/root" -O "$2") 2>"$1/shlibdeps.log" | sed -n 's/^shlibs:Depends=//p'
}
