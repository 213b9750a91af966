// Files in one piece of memory: to move many between workers at once, and to keep them in a few records instead of
// thousands. Each is its length in four bytes, big-endian, then its bytes.

export function packFiles(files: readonly Uint8Array[]): ArrayBuffer {
  const size = files.reduce((sum, file) => sum + 4 + file.length, 0);
  const packed = new Uint8Array(size);
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const file of files) {
    view.setUint32(at, file.length);
    packed.set(file, at + 4);
    at += 4 + file.length;
  }
  return packed.buffer;
}

/** The files, as views of the pack. What is cut ends the list: a record that was damaged costs its files alone. */
export function unpackFiles(pack: ArrayBuffer): Uint8Array[] {
  const view = new DataView(pack);
  const files: Uint8Array[] = [];
  for (let at = 0; at + 4 <= pack.byteLength; ) {
    const length = view.getUint32(at);
    at += 4;
    if (at + length > pack.byteLength) break;
    files.push(new Uint8Array(pack, at, length));
    at += length;
  }
  return files;
}
