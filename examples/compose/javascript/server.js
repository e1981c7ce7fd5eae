// A listening server, and what is done with its connections.

import { Connection } from "./connection.js";
import { Handle } from "./handle.js";

/** A listening server. */
export class Server {
  #handle;
  #handlers = new Set();
  #accepting;

  constructor(resource) {
    this.#handle = new Handle("server", resource);
  }

  /** Where it listens: `{ host, port }`s. */
  get addresses() {
    return this.#handle.call((server) => server.localAddresses());
  }

  /** How many TLS handshakes have failed so far. */
  get failedHandshakes() {
    return Number(this.#handle.call((server) => server.failedHandshakes()));
  }

  /** The next connection. */
  async accept({ signal } = {}) {
    return new Connection(await this.#handle.attempt("acceptable", (server) => server.tryAccept(), signal));
  }

  /** The connections, until the server is closed. */
  async *[Symbol.asyncIterator]() {
    try {
      for (;;) yield await this.accept();
    } catch (error) {
      if (!this.#handle.freed) throw error;
    }
  }

  /** Hands each connection to a task of its own. */
  serve(handler, failed) {
    this.#accepting = (async () => {
      for await (const connection of this) {
        const task = handle(handler, connection)
          .catch(failed)
          .catch(report) // of what `failed` throws nobody else would hear
          .finally(() => this.#handlers.delete(task));
        this.#handlers.add(task);
      }
    })();
    this.#accepting.catch(() => {}); // `serveForever` throws it
  }

  /** Waits until the server is closed. */
  async serveForever() {
    await this.#accepting;
  }

  /** Stops listening, and drops the connections that nobody has accepted; the handlers go on. */
  close() {
    this.#handle.free();
  }

  /** Waits until all handlers are done. */
  async closed() {
    await Promise.all(this.#handlers);
  }
}

export function report(error) {
  console.error(`a handler failed: ${error}`);
}

/** A handler that fails has no more to say: what it has queued is dropped. */
async function handle(handler, connection) {
  try {
    await handler(connection.reader, connection.writer);
  } catch (error) {
    connection.writer.abort();
    throw error;
  }
  await connection[Symbol.asyncDispose]();
}
