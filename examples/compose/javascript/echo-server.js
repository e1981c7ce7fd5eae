// Echoes what every client sends, many clients at once.
//
//     npx componentize-js echo-server.js --wit ../wit -n javascript-app -d http -d fetch-event -o echo-server.wasm
//     wac plug echo-server.wasm --plug wasi-streams.wasm -o out.wasm
//     wasmtime run -S tcp,inherit-network,allow-ip-name-lookup out.wasm 127.0.0.1 8888
//
// Over TLS if the environment has a certificate and its key as PEM texts, because JavaScript in components has no files:
//
//     wasmtime run … --env "TLS_CHAIN=$(cat server.pem)" --env "TLS_KEY=$(cat server.key)" out.wasm 127.0.0.1 8888

import { command, variable } from "./command.js";
import { startServer } from "./streams.js";

async function echo(reader, writer) {
  for (let data; (data = await reader.read()).length; ) {
    writer.write(data);
    await writer.drain(); // nothing more is read while the client does not take that
  }
}

export async function main([host, port]) {
  const chain = variable("TLS_CHAIN");
  const tls = chain && { identity: { chain, key: variable("TLS_KEY") } };
  const server = startServer(echo, host, Number(port), { tls });
  for (const { host, port } of server.addresses) {
    console.log(`Serving on ${host.includes(":") ? `[${host}]` : host}:${port}`);
  }
  await server.serveForever();
}

export const run = command(main, "HOST", "PORT");
