// What the programs do not show. A check fails by an error.

import * as net from "wasi-streams:net/connections@0.1.0";
import { variable } from "../command.js";
import { StreamError, TlsClient, TlsServer, listen, openConnection, sleep, startServer, timeout } from "../streams.js";

const HOST = "127.0.0.1";
const text = (bytes) => new TextDecoder().decode(bytes);

function same(actual, expected) {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

/** The error that this throws, or its promise, which must be of that kind. */
async function fails(kind, call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof StreamError && error instanceof Error)) throw error;
    same(error.kind, kind);
    return error;
  }
  throw new Error(`nothing failed; ${kind} was expected`);
}

/** Both ends of a connection in here, and what frees them. */
async function pair(work, settings = {}) {
  const server = listen(HOST, 0, settings);
  const client = openConnection(HOST, server.addresses[0].port, settings);
  await using accepted = await server.accept();
  await using connected = await client;
  server.close();
  await work(accepted, connected);
}

export async function tasks() {
  const seen = [];
  const server = startServer(
    async (reader, writer) => {
      for await (const line of reader.lines()) {
        await sleep(Number(line));
        writer.write(`slept ${line}\n`);
      }
    },
    HOST,
    0,
  );
  const [{ port }] = server.addresses;
  const client = async (milliseconds) => {
    await using connection = await openConnection(HOST, port);
    connection.writer.write(`${milliseconds}\n`);
    seen.push(text(await connection.reader.readLine()));
  };
  await using stalled = await openConnection(HOST, port);
  await Promise.all([client(300), client(10), client(150)]);
  same(seen, ["slept 10\n", "slept 150\n", "slept 300\n"]);
  server.close();
  await fails("closed", () => server.addresses);
  stalled.writer.close();
  await server.serveForever();
  await server.closed();
  await fails("connection-refused", () => openConnection(HOST, port));
}

/** Counts from now on how many resources of each kind are freed. */
function counted(...kinds) {
  const counts = {};
  for (const kind of kinds) {
    const { prototype } = net[kind];
    const free = prototype[Symbol.dispose];
    counts[kind] = 0;
    prototype[Symbol.dispose] = function () {
      counts[kind]++;
      return free.call(this);
    };
  }
  return counts;
}

/** Nothing is left over, however connections end. */
export async function freed() {
  const counts = counted("ConnectOptions", "Connecting", "Reader", "Writer", "Server");
  let served = 0;
  const failures = [];
  const server = startServer(
    async (reader) => {
      if (++served % 3 === 0) throw new Error("a handler gives up");
      await reader.readToEnd();
    },
    HOST,
    0,
    { failed: (error) => failures.push(error) },
  );
  const [{ port }] = server.addresses;
  for (let times = 0; times < 300; times++) {
    await using connection = await openConnection(HOST, port);
    if (times % 5 === 0) connection.writer.abort();
  }
  while (served < 300) await sleep(1);
  server.close();
  await server.closed();
  await fails("connection-refused", () => openConnection(HOST, port));
  const given = new AbortController();
  const attempt = openConnection(HOST, port, { signal: given.signal });
  given.abort(new StreamError("other", "given up"));
  await fails("other", () => attempt);
  while (counts.Writer < 600) await sleep(1);
  same(failures.length, 100);
  same(counts, { ConnectOptions: 302, Connecting: 302, Reader: 600, Writer: 600, Server: 1 });
}

export async function deadlines() {
  await pair(async (accepted, { reader, writer }) => {
    await fails("timed-out", () => timeout(20, (signal) => reader.readLine({ signal })));
    await fails("timed-out", () => timeout(20, () => sleep(600_000)));
    same(await timeout(1000, () => "in time"), "in time");

    // The reader that gave up lost nothing, and does not stand in the way of the next.
    const line = reader.readLine();
    await fails("invalid-state", () => reader.read(1));
    accepted.writer.write("late\n");
    same(text(await line), "late\n");

    const controller = new AbortController();
    const pending = reader.read(1, { signal: controller.signal });
    controller.abort(new StreamError("other", "enough"));
    same((await fails("other", () => pending)).message, "enough");

    writer.write("x".repeat(8 << 20));
    await fails("timed-out", () => timeout(20, (signal) => writer.drain({ signal })));
    accepted.writer.close();
    await accepted.writer.closed();
    writer.abort();
    await writer.closed();
  });
  await sleep(1); // would trap, if one that gave up still waited for what is freed
}

/** Many who always have something to read do not keep out the one that sleeps. */
export async function fairness() {
  await pair(async (accepted, { reader, writer }) => {
    writer.write(new Uint8Array(1000));
    let awake = false;
    sleep(1).then(() => (awake = true));
    let turns = 0;
    for (; !awake; turns++) {
      if (turns > 1_000_000) throw new Error("the sleeper never woke");
      accepted.writer.write("x");
      await reader.read(1);
    }
  });
}

export async function limits() {
  await pair(async ({ writer }, { reader }) => {
    writer.write(`${"a".repeat(5000)}\nb|cd`);
    writer.writeEof();
    same((await fails("limit-overrun", () => reader.readUntil("\n"))).detail.consumed > 0, true);
    same((await reader.readExactly(5000)).length, 5000);
    same(text(await reader.readUntil(["|", "\n"])), "\n");
    same(text(await reader.readUntil(["|", "\n"])), "b|");
    const { detail } = await fails("incomplete-read", () => reader.readExactly(10));
    same([text(detail.partial), detail.expected], ["cd", 10]);
    same([reader.atEof(), (await reader.readToEnd()).length], [true, 0]);
  }, { limit: 1000 });
  await pair(async ({ writer }, { reader }) => {
    writer.write("é\r\nlast");
    writer.close();
    const lines = [];
    for await (const line of reader.lines()) lines.push(line);
    same(lines, ["é", "last"]);
  });
}

/** One direction ends, and the answer comes in the other. */
export async function halves() {
  await pair(async (accepted, { reader, writer }) => {
    writer.write("question");
    writer.writeEof();
    same(text(await accepted.reader.readToEnd()), "question");
    accepted.writer.write("answer");
    accepted.writer.close();
    same(text(await timeout(5000, (signal) => reader.readToEnd({ signal }))), "answer");
  });
}

export async function nonsense() {
  const invalid = (call) => fails("invalid-argument", call);
  await invalid(() => openConnection(HOST, 65536 + 80));
  await invalid(() => openConnection(HOST, "80"));
  await invalid(() => openConnection(undefined, 80));
  await invalid(() => openConnection(HOST, 0));
  await invalid(() => openConnection(HOST, 80, { limt: 5 }));
  await invalid(() => openConnection(HOST, 80, { limit: -1 }));
  await invalid(() => openConnection(HOST, 80, { limit: 0 }));
  await invalid(() => openConnection(HOST, 80, { family: "ipx" }));
  await invalid(() => openConnection(HOST, 80, { tls: "yes" }));
  await invalid(() => openConnection(HOST, 80, { tls: { roots: "no PEM" } }));
  await invalid(() => openConnection(HOST, 80, { tls: { minimumVersion: "ssl3" } }));
  for (const settings of [
    { happyEyeballsDelay: -1 },
    { happyEyeballsDelay: "x" },
    { keepAlive: { idle: -1 } },
    { keepAlive: { interval: 2 ** 32 } },
    { keepAlive: { count: "x" } },
    { keepAlive: null },
    { localAddress: { host: HOST, port: 65536 } },
    { localAddress: { host: HOST } },
    { localAddress: { port: 0 } },
    { localAddress: null },
    { tls: { alpn: "h2" } },
    { tls: { identity: null } },
    { tls: true, serverName: 5 },
    { serverName: "localhost" },
  ]) {
    await invalid(() => openConnection(HOST, 80, settings));
  }
  await invalid(() => new TlsServer());
  await invalid(() => listen(HOST, 0, { tls: null }));
  await invalid(() => listen(HOST, 0, { tls: { identity: { chain: "no PEM", key: "no PEM" } } }));
  await pair(async (accepted, { reader, writer }) => {
    await invalid(() => writer.write(5));
    await invalid(() => reader.readExactly(-1));
    await invalid(() => reader.readUntil(""));
    await invalid(() => writer.setBufferLimits(1, 2));
    writer.writeEof();
    await fails("invalid-state", () => writer.write("more"));
  });
}

/** What `failed` throws ends neither the server nor the program. */
export async function failures() {
  let failed = 0;
  const given = new AbortController();
  const handler = (reader) => reader.read(1, { signal: given.signal });
  const server = startServer(handler, HOST, 0, {
    failed: (error) => {
      failed++;
      throw error;
    },
  });
  const [{ port }] = server.addresses;
  const clients = [await openConnection(HOST, port), await openConnection(HOST, port)];
  await sleep(100); // both handlers wait
  const closed = server.closed();
  given.abort(new StreamError("other", "gives up"));
  await closed;
  same(failed, 2);
  for (const { writer } of clients) writer.abort();
  server.close();
}

/** The library would trap where a freed resource is used. */
export async function afterwards() {
  const connection = {};
  await pair(async (accepted, { reader, writer }) => {
    Object.assign(connection, { reader, writer });
    const pending = reader.readToEnd();
    writer.close();
    writer.close();
    await writer.closed();
    same((await pending).length, 0);
  });
  const { reader, writer } = connection;
  for (const call of [
    () => reader.read(),
    () => reader.readLine(),
    () => reader.atEof(),
    () => writer.write("x"),
    () => writer.drain(),
    () => writer.writeEof(),
    () => writer.peerAddress,
    () => writer.tls,
    () => writer.startTls(true, "localhost"),
  ]) {
    await fails("closed", call);
  }
  writer.abort();
  writer.close();
  await writer.closed();
  same(writer.isClosing(), true);
  const tls = new TlsClient();
  tls.free();
  await fails("closed", () => openConnection(HOST, 80, { tls }));
}

export async function upgrade() {
  const identity = { chain: variable("TLS_CHAIN"), key: variable("TLS_KEY") };
  const server = new TlsServer({ identity, alpn: ["echo"] });
  const client = new TlsClient({ roots: variable("TLS_ROOTS"), alpn: ["echo"] });
  const seen = [];
  for (let times = 0; times < 2; times++) {
    await pair(async (accepted, connected) => {
      accepted.writer.write("220 ready\n");
      await connected.reader.readLine();
      const upgraded = accepted.writer.startTlsServer(server);
      await connected.writer.startTls(client, "localhost");
      await upgraded;
      connected.writer.write("secret\n");
      same(text(await accepted.reader.readLine()), "secret\n");
      accepted.writer.write("answer\n");
      same(text(await connected.reader.readLine()), "answer\n");
      const { version, alpn, resumed, verified } = connected.writer.tls;
      seen.push([version, alpn, resumed, verified]);
      await fails("unsupported", () => connected.writer.writeEof());
    });
  }
  same(seen, [["tls13", "echo", false, true], ["tls13", "echo", true, true]]);
}
