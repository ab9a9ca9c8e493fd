#!/usr/bin/env bash
# Installed size of an environment in MiB, without pip and setuptools:
#   benchmarks/installed_size.sh .venv
set -euo pipefail
du -sm --total --exclude='pip*' --exclude='setuptools*' --exclude=pkg_resources \
	"$1"/lib/python*/site-packages | tail -n 1
