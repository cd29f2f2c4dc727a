# shellcheck shell=bash disable=SC2034
# What script/up, images, down and logs share: saying things, failing with advice, asking Docker. Sourced, not run.

readonly BUILD_DOCKER_MB=4000 # what building all images takes in Docker's folder, with room to spare
readonly BUILD_HERE_MB=600    # debootstrap's tree, logs, a binary
readonly RUN_DOCKER_MB=200    # what a running stack may write

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }

# die WHAT [ADVICE…]: says what is wrong and, a line each, what to do about it.
die() {
    printf '%s: %s\n' "script/${0##*/}" "$1" >&2
    shift
    [ $# -eq 0 ] || printf '    %s\n' "$@" >&2
    exit 1
}

# usage FILE: the comment below a script's first line, up to the first line that is none.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$1"; }

version() { cat VERSION; }

need_docker() {
    local answer
    command -v docker > /dev/null || die "docker is missing" "script/up installs it on Debian and Ubuntu as root: sudo script/up"
    answer=$(docker version --format '{{.Server.Version}}' 2>&1) && return
    case $answer in
        *"permission denied"*) die "no permission to use the Docker daemon" "run with sudo, or: sudo usermod -aG docker $(id -un), and log in again" ;;
        *) die "the Docker daemon does not answer: ${answer##*$'\n'}" "start it: sudo systemctl start docker (without systemd: sudo service docker start)" ;;
    esac
}

# need_space DIR MB: fails when the file system of DIR (or of its nearest parent) has less than MB left.
need_space() {
    local dir=$1 wanted_mb=$2 free_mb
    while [ ! -d "$dir" ] && [ "$dir" != / ]; do dir=$(dirname "$dir"); done
    free_mb=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge "$wanted_mb" ] || die "no disk space: $1 has $free_mb MB free, $wanted_mb MB are needed" \
        "free some: docker system prune -a removes images and containers that nothing uses; apt-get clean"
}

# need_docker_space MB: the same for where Docker keeps its images, unless that is on another machine.
need_docker_space() {
    local dir
    dir=$(docker info --format '{{.DockerRootDir}}' 2> /dev/null)
    [ ! -d "$dir" ] || need_space "$dir" "$1"
}

# Compose as this machine has it: the v1 program or the v2 plug-in.
compose() {
    if command -v docker-compose > /dev/null; then docker-compose "$@"; else docker compose "$@"; fi
}

have_compose() { command -v docker-compose > /dev/null || docker compose version > /dev/null 2>&1; }

# The images of ours that the compose files name, as script/images calls them, a line each.
stack_images() { compose config 2> /dev/null | sed -n 's|^ *image: svcreg/\([a-z-]*\):.*|\1|p' | sort -u; }
