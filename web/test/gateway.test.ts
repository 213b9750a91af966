// Where a page on a path gateway has an origin of its own.

import { expect, test } from "vitest";
import { ownAddress } from "../src/ui/shared.tsx";

const v1 = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

test.each([
  ["a name", `https://gateway.example/ipfs/${v1}/`, `https://${v1}.ipfs.gateway.example/`],
  ["a folder in it", `https://gateway.example:8443/ipfs/${v1}/some/where/`, `https://${v1}.ipfs.gateway.example:8443/some/where/`],
  ["this machine", `http://127.0.0.1:8080/ipfs/${v1}/`, `http://${v1}.ipfs.localhost:8080/`],
  ["this machine, IPv6", `http://[::1]:8080/ipfs/${v1}/`, `http://${v1}.ipfs.localhost:8080/`],
  ["version 0", "http://localhost:8080/ipfs/QmPmG7jMA6DBeAnU2PQa7kFLRSsStqUui4fsUS8ozDR6Gc/", "http://bafybeiavfguvtg5asmmqcot6wpx43nn2euo345dhfaewuxzdow3chcjolu.ipfs.localhost:8080/"],
  ["a gateway whose subdomains are elsewhere", `https://ipfs.io/ipfs/${v1}/`, `https://${v1}.ipfs.dweb.link/`],
  ["a DNSLink", "https://gateway.example/ipns/en.some-page.org/", "https://en-some--page-org.ipns.gateway.example/"],
  ["an address", `http://192.0.2.7:8080/ipfs/${v1}/`, undefined],
  ["an IPv6 address", `http://[2001:db8::7]:8080/ipfs/${v1}/`, undefined],
  ["no CID", "https://gateway.example/ipfs/x/", undefined],
  ["a name that is none", "https://gateway.example/ipns/a@b/", undefined],
  ["no path gateway", `https://${v1}.ipfs.gateway.example/`, undefined],
])("%s", (_, page, own) => {
  expect(ownAddress(new URL(page))).toBe(own);
});
