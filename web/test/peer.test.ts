import { describe, expect, test } from "vitest";
import { dialable } from "../src/workers/multiaddrs.ts";
import { findNodes, maxAddresses, maxAnswer, maxProviders, readProviders } from "../src/workers/routers.ts";
import { maxFolders, maxNamed, maxSite, readSite } from "../src/workers/site.ts";

const id = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
const hash = "uEiAkH5a4DPGKURuT27hqrSlTHRCyLi0gWBLK0ryEFRMiZg";
const https = new URL("https://comments.example.org/");
const home = new URL("http://127.0.0.1:4080/");

describe("addresses of nodes", () => {
  test.each([
    ["a WebSocket by TLS", "/dns4/node.example.com/tcp/443/wss", true],
    ["the same, spelt out", "/dns4/node.example.com/tcp/443/tls/ws", true],
    ["with its name", "/ip4/8.8.8.8/tcp/443/tls/sni/node.example.com/ws", true],
    ["WebTransport at an address", `/ip4/8.8.8.8/udp/4081/quic-v1/webtransport/certhash/${hash}`, true],
    ["of version 6", `/ip6/2606:4700::1111/udp/4081/quic-v1/webtransport/certhash/${hash}/certhash/${hash}`, true],
    ["WebTransport without a hash", "/ip4/8.8.8.8/udp/4081/quic-v1/webtransport", false],
    ["a WebSocket in plain", "/ip4/8.8.8.8/tcp/4082/ws", false],
    ["TCP", "/ip4/8.8.8.8/tcp/4081", false],
    ["QUIC", "/ip4/8.8.8.8/udp/4081/quic-v1", false],
    ["WebRTC, which workers lack", `/ip4/8.8.8.8/udp/4081/webrtc-direct/certhash/${hash}`, false],
    ["a name to look up elsewhere", "/dnsaddr/bootstrap.example.com", false],
    ["a relay", `/dns4/node.example.com/tcp/443/wss/p2p/${id}/p2p-circuit`, false],
    ["a private address", `/ip4/192.168.1.1/udp/4081/quic-v1/webtransport/certhash/${hash}`, false],
    ["this machine", "/ip4/127.0.0.1/tcp/4082/ws", false],
    ["a name at home", "/dns4/router.local/tcp/443/wss", false],
    ["nonsense", "/ip4/8.8.8.8/tcp", false],
    ["more than any", `/dns4/${"a".repeat(500)}.example.com/tcp/443/wss`, false],
  ])("%s, named by a stranger", (_, address, isTaken) => {
    expect(dialable(`${address}/p2p/${id}`, https, false)?.peer).toBe(isTaken ? id : undefined);
  });

  test("a node without an identity is nobody", () => expect(dialable("/dns4/node.example.com/tcp/443/wss", https, true)).toBeUndefined());

  test("what the site names may be private, but not mixed", () => {
    const at = `/ip4/192.168.1.1/tcp/4082/ws/p2p/${id}`;
    expect(dialable(at, home, true)?.peer).toBe(id);
    expect(dialable(at.replace("/ws/", "/wss/"), https, true)?.peer).toBe(id);
    expect(dialable(at, https, true)).toBeUndefined();
  });

  test("a page at home has neighbours", () => expect(dialable(`/ip4/127.0.0.1/tcp/4082/ws/p2p/${id}`, home, false)?.peer).toBe(id));
});

describe("a router's answer", () => {
  const provider = (addresses: readonly unknown[], ID: unknown = id): unknown => ({ Schema: "peer", ID, Addrs: addresses });
  const read = (...providers: readonly unknown[]): string[] => readProviders(JSON.stringify({ Providers: providers }));

  test("names nodes, with or without their ids in the addresses", () => {
    expect(read(provider(["/ip4/8.8.8.8/tcp/1/ws", `/ip4/8.8.8.8/tcp/2/ws/p2p/${id}`]))).toEqual([`/ip4/8.8.8.8/tcp/1/ws/p2p/${id}`, `/ip4/8.8.8.8/tcp/2/ws/p2p/${id}`]);
  });

  test.each(["", "null", "[]", "{}", '{"Providers":null}', '{"Providers":{}}', '{"Providers":[null,1,"a",{}]}'])("of %j names none", (text) => expect(readProviders(text)).toEqual([]));

  test("that is not of the form counts as far as it is", () => expect(read(provider([1, null, "/a"]), provider(["/b"], 7), provider("/c" as never)).length).toBe(1));

  test("counts up to its bounds", () => {
    const all = Array.from({ length: maxProviders + 5 }, () => provider(Array.from({ length: maxAddresses + 5 }, () => "/a")));
    expect(read(...all).length).toBe(maxProviders * maxAddresses);
  });

  test("is asked for by the folder's id, of nobody else", async () => {
    const asked: string[] = [];
    const fetch = async (url: string, { redirect, credentials }: RequestInit): Promise<Response> => {
      asked.push(`${url} ${redirect} ${credentials}`);
      return Response.json({ Providers: [provider(["/a"])] });
    };
    expect(await findNodes("https://router.example.org", "QmA", fetch, new AbortController().signal)).toEqual([`/a/p2p/${id}`]);
    expect(asked).toEqual(["https://router.example.org/routing/v1/providers/QmA error omit"]);
  });

  test("is cut off where it is too long, and none where it is a refusal", async () => {
    const signal = new AbortController().signal;
    await expect(findNodes("https://r", "QmA", async () => new Response("x".repeat(maxAnswer + 1)), signal)).rejects.toThrow(/more than/);
    expect(await findNodes("https://r", "QmA", async () => new Response("no", { status: 404 }), signal)).toEqual([]);
  });
});

describe("what config.json says of IPFS", () => {
  const topic = `${"a".repeat(40)}/${"b".repeat(40)}`;

  test("is taken as far as it is of the form", () => {
    const site = readSite(JSON.stringify({
      routers: ["https://router.example.org/", "http://127.0.0.1:8190", "ftp://a", "https://a/?b", 7], gateways: ["https://gateway.example.org//"], nodes: ["/a", 1],
      folders: { [topic]: "QmA", "a/b": "QmB", [topic.replaceAll("a", "c")]: 7 },
    }));
    expect(site).toEqual({ routers: ["https://router.example.org", "http://127.0.0.1:8190"], gateways: ["https://gateway.example.org"], nodes: ["/a"], folders: new Map([[topic, "QmA"]]) });
  });

  test.each(["", "null", "7", "[]", '{"routers":{},"folders":null}', `{"nodes":["/a"],"x":"${"x".repeat(maxSite)}"}`])("names nobody: %.40j", (text) => {
    expect(readSite(text)).toEqual({ routers: [], gateways: [], nodes: [], folders: new Map() });
  });

  test("is bounded", () => {
    const many = Array.from({ length: maxNamed + 3 }, (_, i) => `https://r${i}.example.org`);
    const folders = Object.fromEntries(Array.from({ length: maxFolders + 3 }, (_, i) => [`${String(i).padStart(40, "0")}/${"b".repeat(40)}`, "Q"]));
    const small = readSite(JSON.stringify({ routers: many, gateways: many, nodes: many, folders }));
    expect([small.routers, small.gateways, small.nodes].map(({ length }) => length)).toEqual([maxNamed, maxNamed, maxNamed]);
    expect(small.folders.size).toBe(maxFolders);
  });
});
