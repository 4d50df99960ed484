#!/usr/bin/env bash
# Everything that only a GPU can show, in one command that installs nothing:
#   bash benchmarks/gpu.sh --out FOLDER [--limit 330] [--device cuda | cpu] [--small] [--parts agreement speed ...]
# FOLDER/gpu.json is written anew after every measurement, so that a run cut short keeps what it has found.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m benchmarks.gpu "$@"
