#!/bin/sh
# Bundle what the portal's scripts take from others, from the locked packages, into exchange/static/bundled.
# Only for who changes a version: the bundles are committed, and tests/exchange/test_browser_bundles.py compares their hashes.
set -eu
cd "$(dirname "$0")"
out=../../exchange/static/bundled
npm ci --no-audit --no-fund --silent
for name in oprf phone words; do
    node_modules/.bin/esbuild "src/$name.js" --bundle --minify --format=iife --global-name="bundled_$name" \
        --target=chrome110,firefox115,safari16 --legal-comments=none --outfile="$out/$name.min.js" --log-level=warning
done
cat node_modules/@noble/curves/LICENSE > "$out/oprf.LICENSE"
cat node_modules/libphonenumber-js/LICENSE > "$out/phone.LICENSE"
cat node_modules/unicode-default-word-boundary/LICENSE* > "$out/words.LICENSE"
(cd "$out" && sha256sum oprf.min.js phone.min.js words.min.js) > bundles.sha256
