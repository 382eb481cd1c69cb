#!/bin/sh
# Unpacks Debian's CrowdSec bouncers into .bouncers/, for the tests that run them. Without apt-get it says so and goes on.
set -eu
cd "$(dirname "$0")/../.."
[ -d .bouncers/usr/bin ] && exit 0
for tool in apt-get dpkg; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "make bouncers: no '$tool' on this machine, so the tests with real bouncers are left out"
    exit 0
  fi
done
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
if (cd "$packages" && apt-get download -qq crowdsec-custom-bouncer crowdsec-firewall-bouncer) >/dev/null 2>&1; then
  mkdir -p .bouncers
  for package in "$packages"/*.deb; do dpkg -x "$package" .bouncers; done
else
  echo "make bouncers: apt-get could not fetch them, so the tests with real bouncers are left out (try apt-get update)"
fi
