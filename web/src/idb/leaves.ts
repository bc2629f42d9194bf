/*
 * The leaves of a table inside a transaction: finding those of given keys, and writing those that have changed. The leaf of a key is
 * the first one at or behind it. What lies there and is no leaf (a ruin) is stepped over, so that it hides nobody, and is set aside
 * when something is written where it lies. Every leaf is one object in memory however many look for it, so that nobody writes over
 * what another has applied.
 */

import { encodeFrame } from "../frame.js";
import { GOOD_ROWS, isLast, isLeafKey, LAST, Leaf, leafName, type LeafKey } from "./leaf.js";
import { compareFrames, keyOf, type KeyFrame } from "./packed.js";
import { readKey } from "./rows.js";
import { randomName } from "./tables.js";

/** What lies among the leaves and is none. Its key may be one that a leaf can have. */
interface Ruin {
  readonly k: IDBValidKey;
}

/** How requests of a transaction are followed: a failed one fails the transaction. */
export type Follow = <T>(request: IDBRequest<T>, next?: (result: T) => void) => void;

/** So many look-ups go on at once, to hide the time a request is under way; each may read a leaf that its neighbour reads too. */
const CHAINS = 4;

/** A chain of look-ups is worth its first, which may be in vain, from so many keys on. */
const KEYS_PER_CHAIN = 64;

/** The most leaves that a look-up reads at once. */
const LEAVES_AT_ONCE = 8;

/** A leaf and the ruins that were stepped over to get to it. */
export interface Found {
  readonly leaf: Leaf;
  readonly ruins: Map<string, unknown>;
}

/**
 * Finds the leaf of every key, keys ascending. `found` gets leaf by leaf the keys [from, to) that are its own, and in the end `done`.
 * Where keys lie close, as they do in an import and when a sender becomes known, neighbouring leaves are read at once.
 */
export function findLeaves(
  follow: Follow,
  store: IDBObjectStore,
  keys: readonly KeyFrame[],
  found: (found: Found, from: number, to: number) => void,
  done?: () => void,
): void {
  const leaves = new Map<string, Found>();
  const shared = (leaf: Leaf): Found => {
    const name = leafName(leaf.key);
    const known = leaves.get(name) ?? { leaf, ruins: new Map<string, unknown>() };
    leaves.set(name, known);
    return known;
  };
  const chains = Math.min(CHAINS, Math.ceil(keys.length / KEYS_PER_CHAIN));
  let running = chains;
  const look = (range: IDBKeyRange, count: number, at: number, end: number, ruins: Ruin[]): void => {
    follow(store.getAll(range, count), (objects: Ruin[]) => {
      let next = at;
      let used = 0;
      const own = (leaf: Leaf): void => {
        const bound = isLast(leaf.key) ? undefined : encodeFrame(leaf.key);
        const from = next;
        for (let key = keys[next]; next < end && key !== undefined && (bound === undefined || compareFrames(key, bound) <= 0); key = keys[next]) {
          next++;
        }
        if (next === from) {
          return;
        }
        used++;
        const place = shared(leaf);
        for (const ruin of ruins) {
          place.ruins.set(leafName(ruin.k as LeafKey), ruin);
        }
        ruins = [];
        found(place, from, next);
      };
      for (const object of objects) {
        const leaf = Leaf.of(object);
        if (leaf !== undefined) {
          own(leaf);
        } else if (isLeafKey(object.k)) {
          ruins.push(object);
        }
      }
      const last = objects.at(-1);
      if (next < end && (last === undefined || objects.length < count)) {
        own(new Leaf(LAST));
      }
      if (next === end || last === undefined) {
        if (--running === 0) {
          done?.();
        }
        return;
      }
      const from = Leaf.of(last) === undefined ? IDBKeyRange.lowerBound(last.k, true) : IDBKeyRange.lowerBound(readKey(keys[next] as KeyFrame));
      const wanted = used * 2 < count ? 1 : Math.ceil(((end - next) * count) / (next - at));
      look(from, Math.min(wanted, LEAVES_AT_ONCE), next, end, ruins);
    });
  };
  for (let chain = 0; chain < chains; chain++) {
    const at = Math.floor((chain * keys.length) / chains);
    const end = Math.floor(((chain + 1) * keys.length) / chains);
    look(IDBKeyRange.lowerBound(readKey(keys[at] as KeyFrame)), end - at < GOOD_ROWS ? 1 : 3, at, end, []);
  }
}

/** Writes a leaf that has changed: deletes it when nothing is left in it, splits it when it is full. */
export function writeLeaf(follow: Follow, store: IDBObjectStore, quarantine: IDBObjectStore, { leaf, ruins }: Found): void {
  const setAside = (ruin: Ruin): void => {
    const name = (ruin.k as LeafKey).flatMap((part) => (typeof part === "string" ? [part] : [])).slice(0, 4);
    follow(quarantine.add({ k: [store.name, "leaf", ...name, randomName()], r: 1, v: new Uint8Array(0), found: ruin }));
    follow(store.delete(ruin.k));
  };
  for (const ruin of ruins.values()) {
    setAside(ruin as Ruin);
  }
  if (leaf.empty) {
    follow(store.delete(leaf.key));
    return;
  }
  const put = (before?: LeafKey): void => {
    for (const object of leaf.objects(before)) {
      follow(store.put(object));
    }
  };
  const [first] = leaf.rows;
  if (!leaf.full || first === undefined) {
    put();
    return;
  }
  // Pieces are named after rows, and must not take the place of what lies there: of a leaf that reaches into ours, or of a ruin.
  follow(store.getAll(IDBKeyRange.bound(keyOf(first), leaf.key, false, true)), (between: Ruin[]) => {
    let before: LeafKey | undefined;
    for (const object of between) {
      if (Leaf.of(object) !== undefined) {
        before = object.k as LeafKey;
      } else if (isLeafKey(object.k)) {
        setAside(object);
      }
    }
    put(before);
  });
}
