// Long work gives way to the page.

// A frame has 16 ms, of which the page needs some.
const sliceMillis = 8;

/** Called again and again in long work, it gives way to the page when a slice of so many milliseconds is used up. */
export function pacer(slice = sliceMillis): () => Promise<void> | undefined {
  let began = performance.now();
  return () => {
    if (performance.now() - began < slice) return undefined;
    return new Promise((resolve) => {
      // Timers wait 4 ms at least when they follow one another; messages do not.
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        began = performance.now();
        resolve();
      };
      port2.postMessage(undefined);
    });
  };
}
