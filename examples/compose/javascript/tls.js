// Configurations of TLS, as plain objects or made once for many connections.

import { TlsClientConfig, TlsServerConfig } from "wasi-streams:net/connections@0.1.0";
import { StreamError, bytes, list, text } from "./errors.js";
import { Handle, configure } from "./handle.js";

const both = {
  revocationLists: (config, pem) => config.addRevocationListsPem(text(pem, "revocationLists")),
  alpn: (config, protocols) => config.setAlpn(list(protocols, "alpn").map((protocol) => bytes(protocol, "alpn"))),
  minimumVersion: (config, version) => config.setMinimumVersion(version),
  maximumVersion: (config, version) => config.setMaximumVersion(version),
  preferChacha20: (config, prefer) => config.setPreferChacha20(prefer),
  suppressRaggedEofs: (config, suppress) => config.setSuppressRaggedEofs(suppress),
};
const clients = {
  ...both,
  roots: (config, pem) => config.addRootsPem(text(pem, "roots")),
  identity: (config, { chain, key }) => config.setIdentityPem(text(chain, "identity.chain"), text(key, "identity.key")),
  dangerousSkipNameCheck: (config, skip) => skip && config.dangerousSkipNameCheck(),
  dangerousSkipVerification: (config, skip) => skip && config.dangerousSkipVerification(),
};
const servers = {
  ...both,
  identity: (config, { chain, key }) => config.addIdentityPem(text(chain, "identity.chain"), text(key, "identity.key")),
  clientRoots: (config, { roots, required = true }) => config.setClientRootsPem(text(roots, "clientRoots.roots"), required),
};

/** How a client does TLS; connections that share one resume each other's sessions. Certificates and keys are PEM texts. */
export class TlsClient extends Handle {
  constructor(settings = {}) {
    super("configuration of TLS", configure(new TlsClientConfig(), settings, clients));
  }
}

/** How a server does TLS: `{ identity: { chain, key } }` at least. */
export class TlsServer extends Handle {
  constructor(settings) {
    super("configuration of TLS", configure(new TlsServerConfig(), settings, servers));
  }
}

/** Calls `use` with the configuration that is meant: one made before, or one for this call only; `true` has no settings. */
export function withTls(Kind, tls, use) {
  if (tls instanceof Kind) return use(tls.resource);
  if (tls !== true && (typeof tls !== "object" || tls instanceof Handle)) {
    throw new StreamError("invalid-argument", `tls: neither true nor settings nor a ${Kind.name}`);
  }
  const config = new Kind(tls === true ? {} : tls);
  try {
    return use(config.resource);
  } finally {
    config.free();
  }
}
