// Files behind a passphrase, in the age format (age-encryption.org/v1, c2sp.org/age) with scrypt, armored: what
// `comntr key export --file` writes and `age -d` opens.

import { concat, equal, fromUTF8, utf8 } from "../protocol/bytes.ts";
import { decrypt, encrypt } from "./chacha.ts";
import { hmac, scrypt } from "./scrypt.ts";

/** 2^17 KiB, 128 MiB, of memory: what a phone can give. */
const workFactor = 17;
/** The command line's own bound; more would only fail later. */
export const maxWorkFactor = 20;
/** What is read of a file: a name's words have 200 bytes. */
export const maxSealed = 65536;

const version = "age-encryption.org/v1";
const armorBegin = "-----BEGIN AGE ENCRYPTED FILE-----";
const armorEnd = "-----END AGE ENCRYPTED FILE-----";

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function unpadded(bytes: Uint8Array): string {
  return base64(bytes).replace(/=+$/, "");
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

function wrapKey(passphrase: string, salt: Uint8Array, factor: number): Uint8Array {
  return scrypt(utf8(passphrase), concat([utf8(`${version}/scrypt`), salt]), factor);
}

/** HKDF (RFC 5869) of one block, which is all that is wanted. */
function derive(fileKey: Uint8Array, salt: Uint8Array, info: string): Uint8Array {
  return hmac(hmac(salt, fileKey), utf8(`${info}\x01`));
}

function headerMac(fileKey: Uint8Array, header: string): Uint8Array {
  return hmac(derive(fileKey, new Uint8Array(0), "header"), utf8(header));
}

function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return derive(fileKey, nonce, "payload");
}

/** For a key that is used once. */
const noNonce = new Uint8Array(12);
/** The nonce of the first chunk, which is the last one, too: what is sealed here is far below 64 KiB. */
const onlyChunk = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export function seal(text: string, passphrase: string, random = (n: number): Uint8Array => crypto.getRandomValues(new Uint8Array(n))): string {
  const [fileKey, salt, nonce] = [random(16), random(16), random(16)];
  const body = encrypt(wrapKey(passphrase, salt, workFactor), noNonce, fileKey);
  const header = `${version}\n-> scrypt ${unpadded(salt)} ${workFactor}\n${unpadded(body)}\n---`;
  const payload = encrypt(payloadKey(fileKey, nonce), onlyChunk, utf8(text));
  const file = concat([utf8(`${header} ${unpadded(headerMac(fileKey, header))}\n`), nonce, payload]);
  const lines = base64(file).match(/.{1,64}/g) ?? [];
  return `${armorBegin}\n${lines.join("\n")}\n${armorEnd}\n`;
}

/** What seal sealed; undefined if the passphrase is another or the file is none of this kind. */
export function unseal(file: Uint8Array, passphrase: string): string | undefined {
  try {
    return open(file, passphrase);
  } catch {
    return undefined;
  }
}

function open(file: Uint8Array, passphrase: string): string | undefined {
  if (file.length > maxSealed) return undefined;
  const text = fromUTF8(file)?.trim();
  const armored = text?.startsWith(armorBegin) === true && text.endsWith(armorEnd);
  const bytes = armored ? fromBase64(text.slice(armorBegin.length, -armorEnd.length).replace(/\s/g, "")) : file;
  // Headers are ASCII; the payload is not.
  const latin = String.fromCharCode(...bytes.subarray(0, 512));
  const found = /^(age-encryption\.org\/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n/.exec(latin);
  if (found === null) return undefined;
  const [all, header = "", salt = "", factor = "", body = "", mac = ""] = found;
  if (Number(factor) > maxWorkFactor) return undefined;
  const fileKey = decrypt(wrapKey(passphrase, fromBase64(salt), Number(factor)), noNonce, fromBase64(body));
  if (fileKey === undefined || !equal(headerMac(fileKey, header), fromBase64(mac))) return undefined;
  const rest = bytes.subarray(all.length);
  const opened = decrypt(payloadKey(fileKey, rest.subarray(0, 16)), onlyChunk, rest.subarray(16));
  return opened === undefined ? undefined : fromUTF8(opened);
}
