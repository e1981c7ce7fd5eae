// All programs in one component, which the tests build and compile once: the first argument says which.

import { command } from "../command.js";
import * as echoClient from "../echo-client.js";
import * as echoServer from "../echo-server.js";
import * as httpHeaders from "../http-headers.js";
import * as httpsHeaders from "../https-headers.js";
import * as checks from "./checks.js";

const programs = {
  "echo-client": echoClient.main,
  "echo-server": echoServer.main,
  "http-headers": httpHeaders.main,
  "https-headers": httpsHeaders.main,
  async checks(names) {
    for (const name of names) {
      await checks[name]();
      console.log(`${name}: as expected`);
    }
  },
};

export const run = command(([program, ...rest]) => programs[program](rest));
