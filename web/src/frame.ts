/*
 * A frame is a list of byte strings in one buffer: a count, then for every item its length and its bytes, numbers being 32 bits
 * little endian. Everything that crosses between Go and JavaScript is one frame. The other side is jsbridge/frame.
 */

const encoder = new TextEncoder();
// fatal: a broken id is an error, not U+FFFD. ignoreBOM: a leading U+FEFF is a character of the id like any other.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Why a buffer is no frame. `code` is `frame_truncated`, `frame_leftover` or `frame_bad_item`. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  constructor(
    readonly code: "frame_truncated" | "frame_leftover" | "frame_bad_item",
    message: string,
  ) {
    super(message);
  }
}

/** An item of a frame under construction; nested lists become nested frames. */
export type FrameItem = string | Uint8Array | bigint | readonly FrameItem[];

function sizeOf(items: readonly FrameItem[], encoded: Map<FrameItem, Uint8Array>): number {
  let size = 4;
  for (const item of items) {
    size += 4 + itemSize(item, encoded);
  }
  return size;
}

function itemSize(item: FrameItem, encoded: Map<FrameItem, Uint8Array>): number {
  if (typeof item === "bigint") {
    return 8;
  }
  if (typeof item === "string") {
    let bytes = encoded.get(item);
    if (bytes === undefined) {
      bytes = encoder.encode(item);
      encoded.set(item, bytes);
    }
    return bytes.length;
  }
  return item instanceof Uint8Array ? item.length : sizeOf(item, encoded);
}

/** Packs items into one new buffer. A bigint becomes eight bytes, little endian, two's complement. */
export function encodeFrame(items: readonly FrameItem[]): Uint8Array<ArrayBuffer> {
  const encoded = new Map<FrameItem, Uint8Array>();
  const out = new Uint8Array(sizeOf(items, encoded));
  const view = new DataView(out.buffer);
  let at = 0;
  const list = (inner: readonly FrameItem[]): void => {
    view.setUint32(at, inner.length, true);
    at += 4;
    for (const item of inner) {
      const head = at;
      at += 4;
      if (typeof item === "bigint") {
        view.setBigUint64(at, BigInt.asUintN(64, item), true);
        at += 8;
      } else if (typeof item === "string" || item instanceof Uint8Array) {
        const bytes = typeof item === "string" ? encoded.get(item) : item;
        out.set(bytes as Uint8Array, at);
        at += (bytes as Uint8Array).length;
      } else {
        list(item);
      }
      view.setUint32(head, at - head - 4, true);
    }
  };
  list(items);
  return out;
}

/** Takes a frame apart. The items are views into `buffer`, not copies. */
export function decodeFrame(buffer: Uint8Array): Uint8Array[] {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const length = buffer.length;
  if (length < 4) {
    throw new FrameError("frame_truncated", "A frame begins with four bytes.");
  }
  const count = view.getUint32(0, true);
  if (count > (length - 4) / 4) {
    throw new FrameError("frame_truncated", "The buffer is too short for the frame's items.");
  }
  const items: Uint8Array[] = [];
  let at = 4;
  for (let i = 0; i < count; i++) {
    if (length - at < 4) {
      throw new FrameError("frame_truncated", "The buffer ends before the frame does.");
    }
    const size = view.getUint32(at, true);
    at += 4;
    if (size > length - at) {
      throw new FrameError("frame_truncated", "The buffer ends before the frame does.");
    }
    items.push(buffer.subarray(at, at + size));
    at += size;
  }
  if (at !== length) {
    throw new FrameError("frame_leftover", "Bytes follow the last item of the frame.");
  }
  return items;
}

/** Reads the items of one frame in order, each as what it should be. Every mismatch is a FrameError. */
export class FrameReader {
  readonly #items: Uint8Array[];
  #next = 0;

  constructor(buffer: Uint8Array) {
    this.#items = decodeFrame(buffer);
  }

  /** Items not read yet. */
  get left(): number {
    return this.#items.length - this.#next;
  }

  bytes(): Uint8Array {
    const item = this.#items[this.#next];
    if (item === undefined) {
      throw new FrameError("frame_bad_item", "The frame has fewer items than expected.");
    }
    this.#next++;
    return item;
  }

  text(): string {
    try {
      return decoder.decode(this.bytes());
    } catch (error) {
      if (error instanceof FrameError) {
        throw error;
      }
      throw new FrameError("frame_bad_item", "An item is not UTF-8.");
    }
  }

  /** Eight bytes as a number without sign. */
  unsigned(): bigint {
    return this.#eight().getBigUint64(0, true);
  }

  /** Eight bytes as a number with sign. */
  signed(): bigint {
    return this.#eight().getBigInt64(0, true);
  }

  /** An item that is a frame of strings. */
  texts(): string[] {
    return this.frame().rest();
  }

  /** All items that are left, as strings. */
  rest(): string[] {
    const texts: string[] = [];
    while (this.left > 0) {
      texts.push(this.text());
    }
    return texts;
  }

  /** An item that is a frame. */
  frame(): FrameReader {
    return new FrameReader(this.bytes());
  }

  /** Says that nothing more is expected. */
  end(): void {
    if (this.left > 0) {
      throw new FrameError("frame_bad_item", "The frame has more items than expected.");
    }
  }

  #eight(): DataView {
    const item = this.bytes();
    if (item.length !== 8) {
      throw new FrameError("frame_bad_item", "A number is not eight bytes long.");
    }
    return new DataView(item.buffer, item.byteOffset, 8);
  }
}
