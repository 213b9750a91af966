// What stands in the composer's place where nobody writes: gateway.ts says where that is.

import type { VNode } from "preact";
import { cidText } from "../protocol/cid.ts";
import { parseCid } from "../protocol/cidtext.ts";
import { shared as t } from "../strings/en-later.ts";

export function Shared({ link }: { readonly link: string }): VNode {
  const own = ownAddress(new URL(location.href));
  return (
    <p class="state meta">
      {t.text} {own !== undefined && <a href={`${own}${link}`}>{t.own}</a>}
    </p>
  );
}

/** The same page of the same gateway at an origin of its own, as subdomain gateways have it; undefined where there is none. */
export function ownAddress({ protocol, hostname, port, pathname }: Pick<URL, "protocol" | "hostname" | "port" | "pathname">): string | undefined {
  const [, kind, name = "", rest] = /^\/ip([fn])s\/([^/]+)(\/.*)$/.exec(pathname) ?? [];
  // Names of hosts know no upper case, so a CID of version 0 is written as one of version 1; a dot of a DNSLink would be
  // one more level than a gateway's certificate is for.
  const cid = parseCid(name);
  const label = kind === "n" ? name.replaceAll("-", "--").replaceAll(".", "-") : cid === undefined ? "" : cidText({ ...cid, version: 1 });
  // An address has no subdomains, but each machine calls itself localhost.
  const host = /^(127\.0\.0\.1|\[::1\])$/.test(hostname) ? "localhost" : hostname === "ipfs.io" ? "dweb.link" : hostname;
  if (!/^[a-z0-9-]{1,63}$/.test(label) || /^[\d.]+$|^\[/.test(host)) return undefined;
  return `${protocol}//${label}.ip${kind}s.${host}${port === "" ? "" : `:${port}`}${rest}`;
}
