// Names that are URLs: SPEC.md, "Names that are URLs". All who mean one page must hash one name, so every byte of
// the result is decided here, and the browser's URL parser is asked for nothing but the ToASCII form of a host.

import { toHex, urlOf, utf8 } from "./bytes.ts";

const maxPort = 65535;

// Parameters that tell who sent the reader, not what he reads.
const tracking = new Set(
  ("__hsfp __hssc __hstc _ga _gl _hsenc _hsmi _openstat dclid epik fbclid gbraid gclid gclsrc hsctatracking igsh " +
    "igshid li_fat_id mc_cid mc_eid mkt_tok msclkid oly_anon_id oly_enc_id rb_clickid ref_src ref_url ttclid twclid " +
    "vero_conv vero_id wbraid wt_mc yclid ysclid").split(" "),
);

/** The name to use for what a person typed or for the address of a page. What is no URL stays as it is. */
export function cleanName(name: string): string {
  const scheme = /^https?:\/\//i.exec(name)?.[0].toLowerCase();
  // With the flag u the last two match a surrogate only where it stands alone, which UTF-8 cannot say.
  if (scheme === undefined || /[\0-\x20\x7f\\\ud800-\udfff]/u.test(name)) return name;
  const [, authority = "", path = "", query] =
    /^([^/?]*)([^?]*)(?:\?(.*))?$/s.exec(name.slice(scheme.length).replace(/#.*$/s, "")) ?? [];
  const cleaned = cleanAuthority(authority, scheme === "http://" ? 80 : 443);
  if (cleaned === undefined) return name;
  return scheme + cleaned + cleanPath(path) + cleanQuery(query ?? "");
}

function cleanAuthority(authority: string, defaultPort: number): string | undefined {
  const [, host, port = ""] = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/.exec(authority) ?? [];
  if (host === undefined) return undefined;
  const cleaned = cleanHost(host);
  const number = Number(port);
  if (cleaned === undefined || number > maxPort) return undefined;
  return port === "" || number === defaultPort ? cleaned : `${cleaned}:${number}`;
}

function cleanHost(host: string): string | undefined {
  const lower = host.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  if (/^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)$/.test(lower)) return lower;
  // The rest must have letters beyond ASCII, and in ASCII nothing that the URL parser would read in a way of its own.
  // Versions of UTS 46 map a few letters differently: the capital sharp s, and the letterlike Hebrew ones.
  if (!/^[a-z0-9._\u0080-\u{10ffff}-]+$/u.test(lower) || lower.includes("xn--") || /[\u1e9e\u2135-\u2138]/.test(lower)) return undefined;
  const ascii = urlOf(`http://${lower}/`)?.hostname ?? "";
  // A host whose last label begins with a digit may be an IPv4 address to a browser.
  return /^[a-z0-9._-]+$/.test(ascii) && !/(^|\.)[0-9][^.]*\.*$/.test(ascii) ? ascii : undefined;
}

/** Each byte in its one spelling: in clear, as it stood, or as %XX. */
function escape(text: string): string {
  let clean = "";
  const bytes = utf8(text);
  for (let i = 0; i < bytes.length; i++) {
    const escaped = bytes[i] === 0x25 ? /^[0-9a-f]{2}$/i.exec(String.fromCharCode(...bytes.subarray(i + 1, i + 3))) : null;
    const byte = escaped === null ? (bytes[i] as number) : Number.parseInt(escaped[0], 16);
    if (escaped !== null) i += 2;
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9._~-]/.test(char) || (escaped === null && "!$&()*+,;=:@/?".includes(char));
    clean += plain ? char : "%" + toHex(Uint8Array.of(byte)).toUpperCase();
  }
  return clean;
}

/** RFC 3986, 5.2.4 for a path that is empty or begins with a slash; then without slashes at its end. */
function cleanPath(path: string): string {
  const kept: string[] = [];
  const segments = escape(path).split("/").slice(1);
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    else if (last) kept.push("");
  });
  return kept.map((segment) => "/" + segment).join("").replace(/\/+$/, "");
}

function cleanQuery(query: string): string {
  const nameOf = (parameter: string): string => parameter.split("=", 1)[0] as string;
  const kept = escape(query)
    .split("&")
    .filter((parameter) => {
      const name = nameOf(parameter).toLowerCase();
      return parameter !== "" && !name.startsWith("utm_") && !tracking.has(name);
    })
    // Array.sort is stable, so those of one name keep their order.
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
  return kept.length === 0 ? "" : "?" + kept.join("&");
}
