// The two sides of a connection.

import { StreamError, bytes, checked, optional, text, uint32 } from "./errors.js";
import { Handle } from "./handle.js";
import { TlsClient, TlsServer, withTls } from "./tls.js";

const CHUNK = 64 * 1024;

/** A reader and its writer. `await using` closes it, and waits until everything is sent. */
export class Connection {
  constructor([reader, writer]) {
    const input = new Handle("connection", reader);
    const output = new Handle("connection", writer);
    this.reader = new Reader(input);
    this.writer = new Writer(output, input);
  }

  async [Symbol.asyncDispose]() {
    this.writer.close();
    try {
      await this.writer.closed();
    } catch (error) {
      // Where reading or writing has thrown the same, it is on its way already.
      if (error.message !== this.reader.failure?.message && error.message !== this.writer.failure?.message) throw error;
    }
  }
}

/**
 * The reading side: bytes are `Uint8Array`s, and an empty one is the end of the stream, where `for await` gives all lines before it.
 *
 * One task at a time reads. Every function takes a `{ signal }` as its last argument: aborted, it throws the signal's reason, and nothing
 * is lost, except of `readToEnd`. After `writer.close()` what is left may be thrown away at any time; then reading throws "closed".
 */
export class Reader {
  #handle;
  #busy = false;
  /** The last error that was thrown. */
  failure;

  constructor(handle) {
    this.#handle = handle;
  }

  /** At most so many bytes, as soon as there is one. */
  read(max = CHUNK, { signal } = {}) {
    return this.#attempt((reader) => reader.tryRead(uint32(max, "max")), signal);
  }

  /** Throws "incomplete-read" where the stream ends before. */
  readExactly(count, { signal } = {}) {
    return this.#attempt((reader) => reader.tryReadExactly(uint32(count, "count")), signal);
  }

  /** A line with its "\n", which only the last one may lack. Throws "limit-overrun" for one that is longer than the limit. */
  readLine({ signal } = {}) {
    return this.#attempt((reader) => reader.tryReadLine(), signal);
  }

  /** Everything up to and including a separator, or the first of several. Throws "limit-overrun", "incomplete-read". */
  readUntil(separators, { signal } = {}) {
    const list = (Array.isArray(separators) ? separators : [separators]).map((separator) => bytes(separator, "separators"));
    return this.#attempt((reader) => reader.tryReadUntil(list), signal);
  }

  /** All the rest, which is as much as the peer likes: where that matters, `read` until enough is there. */
  async readToEnd({ signal } = {}) {
    const parts = [];
    let length = 0;
    for (;;) {
      const part = await this.read(CHUNK, { signal });
      if (!part.length) break;
      parts.push(part);
      length += part.length;
    }
    const whole = new Uint8Array(length);
    for (const part of parts.reverse()) whole.set(part, (length -= part.length));
    return whole;
  }

  /** Whether the stream has ended and everything was read. */
  atEof() {
    return this.#handle.call((reader) => reader.atEof());
  }

  /** Lines as bytes, each with its "\n". */
  async *[Symbol.asyncIterator]() {
    for (let line; (line = await this.readLine()).length; ) yield line;
  }

  /** Lines as text, without their ends. */
  async *lines() {
    const decoder = new TextDecoder();
    for await (const line of this) yield decoder.decode(line).replace(/\r?\n$/, "");
  }

  async #attempt(step, signal) {
    if (this.#busy) throw new StreamError("invalid-state", "another task is reading from this connection");
    this.#busy = true;
    try {
      return await this.#handle.attempt("readable", step, signal);
    } catch (error) {
      throw (this.failure = error);
    } finally {
      this.#busy = false;
    }
  }
}

/** The writing side, which owns the connection: `close` ends both directions, and frees both sides when everything is sent. */
export class Writer {
  #handle;
  #input;
  #end; // the promise that the connection is gone, once it is closed
  failure;

  constructor(handle, input) {
    this.#handle = handle;
    this.#input = input;
  }

  /** Queues bytes or text, and does not wait: `drain` after it bounds the queue, and tells if the connection was lost. */
  write(data) {
    const list = bytes(data, "data");
    this.#handle.call((writer) => writer.write(list));
  }

  /** Waits while much is queued. */
  async drain({ signal } = {}) {
    try {
      await this.#handle.attempt("drained", (writer) => writer.tryDrain(), signal);
    } catch (error) {
      throw (this.failure = error);
    }
  }

  /** Ends our direction; the other goes on. Not over TLS, which has no half. */
  writeEof() {
    this.#handle.call((writer) => writer.writeEof());
  }

  canWriteEof() {
    return this.#handle.call((writer) => writer.canWriteEof());
  }

  /** Closes the connection behind what is queued. */
  close() {
    this.#finish((writer) => writer.close());
  }

  /** Ends the connection at once; what is queued is dropped. */
  abort() {
    this.#finish((writer) => writer.abort());
  }

  isClosing() {
    return this.#handle.freed || this.#handle.call((writer) => writer.isClosing());
  }

  /** Waits until the connection is gone; throws what ended it, if that was not `close` or `abort`. */
  async closed() {
    await (this.#end ?? this.#gone());
  }

  /** How many bytes are queued. */
  get bufferSize() {
    return Number(this.#handle.call((writer) => writer.writeBufferSize()));
  }

  /** `drain` waits above `high`, until at or below `low`, which is a quarter of `high` by default. */
  setBufferLimits(high, low) {
    const limit = low === undefined ? undefined : BigInt(uint32(low, "low"));
    this.#handle.call((writer) => writer.setWriteBufferLimits(BigInt(uint32(high, "high")), limit));
  }

  /** Stops taking data from the peer, or goes on. */
  pauseReading(pause = true) {
    this.#handle.call((writer) => writer.pauseReading(pause));
  }

  /** Starts TLS as the client, in the midst of a connection: `true`, settings, or a `TlsClient`. */
  async startTls(tls, serverName, { signal } = {}) {
    const name = optional(text, serverName, "serverName");
    const start = (config) => this.#handle.call((writer) => writer.startTlsClient(config, name));
    withTls(TlsClient, tls, start);
    await this.#handshake(signal);
  }

  /** Starts TLS as the server: settings, or a `TlsServer`. */
  async startTlsServer(tls, { signal } = {}) {
    const start = (config) => this.#handle.call((writer) => writer.startTlsServer(config));
    withTls(TlsServer, tls, start);
    await this.#handshake(signal);
  }

  /** `{ host, port }`; undefined where the host does not know it. */
  get peerAddress() {
    return this.#handle.call((writer) => writer.peerAddress());
  }

  get localAddress() {
    return this.#handle.call((writer) => writer.localAddress());
  }

  /** The version, cipher, certificates and so on; undefined on a plain connection. */
  get tls() {
    const info = this.#handle.call((writer) => writer.tls());
    return info && { ...info, alpn: info.alpn && new TextDecoder().decode(info.alpn) };
  }

  async #handshake(signal) {
    try {
      await this.#handle.attempt("handshaken", (writer) => writer.tryHandshake(), signal);
    } catch (error) {
      throw (this.failure = error);
    }
  }

  #gone() {
    return this.#handle.attempt("closed", (writer) => writer.tryWaitClosed());
  }

  #finish(how) {
    if (this.#handle.freed) return;
    checked(() => how(this.#handle.resource));
    this.#end ??= this.#gone().finally(() => {
      this.#input.free();
      this.#handle.free();
    });
    this.#end.catch(() => {}); // `closed` throws it
  }
}
