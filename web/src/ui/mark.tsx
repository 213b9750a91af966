// The mark of a key: 5x5, mirrored. Its shape is 15 bits of the key, its colour three; the shape carries identity.

import type { VNode } from "preact";

/** The path of the filled cells and one of 8 hues. key: 64 hex digits. */
export function markOf(key: string): { readonly path: string; readonly hue: number } {
  const bits = Number.parseInt(key.slice(0, 4), 16);
  let path = "";
  for (let x = 0; x < 3; x++) {
    for (let y = 0; y < 5; y++) {
      if (((bits >> (x * 5 + y)) & 1) === 0) continue;
      path += `M${x} ${y}h1v1h-1z`;
      if (x < 2) path += `M${4 - x} ${y}h1v1h-1z`;
    }
  }
  // Of 32,768 shapes one is empty.
  return { path: path || "M2 2h1v1h-1z", hue: Number.parseInt(key.slice(4, 6), 16) % 8 };
}

export function mark(keyHex: string | undefined): VNode {
  if (keyHex === undefined) return <span class="mark none" aria-hidden="true" />;
  const { path, hue } = markOf(keyHex);
  return (
    <svg class={`mark hue${hue}`} viewBox="0 0 5 5" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

/** The first 12 digits, as the command line prints them. */
export function shortKey(key: string): string {
  return key.slice(0, 12);
}
