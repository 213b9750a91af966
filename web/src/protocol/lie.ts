// What a server gave that cannot be what was asked for. It is no fault of this program: the page leaves that server
// alone and asks another one.

/** Bytes from elsewhere that are not what they were asked for. */
export class Lie extends Error {
  override readonly name = "Lie";
}
