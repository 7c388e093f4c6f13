#!/usr/bin/env bash
# Compiles the contracts of this folder and of ../tests/contracts: writes the code of each contract to `Name.hex`. Needs npm.
#
#   shared/wallet/contracts/compile.sh           writes them
#   shared/wallet/contracts/compile.sh --check   fails when the committed code differs from what the sources give
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

compiler=0.8.37
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --silent --no-audit --no-fund --no-save --prefix "$work" "solc@$compiler"

cat >"$work/compile.js" <<'JS'
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const [target] = process.argv.slice(2);
const names = fs.readdirSync(".").filter((name) => name.endsWith(".sol"));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(names.map((name) => [name, { content: fs.readFileSync(name, "utf8") }])),
  settings: {
    // No PUSH0: the validator must run on chains of any age.
    evmVersion: "paris",
    optimizer: { enabled: true, runs: 200 },
    // No hash of the sources in the code: a changed comment changes nothing.
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
if ((output.errors ?? []).length > 0) process.exit(1);
for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    fs.writeFileSync(path.join(target, `${name}.hex`), `${contract.evm.bytecode.object}\n`);
  }
}
JS
for folder in . ../tests/contracts; do
    code=$work/code/$(basename "$folder")
    mkdir -p "$code"
    (cd "$folder" && NODE_PATH=$work/node_modules node "$work/compile.js" "$code")
    if [[ ${1:-} == --check ]]; then
        for file in "$code"/*.hex; do
            diff --brief "$file" "$folder/$(basename "$file")"
        done
    else
        cp "$code"/*.hex "$folder"
    fi
done
