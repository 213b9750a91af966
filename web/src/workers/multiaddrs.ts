// Addresses of IPFS nodes, as a browser can dial them: by WebSocket, and by WebTransport with pinned certificates. What
// needs a name looked up elsewhere (dnsaddr), a relay, or an API that workers lack (WebRTC) is left out.

import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { urlOf } from "../protocol/bytes.ts";
import { isMixed, isPrivatePage, mayDial } from "../net/guard.ts";

/** A longer one is nobody's. */
const maxMultiaddr = 512;

const hosts = new Set(["ip4", "ip6", "dns", "dns4", "dns6"]);
const ways: readonly { readonly path: RegExp; readonly secure: boolean }[] = [
  { path: /^tcp ws$/, secure: false },
  { path: /^tcp (wss|tls( sni)? ws)$/, secure: true },
  { path: /^udp quic-v1 webtransport( certhash)+$/, secure: true },
];

/**
 * A node's address, if this page may dial it. named: the site named it; what strangers name is held to the rule for
 * their servers.
 */
export function dialable(text: string, page: URL, named: boolean): { readonly peer: string; readonly address: Multiaddr } | undefined {
  if (text.length > maxMultiaddr) return undefined;
  try {
    const address = multiaddr(text);
    const parts = address.getComponents();
    const [host, last] = [parts[0], parts[parts.length - 1]];
    const way = ways.find(({ path }) => path.test(parts.slice(1, -1).map(({ name }) => name).join(" ")));
    if (host?.value === undefined || last?.value === undefined || last.name !== "p2p" || !hosts.has(host.name) || way === undefined) return undefined;
    const url = urlOf(`${way.secure ? "https" : "http"}://${host.name === "ip6" ? `[${host.value}]` : host.value}`);
    if (url === undefined || isMixed(page, url) || !(named || isPrivatePage(page) || mayDial(url))) return undefined;
    return { peer: last.value, address };
  } catch {
    return undefined;
  }
}
