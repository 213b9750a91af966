// All that the page says, in English: the first screen's part, and en-later.ts the rest. Sentences are for who reads comments: servers, names, keys; nothing of how it is
// built but under Details.

import { number, rules, translate } from "./spoken.ts";

/** For languages that have two forms, of which one is for 1. */
export const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${rules.select(n) === "one" ? one : many}`;

export const page = {
  /** How short "3 minutes ago" is: Intl.RelativeTimeFormat's style. */
  near: "narrow",
  title: "comntr",
  home: "Topics",
  you: "You",
  help: "Help",
  search: "Search",
  desk: "Desk",
  list: "List",
  skip: "Skip to the content",
  servers: (n: number): string => plural(n, "server"),
  noServers: "No servers",
  offline: "Offline",
  network: (state: string): string => `Network: ${state}`,
  dismiss: "Dismiss",
  close: "Close",
  reload: "Reload",
  about: "About this page",
  first: "No account. Your name is a key in this browser; servers are volunteers.",
  failed: "A part of this page did not load.",
} as const;

export const thread = {
  /** The composer's line. */
  write: "Write a comment",
  comments: (n: number): string => plural(n, "comment"),
  fresh: (n: number): string => `${number(n)} new`,
  sort: "Sort",
  orders: { best: "Best first", newest: "Newest first", oldest: "Oldest first", discussed: "Most discussed" },
  /** Between things that are said of the same. */
  comma: ",",
  follow: "Follow",
  following: "Following",
  unnamed: (hash: string): string => `Topic ${hash.slice(0, 8)}`,
  searching: "Looking for servers…",
  addServer: "Add a server",
  reading: (have: number, all: number): string => (all > have ? `Reading ${plural(all, "comment")}…` : "Reading…"),
  checking: (n: number): string => `Checking ${plural(n, "signature")}…`,
  empty: "No comments yet.",
  beFirst: "Write the first",
  missing: "This comment is not here, or not yet.",
  showPending: (n: number): string => `Show ${plural(n, "new comment")}`,
  hiddenBy: (n: number, who: string): string => `${number(n)} hidden by ${who}`,
  hiddenMuted: (n: number): string => `${number(n)} from names you muted`,
  show: "Show",
  hide: "Hide",
  locked: "Moderators of your lists closed this topic.",
} as const;

export const comment = {
  unsigned: "Not signed",
  edited: "edited",
  editedAt: (date: string): string => `Edited ${date}`,
  deleted: "Deleted by its author.",
  muted: "From a name that you muted.",
  hiddenBy: (who: string): string => `Hidden by ${who}.`,
  pinned: "pinned",
  onOne: "on one server",
  to: (name: string): string => `to ${name}`,
  answers: (name: string): string => `answers ${name}`,
  missing: "Answers a comment that is not here.",
  up: "Vote up",
  down: "Vote down",
  score: (up: number, down: number): string => `${up} up, ${down} down`,
  reply: "Reply",
  more: "More",
  fresh: "New.",
  expand: (n: number): string => (n === 0 ? "Expand" : `Show ${plural(n, "reply", "replies")}`),
  undated: "undated",
  going: "Deleted in a moment, and then gone for good.",
  undo: "Undo",
  key: (key: string): string => `Key ${key}`,
} as const;

translate({ page, thread, comment });
