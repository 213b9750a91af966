// Whether a page reads from other readers' pages and gives to them, as the reader chose.

export const sharings = ["auto", "always", "never"] as const;
export type Sharing = (typeof sharings)[number];

/** With fewer servers than that, pages give. */
export const few = 2;

/** servers: how many answer. isDear: the reader pays for what is sent, or asked for little of it. */
export function decide(how: Sharing, servers: number, isDear: boolean): { readonly asks: boolean; readonly gives: boolean } {
  return { asks: how !== "never" && servers === 0, gives: how === "always" || (how === "auto" && servers < few && !isDear) };
}
