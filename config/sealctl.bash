# bash completion of sealctl(8). What there is to complete is asked of sealctl itself, so that this
# file does not fall behind.
# shellcheck shell=bash

_sealctl_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -s | --socket) ((i++)) ;;
        -*) ;;
        *) echo "${COMP_WORDS[i]}" && return ;;
        esac
    done
}

# The words that sealctl's help begins its commands with.
_sealctl_commands() {
    "$1" help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\).*/\1/p' | sort -u
}

_sealctl_options() {
    "$1" help "$2" 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u
}

_sealctl() {
    local sealctl=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command words
    command=$(_sealctl_command)
    COMPREPLY=()
    case $before in
    -s | --socket | --config) words= ;;
    --fence) words="close hook none" ;;
    --interval | --count | --timeout | --reserve) return ;;
    *)
        if [[ $word == -* ]]; then
            words="$(_sealctl_options "$sealctl" "${command:-help}") --socket --json --help --version"
        elif [[ -z $command || $command == help ]]; then
            words=$(_sealctl_commands "$sealctl")
        elif [[ $command == expel ]]; then
            words=$("$sealctl" clients 2>/dev/null | sed -n '2,$s/^\([0-9a-f]\{16\}\) .*/\1/p')
        else
            words=
        fi
        ;;
    esac
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word" || true)
    else
        compopt -o filenames 2>/dev/null || true
        mapfile -t COMPREPLY < <(compgen -f -- "$word" || true)
    fi
}

complete -F _sealctl sealctl
