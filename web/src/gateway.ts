// A path gateway of IPFS gives every page that anybody made at one origin: each of them can read what another one keeps
// there. So this page keeps nothing at such an address, and nobody writes there.

/** Whether this page is at such an address. */
export const shared = /^\/ip[fn]s\//.test((globalThis as { location?: Location }).location?.pathname ?? "");
