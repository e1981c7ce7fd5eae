// Usage: node componentize.mjs SOURCE WIT WORLD OUTPUT
// Makes a component of a JavaScript module by componentize-js, which tools/compose-setup.sh has installed.
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";

const packages = new URL("../../target/tools/npm/node_modules/@bytecodealliance/", import.meta.url);
const { componentize } = await import(new URL("componentize-js/src/componentize.js", packages));
const { _addPreopen } = await import(new URL("preview2-shim/dist/nodejs/filesystem.js", packages));

const [source, wit, world, output] = process.argv.slice(2);
if (!output) {
  console.error("usage: componentize.mjs SOURCE WIT WORLD OUTPUT");
  process.exit(2);
}

// componentize-js is a component itself, and the shim that it runs on no longer shows it any folder: it would not find the WIT,
// which is what its command and jco's fail of.
_addPreopen("/", "/");
const { component } = await componentize({
  sourcePath: resolve(source),
  witPath: resolve(wit),
  worldName: world,
  // They would import wasi:http, which hosts of streams need not have.
  disableFeatures: ["http", "fetch-event"],
});
await writeFile(output, component);
