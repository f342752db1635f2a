#!/bin/sh
# Builds chart.js from src/ with the versions of package-lock.json. Works in a folder of its own, so that no
# node_modules lies beside the console's code.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/package.json" "$here/package-lock.json" "$here/src" "$work"
cd "$work"
npm ci --ignore-scripts --no-audit --no-fund
npm run --silent build
cp chart.js "$here/chart.js"
cp node_modules/lightweight-charts/LICENSE "$here/LICENSE-lightweight-charts"
