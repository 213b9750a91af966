// What config.json says of the IPFS network. Without it nobody is asked but the nodes that hellos name.

/** As of config.ts: it may have been put together by a machine. */
export const maxSite = 65536;
export const maxNamed = 8;
export const maxFolders = 400;

export interface Site {
  /** Of delegated routing (specs.ipfs.tech): who says which nodes have a folder. URLs without a slash at the end. */
  readonly routers: readonly string[];
  /** Trustless gateways, asked for single blocks. */
  readonly gateways: readonly string[];
  /** Multiaddrs of nodes that this page is to know. */
  readonly nodes: readonly string[];
  /** The id of a topic's folder, where no server says a newer one: by <community>/<topic>, both as hashes. */
  readonly folders: ReadonlyMap<string, string>;
}

export function readSite(text: string): Site {
  let value: unknown;
  try {
    value = text.length > maxSite ? undefined : JSON.parse(text);
  } catch {
    // Below.
  }
  const { routers, gateways, nodes, folders } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
  return {
    routers: urls(routers),
    gateways: urls(gateways),
    nodes: texts(nodes),
    folders: new Map(
      Object.entries(typeof folders === "object" && folders !== null ? folders : {})
        .filter(([topic, id]) => /^[0-9a-f]{40}\/[0-9a-f]{40}$/.test(topic) && typeof id === "string")
        .slice(0, maxFolders) as [string, string][],
    ),
  };
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string").slice(0, maxNamed) : [];
}

function urls(value: unknown): string[] {
  return texts(value).flatMap((text) => (/^https?:\/\/[^?#\s]+$/.test(text) ? [text.replace(/\/+$/, "")] : []));
}
