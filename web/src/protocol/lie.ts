// What a server gave that cannot be what was asked for. It is no fault of this program: the page leaves that server
// alone and asks another one.

/** Bytes from elsewhere that are not what they were asked for. */
export class Lie extends Error {
  override readonly name = "Lie";
}

/** What is asked of bytes from elsewhere. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Lie(`not as it must be: ${what}`);
}
