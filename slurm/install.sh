#!/bin/bash
# Installs a bundle without internet: checks every file, makes ./venv over the given Python, installs the wheels.
# Usage: ./install.sh [PYTHON]     in a container: singularity run IMAGE ./install.sh python
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
python=${1:-python3}

if ! sha256sum --check --quiet SHA256SUMS; then
  echo "this bundle is damaged or was changed: copy the files named above again" >&2
  exit 2
fi
wanted=$(sed -n 's/.*"python": "\([^"]*\)".*/\1/p' bundle.json)
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ "$wanted" != "$found" ]; then
  echo "these wheels are for Python $wanted; $python is $found. Name the right one: ./install.sh /path/to/python$wanted" >&2
  exit 14
fi
# The container's torch and DeepSpeed show through; --no-deps, so that nothing here can shadow them.
"$python" -m venv --system-site-packages venv
venv/bin/python -m pip install --quiet --no-index --no-deps --find-links wheels --requirement wheels/requirements.txt eurolm
# A container's Python is often a venv itself, and a venv made from it sees what lies in it only by a .pth file.
packages=$(venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/image.pth"
installed=$(venv/bin/eurolm --version)
echo "installed: $installed. Next, in this directory: venv/bin/eurolm plan config.yaml"
