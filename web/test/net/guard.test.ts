import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isMixed, isPrivatePage, isPublic, mayDial, networkOf, parse6, parseAddress } from "../../src/net/guard.ts";
import { sessionAt } from "../../src/net/webtransport.ts";

// The table of the server's own guard: what the two say must be the same.
const table = readFileSync(new URL("../../../guard_test.go", import.meta.url), "utf8");
const rows = [...table.matchAll(/^\t\t\{"([0-9a-f:.]+)", (true|false), (?:true|false)\}/gm)].map(([, addr = "", isOpen]) => [addr, isOpen === "true"] as const);

describe("addresses", () => {
  test("are judged as the server judges them", () => {
    expect(rows.length).toBeGreaterThan(50);
    for (const [text, open] of rows) {
      const address = text.includes(":") ? parse6(text) : parseAddress(text);
      expect(address, text).toBeDefined();
      expect(isPublic(address ?? []), text).toBe(open);
    }
  });

  test.each([
    ["::", new Array(16).fill(0)],
    ["1::", [0, 1, ...new Array(14).fill(0)]],
    ["::1", [...new Array(15).fill(0), 1]],
    ["1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
    ["::ffff:1.2.3.4", [...new Array(10).fill(0), 0xff, 0xff, 1, 2, 3, 4]],
    ["64:ff9b::1.2.3.4", [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]],
  ])("%s", (text, bytes) => expect(parse6(text)).toEqual(bytes));

  test.each(["", ":", "1:2", "1:2:3:4:5:6:7:8:9", "::1::", "12345::", "g::", "::1.2.3", "::1.2.3.256", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0"])("%s is none", (text) =>
    expect(parse6(text)).toBeUndefined(),
  );
});

describe("origins that strangers name", () => {
  test.each([
    ["http://1.1.1.1:4080", true],
    ["http://[2606:4700:4700::1111]:4080", true],
    ["https://example.org", true],
    ["wss://tracker.example.org/announce", true],
    ["http://127.0.0.1:4080", false],
    ["http://0x7f000001:80", false],
    ["http://2130706433", false],
    ["http://127.1", false],
    ["http://[::ffff:127.0.0.1]:4080", false],
    ["http://[::ffff:7f00:1]:4080", false],
    ["http://192.168.1.1", false],
    ["http://[fd00::1]", false],
    ["http://example.org", false],
    ["ws://tracker.example.org", false],
    ["https://localhost", false],
    ["https://router", false],
    ["https://router.local", false],
    ["https://nas.home.arpa", false],
    ["https://10.0.0.1", false],
  ])("%s: %s", (url, may) => expect(mayDial(new URL(url))).toBe(may));
});

test("what strangers name is not dialled by WebTransport either", () => {
  const page = new URL("https://comntr.github.io/page/");
  for (const [text, open] of rows) {
    const origin = `http://${text.includes(":") ? `[${text}]` : text}:4080`;
    expect(sessionAt(page, origin, 4084, undefined) !== undefined, text).toBe(open);
    expect(sessionAt(page, origin, 4084, origin), text).toBeDefined();
  }
});

test.each([
  ["https://comntr.github.io/page/", "http://1.1.1.1:4080", true],
  ["https://comntr.github.io/page/", "ws://1.1.1.1:4080/announce", true],
  ["https://comntr.github.io/page/", "https://1.1.1.1:4080", false],
  ["https://comntr.github.io/page/", "http://127.0.0.1:4080", false],
  ["https://comntr.github.io/page/", "http://[::1]:4080", false],
  ["https://comntr.github.io/page/", "http://localhost:4080", false],
  ["http://1.1.1.1:4080/", "http://2.2.2.2:4080", false],
])("from %s to %s is mixed: %s", (page, to, mixed) => expect(isMixed(new URL(page), new URL(to))).toBe(mixed));

test.each([
  ["http://192.168.1.2:4080/", true],
  ["http://localhost:4080/", true],
  ["http://server.local/", true],
  ["http://1.1.1.1:4080/", false],
  ["https://comntr.github.io/", false],
  ["file:///home/alice/index.html", false],
])("the page %s is private: %s", (page, is) => expect(isPrivatePage(new URL(page))).toBe(is));

test.each([
  ["1.2.3.4", "1.2"],
  ["1.2.200.4", "1.2"],
  ["[2606:4700:4700::1111]", "38.6.71.0"],
  ["[::ffff:1.2.3.4]", "1.2"],
  ["example.org", "example.org"],
  ["127.0.0.1", "127.0.0.1"],
])("%s is of the network %s", (host, network) => expect(networkOf(host)).toBe(network));
