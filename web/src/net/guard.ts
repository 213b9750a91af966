// Which addresses may be dialled: SPEC.md, section 6. Without it anybody who names servers could make a reader's
// browser send requests into the reader's own network. The twin of guard.go, with vectors of its own in its test.

import { urlOf } from "../protocol/bytes.ts";

/** An address as its 4 or 16 bytes. */
export type Address = readonly number[];

/** The address that a URL's hostname is, as URL writes it: IPv6 in brackets. Undefined for a name. */
export function parseAddress(hostname: string): Address | undefined {
  return hostname.startsWith("[") ? parse6(hostname.slice(1, -1)) : parse4(hostname);
}

function parse4(text: string): Address | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

/** IPv6 as text, in any of its forms but with a zone. */
export function parse6(text: string): Address | undefined {
  // A URL has each in one form, without IPv4 at its end.
  const url = /^[0-9a-f:.]+$/i.test(text) ? urlOf(`http://[${text}]`) : undefined;
  if (url === undefined) return undefined;
  const groups = (half: string): number[] => half.split(":").flatMap((group) => (group === "" ? [] : [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
  const [head = [], rest = []] = url.hostname.slice(1, -1).split("::").map(groups);
  return [...head, ...new Array<number>(16 - head.length - rest.length).fill(0), ...rest];
}

type Range = readonly [prefix: Address, bits: number];

/** Of the IANA special-purpose registries (RFC 6890 and its updates): reached by nobody over the public internet. */
const notPublic: readonly Range[] = [
  [[0], 8], // this network
  [[10], 8], // private
  [[100, 64], 10], // shared by a carrier's customers
  [[127], 8], // loopback
  [[169, 254], 16], // link-local
  [[172, 16], 12], // private
  [[192, 0, 0], 24], // protocol assignments
  [[192, 0, 2], 24], // documentation
  [[192, 88, 99], 24], // 6to4 relays
  [[192, 168], 16], // private
  [[198, 18], 15], // benchmarks
  [[198, 51, 100], 24], // documentation
  [[203, 0, 113], 24], // documentation
  [[224], 4], // multicast
  [[240], 4], // reserved, broadcast
];
const notPublic6: readonly Range[] = [
  [[0x20, 0x01, 0x00], 23], // protocol assignments, Teredo
  [[0x20, 0x01, 0x0d, 0xb8], 32], // documentation
  [[0x20, 0x02], 16], // 6to4: an IPv4 address inside
  [[0x3f, 0xff], 20], // documentation
];
const globalUnicast: Range = [[0x20], 3];
const mapped: Range = [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 96];
const nat64: Range = [[0, 0x64, 0xff, 0x9b], 96];

function contains([prefix, bits]: Range, address: Address): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : (0xff << (8 - (bits - bit))) & 0xff;
    if (((address[bit >> 3] as number) & mask) !== (prefix[bit >> 3] ?? 0)) return false;
  }
  return true;
}

/** What an address leads to: of an IPv6 address with an IPv4 one inside, that one. */
function target(address: Address): Address {
  return address.length === 16 && (contains(mapped, address) || contains(nat64, address)) ? address.slice(12) : address;
}

/** Whether an address is one of the public internet. */
export function isPublic(address: Address): boolean {
  const at = target(address);
  if (at.length === 4) return !notPublic.some((range) => contains(range, at));
  return contains(globalUnicast, at) && !notPublic6.some((range) => contains(range, at));
}

/** Whether a host is this machine, which a browser lets a page on https ask in plain. */
function isLoopback(hostname: string): boolean {
  const address = parseAddress(hostname);
  if (address === undefined) return hostname === "localhost" || hostname.endsWith(".localhost");
  return address.length === 4 ? address[0] === 127 : address.every((byte, i) => byte === (i === 15 ? 1 : 0));
}

/** A name that no one on the internet can have. Others can still lead anywhere: see mayDial. */
function isLocalName(hostname: string): boolean {
  return !hostname.includes(".") || /\.(local|localhost|internal|lan|home|arpa|test|invalid|onion)\.?$/.test(hostname);
}

/** Whether a page stands in a private network itself, so that servers there are its neighbours. */
export function isPrivatePage(page: URL | undefined): boolean {
  // A page from a file stands nowhere.
  if (page === undefined || page.hostname === "") return false;
  const address = parseAddress(page.hostname);
  return address === undefined ? isLocalName(page.hostname) : !isPublic(address);
}

/**
 * Whether an origin that a stranger named may be dialled. A page cannot see what a name resolves to; by https nothing
 * but the name's own server answers, and nothing is sent to another. So names are taken with https alone.
 */
export function mayDial(origin: URL): boolean {
  const address = parseAddress(origin.hostname);
  if (address !== undefined) return isPublic(address);
  return (origin.protocol === "https:" || origin.protocol === "wss:") && !isLocalName(origin.hostname);
}

/** Whether a browser lets a page ask there at all: a page on https nothing that is not, but for this very machine. */
export function isMixed(page: URL | undefined, origin: URL): boolean {
  return page?.protocol === "https:" && (origin.protocol === "http:" || origin.protocol === "ws:") && !isLoopback(origin.hostname);
}

/**
 * The network of a host, of which one server is enough: who rents one address has many in its /16 or /32. In a private
 * network, and of names, each host is one.
 */
export function networkOf(hostname: string): string {
  const address = parseAddress(hostname);
  if (address === undefined || !isPublic(address)) return hostname;
  const at = target(address);
  return at.slice(0, at.length === 4 ? 2 : 4).join(".");
}
