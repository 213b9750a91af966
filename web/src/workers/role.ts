// Which worker runs this code: a file may be several, and the page besides.

const scope = globalThis as { readonly document?: unknown; readonly name?: string };

/** What startWorker called it; empty where there is a page, whose name may be anybody's choice. */
export const role = "document" in scope ? "" : (scope.name ?? "");
