#!/usr/bin/env bash
# Run the image on a folder of images, shut off from everything else.
#
#   docker/run.sh [OPTIONS] IN OUT [BUNDLE] [-- VERB AND ITS OPTIONS]
#
#   IN       folder of the images; it is mounted read-only
#   OUT      empty folder for the outputs; the only place on this machine that is written to
#   BUNDLE   folder or .tar of the model; leave it away when the image has one inside
#   VERB     run (default), check, infer, selftest, describe, ...; `-- run --help` lists the options
#
#   --image NAME        default medmamba:0.1.0, or MEDMAMBA_IMAGE
#   --gpus all          give it GPUs; default none
#   --memory 16g        more than this is refused to it
#   --user UID:GID      default who calls this script, or, for root, the owner of OUT
#   --layout PLATFORM   where in the container the folders appear: native, grand-challenge, medperf, brats-mlcube,
#                       or three places with colons between
#   --print             show the command and do nothing
#
# MEDMAMBA_ENGINE is docker or podman, with options of its own if need be (default: the one that is installed);
# MEDMAMBA_ENGINE_ARGS are further options of its `run`. The exit code is the container's: see docker/README.md.
set -euo pipefail

fail() { echo "run.sh: $*" >&2; exit 2; }

image=${MEDMAMBA_IMAGE:-medmamba:0.1.0} memory=16g gpus="" user="" layout=native print=""
while [[ ${1:-} == --?* ]]; do
  case $1 in
    --print) print=yes; shift; continue ;;
    --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    --image | --gpus | --memory | --user | --layout) [[ $# -gt 1 ]] || fail "$1 needs a value." ;;
    *) fail "There is no option $1; --help lists them." ;;
  esac
  declare "${1#--}=$2"
  shift 2
done

folders=()
while [[ $# -gt 0 && $1 != -- ]]; do folders+=("$1"); shift; done
[[ $# -eq 0 ]] || shift # what is left are the container's arguments
[[ ${#folders[@]} -ge 2 && ${#folders[@]} -le 3 ]] || fail "Give IN OUT [BUNDLE]; --help says more."
bundle=$(basename -- "${folders[2]:-}") # a link's own name, not that of what it leads to
for i in "${!folders[@]}"; do
  path=${folders[i]}
  [[ -e $path ]] || fail "There is no $path. Make it first."
  folders[i]=$(realpath -- "$path")
  [[ $path${folders[i]} != *:* ]] || fail "A colon in ${folders[i]} cannot be mounted. Rename it."
done
for path in "${folders[@]:0:2}"; do [[ -d $path ]] || fail "$path is no folder."; done
[[ ${folders[0]} != "${folders[1]}" ]] || fail "IN and OUT are one folder. Give the outputs one of their own."

case $layout in
  native) places=(/input /output /model) ;;
  grand-challenge) places=(/input /output /opt/ml/model) ;;
  medperf) places=(/mlcommons/volumes/data /mlcommons/volumes/predictions /mlcommons/volumes/additional_files) ;;
  brats-mlcube) places=(/mlcube_io0 /mlcube_io2 /mlcube_io1) ;;
  /*:/*:/*) IFS=: read -ra places <<< "$layout" ;;
  *) fail "There is no layout $layout; --help lists them." ;;
esac

engine=${MEDMAMBA_ENGINE:-$(command -v docker || command -v podman || true)}
[[ -n $engine ]] || fail "Neither docker nor podman is installed."
read -ra engine <<< "$engine"
read -ra more <<< "${MEDMAMBA_ENGINE_ARGS:-}"

# Never as root: then as the one to whom the outputs' folder belongs.
if [[ -z $user ]]; then
  user=$(id -u):$(id -g)
  [[ $(id -u) -ne 0 ]] || user=$(stat -c %u:%g "${folders[1]}")
  [[ ${user%%:*} -ne 0 ]] || fail "OUT belongs to root. Give it away (chown 10001:10001 OUT), or name a --user."
fi

case ${engine[0]##*/} in
  podman)
    more+=(--read-only-tmpfs=false) # it would give /run and /var/tmp to write to
    [[ $(id -u) -eq 0 ]] || more+=(--userns=keep-id)
    [[ -z $gpus ]] || more+=(--device "nvidia.com/gpu=$gpus")
    ;;
  *) [[ -z $gpus ]] || more+=(--gpus "$gpus") ;;
esac

command=(
  "${engine[@]}" run --rm
  --read-only                                        # nothing in the image can be changed
  --network none                                     # no network, not even to this machine
  --cap-drop ALL                                     # no rights beyond those of the user
  --security-opt no-new-privileges                   # and no way to get any
  --user "$user"
  --pids-limit 512
  --memory "$memory"
  --shm-size 64m
  --tmpfs "/tmp:rw,exec,nosuid,nodev,size=4g,mode=1777" # gone with the container; exec for kernels made for the GPU
  --volume "${folders[0]}:${places[0]}:ro"
  --volume "${folders[1]}:${places[1]}:rw"
)
if [[ ${#folders[@]} -eq 3 ]]; then
  name="" # a .tar is mounted into the folder, a folder as the folder
  [[ -d ${folders[2]} ]] || name=/$bundle
  command+=(--volume "${folders[2]}:${places[2]}$name:ro")
fi
command+=(${more[@]+"${more[@]}"} "$image" "$@") # older shells take an empty list for an error

if [[ -n $print ]]; then
  printf '%q ' "${command[@]}" && echo
else
  exec "${command[@]}"
fi
