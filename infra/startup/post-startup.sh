#!/bin/bash
# First start of the Workbench: driver, repository, environment; then says how it went.
# Runs as root. What it reports is read by `sam-vertex doctor`.
set -uo pipefail

HOME_FOLDER=/home/jupyter
CLONE="${HOME_FOLDER}/$(basename "${REPOSITORY_URL}" .git)"
STARTED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)"
STEP=driver

report() { # status, message
  python3 - "$1" "$2" <<'PYTHON' | gcloud storage cp --quiet - "${STATUS_URI}"
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

fail() {
  report failed "$1"
  exit 1
}

report running "installing the driver"
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
  [ -x "${PYTHON}" ] || sudo -u jupyter /opt/conda/bin/conda create --quiet --yes \
    --prefix "${HOME_FOLDER}/python-3.11" python=3.11 || fail "conda found no Python 3.11"
fi
sudo -u jupyter make --directory "${CLONE}" setup PYTHON="${PYTHON}" || fail "make setup failed"

STEP=done
report ready "driver, repository and environment are in place"
