// Runs promises over `wait`: the engine's own loop knows no sockets, and while `wait` sleeps nothing else runs, its timers neither.

import { wait } from "wasi-streams:net/connections@0.1.0";
import { StreamError } from "./errors.js";

const waiting = new Set(); // of { interest, resolve, reject }
const timers = new Set(); // of { due, resolve, reject }
let running = false;
/** How many operations have not waited since the scheduler last had its turn. */
let immediate = 0;

/** Calls `main`, and drives it and all that it starts until its promise is settled, which is the result. */
export async function run(main) {
  if (running) throw new StreamError("invalid-state", "run inside run");
  running = true;
  let over = false;
  const result = new Promise((resolve) => resolve(main())).finally(() => (over = true));
  result.catch(() => {}); // it is returned below
  try {
    for (;;) {
      await settled();
      if (over) return await result;
      turn();
    }
  } finally {
    running = false;
  }
}

/** Waits for so many milliseconds; `setTimeout` would be late, because the engine does not see its timers while `wait` sleeps. */
export function sleep(milliseconds, { signal } = {}) {
  return pending(timers, { due: performance.now() + milliseconds }, signal);
}

/**
 * Gives `work` so many milliseconds. Then it fails with the kind "timed-out", and so does whatever in it waits with the signal.
 *
 *     const line = await timeout(1000, (signal) => reader.readLine({ signal }));
 */
export async function timeout(milliseconds, work) {
  const controller = new AbortController();
  const { signal } = controller;
  const late = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const timer = new AbortController();
  const expire = () => controller.abort(new StreamError("timed-out", `not done within ${milliseconds} ms`));
  sleep(milliseconds, { signal: timer.signal }).then(expire, () => {});
  try {
    return await Promise.race([work(signal), late]);
  } finally {
    timer.abort();
  }
}

/** Waits until `wait` reports this interest; the signal takes it back. */
export function ready(interest, signal) {
  return pending(waiting, { interest }, signal);
}

/** Ends all waiting for a resource that is about to be freed. */
export function forget(resource, error) {
  for (const entry of waiting) if (entry.interest.val === resource) entry.reject(error);
}

/** Lets the others run now and then, when a task never has to wait: a peer that always has data would keep them out. */
export async function fairness() {
  if (++immediate > 100) await sleep(0);
}

/** The engine's own `signal.throwIfAborted()` ends the whole program. */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw signal.reason;
}

/** An entry of a set, until it is resolved, rejected, or its signal aborts it. */
function pending(set, entry, signal) {
  return new Promise((resolve, reject) => {
    throwIfAborted(signal);
    const abort = () => entry.reject(signal.reason);
    const settle = (outcome) => (value) => {
      set.delete(entry);
      signal?.removeEventListener("abort", abort);
      outcome(value);
    };
    entry.resolve = settle(resolve);
    entry.reject = settle(reject);
    signal?.addEventListener("abort", abort);
    set.add(entry);
  });
}

/** When every promise job that can run has run: the engine's timers come after them. */
function settled() {
  immediate = 0;
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Resolves what is due, and sleeps until something is. */
function turn() {
  const now = performance.now();
  const due = [...timers].filter((timer) => timer.due <= now).sort((a, b) => a.due - b.due);
  for (const timer of due) timer.resolve();
  if (!waiting.size && due.length) return;
  if (!waiting.size && !timers.size) {
    throw new StreamError("invalid-state", "every task waits for something that nobody will do");
  }
  const next = Math.min(...[...timers].map((timer) => timer.due)) - now; // Infinity without one
  const limit = due.length ? 0 : next === Infinity ? undefined : Math.min(Math.ceil(next), 0xffffffff);
  const entries = [...waiting];
  const indexes = wait(
    entries.map((entry) => entry.interest),
    limit,
  );
  for (const index of indexes) entries[index].resolve();
}
