// config.json beside the page: whose page this is, and where it begins to look. It is written by who put the page up,
// but may have been put together by a machine: it is bounded and checked like anything else.

import { readFields } from "./protocol/fields.ts";

export interface Config {
  /** The community that is meant where none is named: its name, or its hash. */
  readonly community: string;
  /** Origins of servers; "." is where the page came from. */
  readonly servers: readonly string[];
  readonly trackers: readonly string[];
  /** stun: URLs, by which browsers behind a NAT learn their address. */
  readonly stun: readonly string[];
  /** Moderators' lists that the site chose: "<community>/<list> <what to call it>", ids. Readers may switch them off. */
  readonly lists: readonly string[];
}

export const maxConfig = 65536;
export const maxOrigins = 32;
const maxString = 256;

export const defaultConfig: Config = { community: "reddit", servers: [], trackers: [], stun: [], lists: [] };

/** What a config.json says; what it does not say, or says wrongly, is as in defaultConfig. */
export function readConfig(text: string): Config {
  if (text.length > maxConfig) return defaultConfig;
  const { community, servers, trackers, stun, lists } = readFields(text);
  return {
    community: isText(community) ? community : defaultConfig.community,
    servers: texts(servers),
    trackers: texts(trackers),
    stun: texts(stun),
    lists: texts(lists),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= maxString && !/\p{Cc}/u.test(value);
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter(isText).slice(0, maxOrigins) : [];
}

export async function loadConfig(): Promise<Config> {
  try {
    const response = await fetch("config.json", { credentials: "same-origin", cache: "no-cache" });
    return response.ok ? readConfig(await response.text()) : defaultConfig;
  } catch {
    // A page from a file, or one that is offline.
    return defaultConfig;
  }
}
