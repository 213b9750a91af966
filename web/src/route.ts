// Where the page is: in the address's fragment, so that one link opens in any copy of the page.
//
//     #/<community>/<topic's name, URL or 40 hex digits>/<comment>     #you   #help   #search   #desk
//     #list/<community>/<key, 64 hex digits>/<tag>   #list/<community>/<40 hex digits>
//
// Names are escaped as URL components are; what somebody typed without escapes is read as well.

import { cleanName } from "./protocol/name.ts";
import { type Hash, hashOfName, parseHash, type Place } from "./protocol/hash.ts";

export type Route =
  | { readonly screen: "home"; readonly community?: string }
  | { readonly screen: "thread"; readonly community: string; readonly topic: string; readonly comment?: Hash }
  /** What names a list state/lists.ts reads. */
  | { readonly screen: "you" | "help" | "search" | "desk" | `list/${string}` };

/** Names longer than this are not looked at. */
const maxRoute = 8192;

export function readRoute(fragment: string): Route {
  const path = fragment.slice(0, maxRoute).replace(/^#/, "");
  if (isScreen(path)) return { screen: path };
  if (!path.startsWith("/")) return { screen: "home" };
  const [community = "", ...rest] = path.slice(1).split("/");
  if (community === "") return { screen: "home" };
  // The last part is a comment if it looks like one and a topic stands before it.
  const comment = rest.length > 1 ? parseHash(rest[rest.length - 1] ?? "") : undefined;
  const topic = decode((comment === undefined ? rest : rest.slice(0, -1)).join("/"));
  if (topic === "") return { screen: "home", community: decode(community) };
  return { screen: "thread", community: decode(community), topic, ...(comment !== undefined ? { comment } : {}) };
}

export function writeRoute(route: Route): string {
  if (route.screen === "home") return route.community === undefined ? "#/" : `#/${encodeURIComponent(route.community)}`;
  if (route.screen !== "thread") return `#${route.screen}`;
  const { community, topic, comment } = route;
  const link = `#/${encodeURIComponent(community)}/${encodeURIComponent(topic)}`;
  return comment === undefined ? link : `${link}/${comment}`;
}

function isScreen(path: string): path is "you" | "help" | "search" | "desk" | `list/${string}` {
  return /^(you|help|search|desk|list\/.+)$/.test(path);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The hash of a community or a topic that is named or is one. */
export function hashOfPart(text: string): Hash {
  return parseHash(text) ?? hashOfName(text);
}

/** Where a route's topic stands, and its name if the route has it in clear. */
export function placeOf({ community, topic }: { readonly community: string; readonly topic: string }): { place: Place; name: string } {
  const name = cleanName(topic);
  return {
    place: { community: hashOfPart(community), topic: hashOfPart(name) },
    name: parseHash(name) === undefined ? name : "",
  };
}
