// Ed25519 by WebCrypto, for the program's batches. The request is a frame of key (32 bytes), signature (64 bytes), message for every
// check; the answer has one byte for each: 0 does not hold, 1 holds, 2 undecided (the program checks that one itself).

import { KnownSenderError } from "./errors.js";
import { decodeFrame } from "./frame.js";

const doesNotHold = 0;
const holds = 1;
const undecided = 2;

/** Checks under way at a time: enough to keep a thread pool busy, few enough to hold in memory. */
const atOnce = 256;

/** Answers for every check. Rejects with `webcrypto_unsupported` where the platform has no Ed25519 (or no WebCrypto: insecure origins). */
export async function verifySignatures(request: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const subtle: SubtleCrypto | undefined = globalThis.crypto?.subtle;
  if (subtle === undefined) throw new KnownSenderError("webcrypto_unsupported", "There is no WebCrypto here.");
  const items = decodeFrame(request) as Uint8Array<ArrayBuffer>[]; // views into request
  const answers = new Uint8Array(Math.floor(items.length / 3)).fill(undecided);
  for (let from = 0; from < answers.length; from += atOnce) {
    const part: Promise<void>[] = [];
    for (let i = from; i < Math.min(from + atOnce, answers.length); i++) {
      const [key, signature, message] = items.slice(3 * i, 3 * i + 3);
      if (key === undefined || signature === undefined || message === undefined) continue;
      part.push(verifyOne(subtle, key, signature, message).then((answer) => void (answers[i] = answer)));
    }
    await Promise.all(part);
  }
  return answers;
}

async function verifyOne(subtle: SubtleCrypto, key: Uint8Array<ArrayBuffer>, signature: Uint8Array<ArrayBuffer>, message: Uint8Array<ArrayBuffer>): Promise<number> {
  try {
    const imported = await subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
    return (await subtle.verify("Ed25519", imported, signature, message)) ? holds : doesNotHold;
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === "NotSupportedError") {
      throw new KnownSenderError("webcrypto_unsupported", "This WebCrypto has no Ed25519.", { cause: thrown });
    }
    return undecided;
  }
}
