// The worker that lexes Markdown. It answers text by text, so that the page knows which one took too long.

import { toTree } from "./tree.ts";
import type { Tree } from "./trees.ts";

export interface MarkdownQuestion {
  readonly n: number;
  readonly text: string;
}
export interface MarkdownAnswer {
  readonly n: number;
  readonly tree: readonly Tree[] | undefined;
}

const scope = globalThis as unknown as {
  postMessage(message: MarkdownAnswer | "ready"): void;
  onmessage: ((event: MessageEvent<readonly MarkdownQuestion[]>) => void) | null;
};

scope.onmessage = ({ data }) => {
  for (const { n, text } of data) scope.postMessage({ n, tree: toTree(text) });
};
scope.postMessage("ready");
