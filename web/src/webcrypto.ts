// Ed25519 by WebCrypto, for the program's batches. The request is a frame of key (32 bytes), signature (64 bytes), message for every
// check; the answer has one byte for each: 0 does not hold, 1 holds, 2 undecided (the program checks that one itself).

import { KnownSenderError } from "./errors.js";
import { decodeFrame } from "./frame.js";
import { nextTask } from "./task.js";

const doesNotHold = 0;
const holds = 1;
export const undecided = 2;

/**
 * Checks under way at a time: enough to keep a thread pool busy; few enough that a browser which checks on the calling thread (Chromium does, at
 * some 75 microseconds each) lets the page go on between two parts.
 */
const atOnce = 256;

/** The platform's WebCrypto. Throws `webcrypto_unsupported` where there is none: insecure origins. */
export function subtleCrypto(): SubtleCrypto {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (subtle === undefined) throw new KnownSenderError("webcrypto_unsupported", "There is no WebCrypto here.");
  return subtle;
}

/** Answers for every check. Rejects with `webcrypto_unsupported` where the platform has no Ed25519, or no WebCrypto. */
export async function verifySignatures(request: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const subtle = subtleCrypto();
  const items = decodeFrame(request) as Uint8Array<ArrayBuffer>[]; // views into request
  const answers = new Uint8Array(Math.floor(items.length / 3)).fill(undecided);
  for (let from = 0; from < answers.length; from += atOnce) {
    if (from > 0) await nextTask();
    const part: Promise<void>[] = [];
    for (let i = from; i < Math.min(from + atOnce, answers.length); i++) {
      const [key, signature, message] = items.slice(3 * i, 3 * i + 3);
      if (key === undefined || signature === undefined || message === undefined) continue;
      part.push(verifyOne(subtle, imported(subtle, key), signature, message).then((answer) => void (answers[i] = answer)));
    }
    await Promise.all(part);
  }
  return answers;
}

/** Keys by their bytes, the one that was wanted last at the end: one self-signing key signs many devices, and one room key's signs every message. */
const keysInUse = new Map<string, Promise<CryptoKey>>();
const keepKeys = 512;

function imported(subtle: SubtleCrypto, key: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  const name = String.fromCharCode(...key);
  let known = keysInUse.get(name);
  if (known === undefined) {
    known = subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
    known.catch(() => keysInUse.delete(name));
  }
  keysInUse.delete(name);
  keysInUse.set(name, known);
  for (const oldest of keysInUse.keys()) {
    if (keysInUse.size <= keepKeys) break;
    keysInUse.delete(oldest);
  }
  return known;
}

async function verifyOne(subtle: SubtleCrypto, key: Promise<CryptoKey>, signature: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>): Promise<number> {
  try {
    return (await subtle.verify("Ed25519", await key, signature, message)) ? holds : doesNotHold;
  } catch (thrown) {
    throwIfUnsupported(thrown, "Ed25519");
    return undecided;
  }
}

/** Throws `webcrypto_unsupported` when that is what a failure says of an algorithm. */
export function throwIfUnsupported(thrown: unknown, algorithm: string): void {
  if (thrown instanceof Error && thrown.name === "NotSupportedError") {
    throw new KnownSenderError("webcrypto_unsupported", `This WebCrypto has no ${algorithm}.`, { cause: thrown });
  }
}
