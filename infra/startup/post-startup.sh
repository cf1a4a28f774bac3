#!/bin/bash
# Every start of the Workbench: driver, repository, environment, kernel; then says how it went.
# Runs as root, does only what is missing, and so fixes at the next start what failed at this one.
# What it reports is read by `sam-vertex doctor`.
set -uo pipefail

HOME_FOLDER=/home/jupyter
CLONE="${HOME_FOLDER}/$(basename "${REPOSITORY_URL}" .git)"
STARTED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)"
PAUSE="${PAUSE:-30}" # seconds between two tries to report
STEP=driver

status() { # status, message
  python3 - "$1" "$2" <<'PYTHON'
import datetime, json, os, sys
print(json.dumps({
    "status": sys.argv[1],
    "step": os.environ["STEP"],
    "message": sys.argv[2],
    "started": os.environ["STARTED"],
    "reported": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "repository_ref": os.environ["REPOSITORY_REF"],
}))
PYTHON
}
export STEP STARTED REPOSITORY_REF

report() { # status, message
  # A grant that was made seconds before this machine takes minutes to work.
  for _ in {1..20}; do
    status "$1" "$2" | gcloud storage cp --quiet - "${STATUS_URI}" && return
    sleep "${PAUSE}"
  done
}

fail() {
  report failed "$1"
  exit 1
}

sees_gpu() { # python
  sudo -u jupyter "$1" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'
}

report running "looking at the driver"
if ! nvidia-smi >/dev/null 2>&1; then
  if [ -x /opt/deeplearning/install-driver.sh ]; then
    /opt/deeplearning/install-driver.sh || fail "/opt/deeplearning/install-driver.sh failed"
  else
    fail "no driver, and no /opt/deeplearning/install-driver.sh on this image"
  fi
  nvidia-smi >/dev/null 2>&1 || fail "nvidia-smi still fails after the installation"
fi

if [ -z "${REPOSITORY_URL}" ]; then
  STEP=done
  report ready "driver is in place; SAM_REPOSITORY_URL is empty, so nothing was cloned"
  exit 0
fi

STEP=clone
if [ ! -d "${CLONE}" ]; then
  sudo -u jupyter git clone --quiet --depth 1 --branch "${REPOSITORY_REF}" \
    "${REPOSITORY_URL}" "${CLONE}" || fail "git clone failed; is there a NAT?"
fi

STEP=environment
# The images bring Python 3.10 or 3.12; the lock is made for 3.11.
PYTHON="$(command -v python3.11 || true)"
if [ -z "${PYTHON}" ]; then
  PYTHON="${HOME_FOLDER}/python-3.11/bin/python"
  # Anaconda's own channels ask for terms to be accepted, which nobody here can.
  [ -x "${PYTHON}" ] || sudo -u jupyter /opt/conda/bin/conda create --quiet --yes \
    --channel conda-forge --override-channels \
    --prefix "${HOME_FOLDER}/python-3.11" python=3.11 || fail "conda found no Python 3.11"
fi
sudo -u jupyter make --directory "${CLONE}" setup PYTHON="${PYTHON}" || fail "make setup failed"

STEP=gpu
OWN="${CLONE}/.venv/bin/python"
if ! sees_gpu "${OWN}"; then
  # The lock's torch is built for CUDA 13, which an older driver refuses. Every driver of CUDA 12 runs
  # what is built for 12.6 (NVIDIA, "CUDA minor version compatibility"). Both packages, with what they
  # need of CUDA, from the index that serving/torch.txt names; on a Workbench UNVERIFIED.
  CUDA="$(nvidia-smi | sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p')"
  case "${CUDA}" in
    12.*)
      read -ra PACKAGES <<<"$(sudo -u jupyter "${OWN}" -c 'from importlib.metadata import version
print(*(f"{name}=={version(name).partition(chr(43))[0]}+cu126" for name in ("torch", "torchvision")))')"
      sudo -u jupyter "${OWN}" -m pip install --quiet "${PACKAGES[@]}" \
        --extra-index-url https://download.pytorch.org/whl/cu126 ||
        fail "pip found no torch for CUDA 12"
      ;;
    *) fail "torch sees no GPU; the driver has CUDA ${CUDA:-unknown}, and only CUDA 12 has another torch here" ;;
  esac
  sees_gpu "${OWN}" || fail "torch sees no GPU, not even one that is built for CUDA 12.6"
fi

STEP=kernel
sudo -u jupyter "${OWN}" -m pip install --quiet ipykernel || fail "pip found no ipykernel"
sudo -u jupyter "${OWN}" -m ipykernel install --user --name sam --display-name "Segment Anything" ||
  fail "the Jupyter kernel cannot be registered"

STEP=done
report ready "driver, repository, environment and kernel are in place; torch sees the GPU"
