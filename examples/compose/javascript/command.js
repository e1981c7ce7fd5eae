// What makes a program of a function: its arguments, the scheduler, and an exit status.

import { getArguments, getEnvironment } from "wasi:cli/environment@0.2.0";
import { StreamError, run } from "./streams.js";

/**
 * The export `run` of a program: `main` gets the arguments, as many as have names here if any has; what it throws is printed, and ends
 * the program with status 1.
 */
export function command(main, ...names) {
  return {
    async run() {
      try {
        const values = getArguments().slice(1);
        if (names.length && values.length !== names.length) throw new StreamError("invalid-argument", `usage: ${names.join(" ")}`);
        await run(() => main(values));
      } catch (error) {
        console.error(error instanceof StreamError ? `${error.kind}: ${error.message}` : `${error}\n${error?.stack}`);
        throw error;
      }
    },
  };
}

/** A variable of the environment; undefined if it is not set. */
export function variable(name) {
  return getEnvironment().find(([key]) => key === name)?.[1];
}
