// Shows the headers of a web page over TLS.
//
//     npx componentize-js https-headers.js --wit ../wit -n javascript-app -d http -d fetch-event -o https-headers.wasm
//     wac plug https-headers.wasm --plug wasi-streams.wasm -o out.wasm
//     wasmtime run -S tcp,inherit-network,allow-ip-name-lookup out.wasm example.org 443 /
//
// The authorities are those of the web, or those that the environment names: a file by SSL_CERT_FILE, or a PEM text by TLS_ROOTS.

import { command, variable } from "./command.js";
import { headers } from "./http-headers.js";
import { openConnection } from "./streams.js";

export async function main([host, port, path]) {
  const tls = { roots: variable("TLS_ROOTS") };
  await using connection = await openConnection(host, Number(port), { tls, timeout: 30_000 });
  await headers(connection, host, path);
}

export const run = command(main, "HOST", "PORT", "PATH");
