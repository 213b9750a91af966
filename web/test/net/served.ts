// Real servers for the tests, and a proxy that does to their answers what a bad server or a bad line would do.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getHello, postDocument } from "../../src/protocol/client.ts";
import { type Hash, hashOf, hashOfName, type Place } from "../../src/protocol/hash.ts";

export const community = hashOfName("reddit");

const direct = (url: string, init: RequestInit): Promise<Response> => fetch(url, init);
const minute = (): AbortSignal => AbortSignal.timeout(60_000);

/** The server's program: the one that COMNTR_BIN names, else built from here, once for all tests of a file. */
let program: string | undefined = process.env["COMNTR_BIN"];

export function build(): void {
  if (program !== undefined && existsSync(program)) return;
  const folder = mkdtempSync(join(tmpdir(), "comntr-bin-"));
  program = join(folder, "comntr");
  execFileSync("go", ["build", "-o", program, "./cmd/comntr"], { cwd: join(import.meta.dirname, "../../.."), stdio: "inherit" });
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
}

export interface Served {
  readonly origin: string;
  readonly key: string;
  post(place: Place, bytes: Uint8Array): Promise<Hash>;
  stop(): Promise<void>;
}

/** A data folder with comments, as somebody might have copied them there: a server adopts what it finds. */
export function prepare(place: Place, bodies: Iterable<Uint8Array>): string {
  const data = mkdtempSync(join(tmpdir(), "comntr-net-"));
  const folder = join(data, place.community, place.topic);
  mkdirSync(folder, { recursive: true });
  for (const body of bodies) writeFileSync(join(folder, createHash("sha1").update(body).digest("hex")), body);
  return data;
}

/** Starts a server that knows no other one. */
export async function serve(...flags: readonly string[]): Promise<Served> {
  return serveFolder(mkdtempSync(join(tmpdir(), "comntr-net-")), ...flags);
}

/** The same on a folder, which goes with it. */
export async function serveFolder(data: string, ...flags: readonly string[]): Promise<Served> {
  const all = ["--data", data, "--listen", "127.0.0.1:0", "--dht-listen", "127.0.0.1:0", "--dht-bootstrap", "none", "--ipfs-bootstrap", "none", "--tracker", "none", "--stun", "none"];
  const child = spawn(program as string, ["serve", ...all, "--ipfs-listen", "none", "--rtc-listen", "none", "--webtransport-listen", "none", "--allow-private", "--rate", "0", ...flags], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  process.once("exit", () => child.kill("SIGKILL")); // also where a test stops before its end
  const origin = await originOf(child);
  const server = { origin, fetch: direct };
  const { key } = await getHello(server, true, minute());
  return {
    origin,
    key,
    async post(place, bytes) {
      await postDocument(server, place, bytes, minute());
      return hashOf(bytes);
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      rmSync(data, { recursive: true, force: true });
    },
  };
}

async function originOf(child: ChildProcess): Promise<string> {
  let said = "";
  for await (const part of child.stdout ?? []) {
    said += String(part);
    const origin = /http=(http:\S+)/.exec(said)?.[1];
    if (origin === undefined) continue;
    child.stdout?.resume();
    return origin;
  }
  throw new Error(`the server did not start: ${said}`);
}

/** What a proxy does with a request: "pass" it on, or answer it itself. */
export type Rule = (request: { readonly method: string; readonly path: string; readonly accept: string; readonly headers: IncomingMessage["headers"]; readonly body: string }) => Act | undefined;

export interface Act {
  /** Waits before anything goes on. */
  readonly wait?: Promise<unknown>;
  /** Answers this instead. */
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
  /** Changes the answer's body; undefined breaks the connection there. */
  readonly change?: (part: Buffer, at: number) => Buffer | undefined;
  /** After so many bytes of the answer it waits. */
  readonly hold?: { readonly after: number; readonly until: Promise<unknown> };
  /** Answers as it likes. */
  readonly take?: (answer: ServerResponse) => void;
}

export interface Proxy {
  readonly origin: string;
  readonly asked: { readonly method: string; readonly path: string; readonly accept: string; readonly ifNoneMatch: string | undefined; readonly lastEventId: string | undefined; readonly body: string }[];
  /** Replaces the rule. */
  rule: Rule;
  /** Ends all connections that are open. */
  cut(): void;
  stop(): Promise<void>;
}

export async function proxy(to: string, rule: Rule = () => undefined): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const http: Server = createServer((from, answer) => {
    const parts: Buffer[] = [];
    from.on("data", (part: Buffer) => parts.push(part));
    from.on("end", () => void handle(from, answer, Buffer.concat(parts)));
  });
  http.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  const made: Proxy = {
    origin: "",
    asked: [],
    rule,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      made.cut();
      await new Promise((resolve) => http.close(resolve));
    },
  };

  async function handle(from: IncomingMessage, answer: ServerResponse, body: Buffer): Promise<void> {
    const { method = "", url = "", headers } = from;
    const accept = headers.accept ?? "";
    const lastEventId = headers["last-event-id"];
    made.asked.push({ method, path: url, accept, ifNoneMatch: headers["if-none-match"], lastEventId: lastEventId as string | undefined, body: body.toString() });
    const act = made.rule({ method, path: url, accept, headers, body: body.toString() }) ?? {};
    await act.wait;
    if (act.status !== undefined) {
      answer.writeHead(act.status, act.headers).end(act.body ?? "");
      return;
    }
    // Uncompressed, so that a rule knows which bytes it changes.
    if (act.take !== undefined) return act.take(answer);
    const { host: _, connection: __, "accept-encoding": ___, ...rest } = headers;
    const onward = request(new URL(url, to), { method, headers: rest, agent: false });
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    onward.on("response", (response) => {
      const { "content-length": length, connection: ____, ...others } = response.headers;
      answer.writeHead(response.statusCode ?? 500, act.change === undefined && length !== undefined ? { ...others, "content-length": length } : others);
      answer.flushHeaders();
      void pass(response, answer, act);
    });
    onward.end(body);
  }

  /** Part by part, so that an answer that comes in one does not end before its hold does. */
  async function pass(response: IncomingMessage, answer: ServerResponse, { change, hold }: Act): Promise<void> {
    let at = 0;
    try {
      for await (const part of response as AsyncIterable<Buffer>) {
        const sent = change === undefined ? part : change(part, at);
        if (sent === undefined) throw new Error("broken here");
        const now = hold === undefined ? sent.length : hold.after - at;
        at += part.length;
        if (hold === undefined || now < 0 || now >= part.length) answer.write(sent);
        else {
          answer.write(sent.subarray(0, now));
          await hold.until;
          answer.write(sent.subarray(now));
        }
      }
      answer.end();
    } catch {
      answer.destroy();
    }
  }

  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return Object.assign(made, { origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}` });
}
