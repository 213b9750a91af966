// Which requests are for the page's own files: index, config.json, and what lies in a folder that is named by a hash.
// All else that is asked for below the page's address, as a server's folders and comments are, is nobody's business here.

export type Own = "index" | "config" | "script";

/** What a request within scope, which ends with a slash, is for. */
export function ownFile(scope: string, { method, mode, url }: Pick<Request, "method" | "mode" | "url">): Own | undefined {
  const [address = ""] = url.split(/[?#]/);
  if (method !== "GET" || !address.startsWith(scope)) return undefined;
  const name = address.slice(scope.length);
  // A server's "/" is the page for who goes there, and a folder for who asks for one.
  if (name === "" || name === "index.html") return mode === "navigate" ? "index" : undefined;
  if (name === "config.json") return "config";
  // To the letter: it is kept as it was asked for, and anybody may lead here with as many queries as he likes.
  return /^[0-9a-f]{12}\/[a-z-]+\.[a-z]+$/.test(url.slice(scope.length)) ? "script" : undefined;
}
