#!/usr/bin/env bash
# A Docker engine of one's own, for tests on a machine that has none: Debian or Ubuntu, root.
#
#   engine.sh install        what is needed, from the distribution's packages
#   engine.sh start FOLDER   an engine that keeps everything below FOLDER and listens at unix://FOLDER/docker.sock
#   engine.sh base FOLDER    the image base:cpu in it, a Debian with Python 3.11, as no registry may be in reach
#   engine.sh stop FOLDER    ends it with all of its containers, and removes FOLDER
#
# To keep an engine between runs of the tests, start one and name its folder in DREAMSWEEP_TEST_ENGINE.
set -euo pipefail

needed=(docker.io mmdebstrap postgresql)

install() {
    local missing=() package
    for package in "${needed[@]}"; do
        dpkg-query --show --showformat='${db:Status-Abbrev}' "${package}" 2>/dev/null | grep -q '^ii' || missing+=("${package}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "Installing ${missing[*]}…"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -o DPkg::Lock::Timeout=300 update -qq
        apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

start() {
    local folder="$1"
    mkdir -p "${folder}"
    # neither bridge nor firewall: containers use the host's network, and nothing outside the folder is changed
    setsid dockerd --host "unix://${folder}/docker.sock" --data-root "${folder}/data" --exec-root "${folder}/exec" \
        --pidfile "${folder}/docker.pid" --bridge none --iptables=false >"${folder}/docker.log" 2>&1 </dev/null &
    for _ in $(seq 300); do
        if docker --host "unix://${folder}/docker.sock" info >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    tail -n 20 "${folder}/docker.log" >&2
    echo "the engine did not start within 60 s" >&2
    stop "${folder}"
    return 1
}

base() {
    local folder="$1"
    mmdebstrap --quiet --variant=apt --include=ca-certificates,python3-venv bookworm "${folder}/base.tar"
    docker --host "unix://${folder}/docker.sock" import "${folder}/base.tar" base:cpu >/dev/null
    rm "${folder}/base.tar"
}

stop() {
    local folder="$1" pid
    if docker --host "unix://${folder}/docker.sock" info >/dev/null 2>&1; then
        docker --host "unix://${folder}/docker.sock" ps --quiet | xargs -r docker --host "unix://${folder}/docker.sock" kill >/dev/null
    fi
    if pid="$(cat "${folder}/docker.pid" 2>/dev/null)"; then
        kill "${pid}" 2>/dev/null || true
        for _ in $(seq 150); do
            kill -0 "${pid}" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "${pid}" 2>/dev/null || true
    fi
    awk -v folder="${folder}/" 'index($2, folder) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount --lazy
    rm -rf "${folder}"
}

case "${1:-}" in
    install) install ;;
    start | base | stop) "$1" "$(realpath -m "${2:?FOLDER is missing}")" ;;
    *) sed -n '2,9p' "$0" >&2; exit 2 ;;
esac
