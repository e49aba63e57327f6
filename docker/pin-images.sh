#!/bin/sh
# Writes the digests of the images that compose.yaml takes from registries into docker/.env: pulls each tag, and asks Docker what came.
# Run it once, and again to move to what a tag means by then:
#
#   docker/pin-images.sh && docker compose --file docker/compose.yaml up --detach --build
set -eu

file="$(dirname "$0")/.env"
[ -f "${file}" ] || { echo "${file} is missing: copy .env.example first" >&2; exit 2; }

pin() {
    docker pull --quiet "$2" >/dev/null
    digest="$(docker image inspect --format '{{index .RepoDigests 0}}' "$2")"
    case "${digest}" in
        *@sha256:*) ;;
        *) echo "$2 has no digest of a registry: ${digest:-none}" >&2; exit 1 ;;
    esac
    lines="$(grep -v "^$1=" "${file}" || true)"
    printf '%s\n%s=%s\n' "${lines}" "$1" "${digest}" >"${file}"
    echo "$1=${digest}"
}

pin POSTGRES_IMAGE postgres:17.6-bookworm
pin SEAWEEDFS_IMAGE chrislusf/seaweedfs:4.16
pin PYTHON_IMAGE python:3.11-slim-bookworm
