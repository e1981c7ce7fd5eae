// Sends a message and shows the answer.
//
//     npx componentize-js echo-client.js --wit ../wit -n javascript-app -d http -d fetch-event -o echo-client.wasm
//     wac plug echo-client.wasm --plug wasi-streams.wasm -o out.wasm
//     wasmtime run -S tcp,inherit-network,allow-ip-name-lookup out.wasm 127.0.0.1 8888 'Hello World!'

import { command } from "./command.js";
import { openConnection } from "./streams.js";

export async function main([host, port, message]) {
  await using connection = await openConnection(host, Number(port));
  const { reader, writer } = connection;

  console.log(`Send: ${JSON.stringify(message)}`);
  writer.write(message);
  await writer.drain();

  const answer = await reader.read(100);
  console.log(`Received: ${JSON.stringify(new TextDecoder().decode(answer))}`);
  console.log("Close the connection");
}

export const run = command(main, "HOST", "PORT", "MESSAGE");
