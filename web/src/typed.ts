// What a person typed into the one box.

import { cleanName } from "./protocol/name.ts";
import { readRoute, type Route } from "./route.ts";

/** A link to a page like this one, or a topic's name or URL. */
export function routeOfTyped(typed: string, community: string): Route | undefined {
  const text = typed.trim();
  if (text === "") return undefined;
  const linked = /^(?:https?:\/\/[^#]*)?(#\/.+)$/i.exec(text)?.[1];
  if (linked !== undefined) {
    const route = readRoute(linked);
    if (route.screen === "thread") return route;
  }
  return { screen: "thread", community, topic: cleanName(text) };
}
