// Where a visit leaves what it knows of servers.

/** The key in localStorage, which pages of one origin share: so it says whose. */
export const storageKey = "comntr.servers";

/** Whether nothing of an earlier visit is here: no server was found yet. */
export function isFirstVisit(): boolean {
  try {
    return localStorage.getItem(storageKey) === null;
  } catch {
    return true;
  }
}
