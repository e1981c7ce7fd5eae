// Errors of the interface as errors of JavaScript.

/** Every failure: `kind` is what programs decide by ("connection-refused"), the message what people read. */
export class StreamError extends Error {
  /** `detail` is `{ partial, expected }` of "incomplete-read", `{ consumed, found }` of "limit-overrun", `{ alert }` of "tls-alert". */
  constructor(kind, message, detail) {
    super(message);
    this.name = "StreamError";
    this.kind = kind;
    this.detail = detail;
  }
}

/** Calls a function of the interface. What it throws is no `Error`: either it has one of ours in its payload, or an argument was bad. */
export function checked(call) {
  try {
    return call();
  } catch (thrown) {
    if (thrown instanceof Error) throw thrown;
    const { kind, message, detail } = thrown.payload ?? { kind: "invalid-argument", message: String(thrown.message) };
    throw new StreamError(kind, message, detail && plain(detail));
  }
}

/** An argument that the interface would silently take modulo 2³². */
export function uint32(value, name) {
  return integer(value, name, 0xffffffff);
}

/** The same modulo 2¹⁶. */
export function port16(value, name = "port") {
  return integer(value, name, 0xffff);
}

function integer(value, name, max) {
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new StreamError("invalid-argument", `${name}: ${String(value)} is no integer from 0 to ${max}`);
}

/** An argument that may be left out. */
export function optional(check, value, name) {
  return value === undefined ? undefined : check(value, name);
}

export function text(value, name) {
  if (typeof value !== "string") throw new StreamError("invalid-argument", `${name}: ${String(value)} is no string`);
  return value;
}

export function list(value, name) {
  if (!Array.isArray(value)) throw new StreamError("invalid-argument", `${name}: ${String(value)} is no array`);
  return value;
}

/** Text becomes UTF-8. Not `instanceof Uint8Array`: what the interface returns is of another realm. */
export function bytes(value, name) {
  if (typeof value === "string") return new TextEncoder().encode(value);
  if (value?.[Symbol.toStringTag] === "Uint8Array") return value;
  throw new StreamError("invalid-argument", `${name}: neither a string nor a Uint8Array`);
}

function plain({ tag, val }) {
  switch (tag) {
    case "incomplete-read":
      return { partial: val.partial, expected: val.expected === undefined ? undefined : Number(val.expected) };
    case "limit-overrun":
      return { consumed: Number(val.consumed), found: val.found };
    default:
      return { [tag]: val };
  }
}
