// Shows the headers of a web page.
//
//     npx componentize-js http-headers.js --wit ../wit -n javascript-app -d http -d fetch-event -o http-headers.wasm
//     wac plug http-headers.wasm --plug wasi-streams.wasm -o out.wasm
//     wasmtime run -S tcp,inherit-network,allow-ip-name-lookup out.wasm example.org 80 /

import { command } from "./command.js";
import { openConnection } from "./streams.js";

/** Asks for a page's headers, and prints them. */
export async function headers({ reader, writer }, host, path) {
  writer.write(`HEAD ${path} HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
  for await (const line of reader.lines()) {
    if (!line) break;
    console.log(`HTTP header> ${line}`);
  }
}

export async function main([host, port, path]) {
  await using connection = await openConnection(host, Number(port), { timeout: 30_000 });
  await headers(connection, host, path);
}

export const run = command(main, "HOST", "PORT", "PATH");
