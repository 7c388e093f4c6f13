// Compiles the contracts of this folder into contracts.json: for each one the code that creates it and the code on chain.
//
//   npm install --no-save --prefix /tmp/solc solc@0.8.37
//   NODE_PATH=/tmp/solc/node_modules node shared/test-support/contracts/compile.mjs
//
// A test compares contracts.json with the sources by their hashes.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
// NODE_PATH applies to require only.
const solc = createRequire(import.meta.url)("solc");
const files = readdirSync(folder).filter((file) => file.endsWith(".sol")).sort();
const sources = Object.fromEntries(files.map((file) => [file, { content: readFileSync(join(folder, file), "utf8") }]));
const input = {
  language: "Solidity",
  sources,
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "paris",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
if ((output.errors ?? []).some((error) => error.severity === "error")) process.exit(1);

const contracts = {};
for (const file of files) {
  for (const [name, { evm }] of Object.entries(output.contracts[file])) {
    contracts[name] = {
      sha256: createHash("sha256").update(sources[file].content).digest("hex"),
      creation: evm.bytecode.object,
      runtime: evm.deployedBytecode.object,
    };
  }
}
writeFileSync(join(folder, "contracts.json"), `${JSON.stringify({ compiler: solc.version(), contracts }, null, 2)}\n`);
