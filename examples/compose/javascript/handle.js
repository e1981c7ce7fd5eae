// Resources of the interface: the garbage collector frees none of them, and to use a freed one would trap.

import { StreamError, checked } from "./errors.js";
import { fairness, forget, ready, throwIfAborted } from "./scheduler.js";

/** A resource until it is freed; after that every use throws the kind "closed". */
export class Handle {
  #name;
  #resource;

  constructor(name, resource) {
    this.#name = name;
    this.#resource = resource;
  }

  get resource() {
    if (!this.#resource) throw this.#closed();
    return this.#resource;
  }

  get freed() {
    return !this.#resource;
  }

  call(step) {
    return checked(() => step(this.resource));
  }

  /** Calls a `try-` function until it answers, and waits by this kind of interest in between. */
  async attempt(tag, step, signal) {
    await fairness();
    for (;;) {
      throwIfAborted(signal);
      const answer = this.call(step);
      if (answer !== undefined && answer !== false) return answer;
      await ready({ tag, val: this.resource }, signal);
    }
  }

  /** Whoever waits for it gets the error. */
  free() {
    if (!this.#resource) return;
    forget(this.#resource, this.#closed());
    this.#resource[Symbol.dispose]();
    this.#resource = undefined;
  }

  [Symbol.dispose]() {
    this.free();
  }

  #closed() {
    return new StreamError("closed", `the ${this.#name} is closed`);
  }
}

/** Calls the setter of each setting; a misspelt one is an error. */
export function configure(resource, settings, setters) {
  try {
    if (typeof settings !== "object" || !settings) throw new StreamError("invalid-argument", "the settings are no object");
    for (const [name, value] of Object.entries(settings)) {
      if (!Object.hasOwn(setters, name)) throw new StreamError("invalid-argument", `there is no option ${name}`);
      if (value !== undefined) set(name, () => setters[name](resource, value));
    }
    return resource;
  } catch (error) {
    resource[Symbol.dispose]();
    throw error;
  }
}

/** A value that cannot be taken apart, `null` where an object is expected say, gives a `TypeError`. */
function set(name, setter) {
  try {
    checked(setter);
  } catch (error) {
    throw error instanceof TypeError ? new StreamError("invalid-argument", `${name}: ${error.message}`) : error;
  }
}
