// The screens but the thread. They come with what writes, which has the words of them all.

import type { VNode } from "preact";
import { type Route, writeRoute } from "../route.ts";
import { config } from "../state/page.ts";
import { Desk } from "./desk.tsx";
import { Help } from "./help.tsx";
import { Home } from "./home.tsx";
import { ListPage } from "./lists.tsx";
import { Search } from "./search.tsx";
import { You } from "./you.tsx";

export { Network } from "./network.tsx";

export function Screen({ route }: { readonly route: Exclude<Route, { screen: "thread" }> }): VNode {
  switch (route.screen) {
    case "home": return <Home community={route.community ?? config.value.community} />;
    case "you": return <You />;
    case "help": return <Help />;
    case "search": return <Search />;
    case "desk": return <Desk />;
    default: return <ListPage key={route.screen} link={writeRoute(route)} />;
  }
}
