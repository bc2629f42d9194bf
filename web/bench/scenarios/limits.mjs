// What the browser itself costs: whoever verifies, agrees on keys, decrypts and stores there pays that much at least.

export async function limits({ inPage, rounds, record }) {
  await inPage(async (page) => {
    for (let round = 0; round < rounds; round++) {
      for (const [row, took] of Object.entries(await page.evaluate(measured))) record(`limits.${row}`, "page", took);
    }
  });
}

/** Runs in the page. By row, milliseconds each. */
async function measured() {
  const took = {};
  const time = async (row, count, work) => {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const start = performance.now();
    for (let i = 0; i < count; i++) await work(i);
    took[row] = (performance.now() - start) / count;
  };
  const { subtle } = crypto;
  const text = crypto.getRandomValues(new Uint8Array(200));
  const { privateKey, publicKey } = await subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const signature = await subtle.sign("Ed25519", privateKey, text);
  const raw = await subtle.exportKey("raw", publicKey);
  const verify = async (key) => {
    if (!(await subtle.verify("Ed25519", key, signature, text))) throw new Error("a good signature does not verify");
  };
  await time("ed25519", 200, () => verify(publicKey));
  await time("ed25519.import", 200, async () => verify(await subtle.importKey("raw", raw, "Ed25519", false, ["verify"])));
  const [mine, yours] = [await subtle.generateKey("X25519", true, ["deriveBits"]), await subtle.generateKey("X25519", true, ["deriveBits"])];
  await time("x25519", 200, () => subtle.deriveBits({ name: "X25519", public: yours.publicKey }, mine.privateKey, 256));
  const aes = await subtle.generateKey({ name: "AES-CBC", length: 256 }, false, ["encrypt", "decrypt"]);
  const iv = new Uint8Array(16);
  const sealed = await subtle.encrypt({ name: "AES-CBC", iv }, aes, text);
  await time("aes", 1_000, () => subtle.decrypt({ name: "AES-CBC", iv }, aes, sealed));
  const hmac = await subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  await time("hmac", 1_000, () => subtle.sign("HMAC", hmac, text));
  await time("sha256", 1_000, () => subtle.digest("SHA-256", text));

  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const opening = indexedDB.open("limits");
  opening.onupgradeneeded = () => opening.result.createObjectStore("rows");
  const database = await done(opening);
  const write = (rows, bytes, durability) => new Promise((resolve, reject) => {
    const transaction = database.transaction("rows", "readwrite", { durability });
    for (let i = 0; i < rows; i++) transaction.objectStore("rows").put(new Uint8Array(bytes), i);
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  const read = (rows) => {
    const store = database.transaction("rows").objectStore("rows");
    return Promise.all(Array.from({ length: rows }, (_, i) => done(store.get(i))));
  };
  await time("put.relaxed", 50, () => write(1, 600, "relaxed"));
  await time("put.strict", 50, () => write(1, 600, "strict"));
  await time("put.10000", 1, () => write(10_000, 600, "relaxed"));
  await time("put.100", 1, () => write(100, 60_000, "relaxed"));
  await write(1_000, 600, "relaxed");
  await time("get", 50, () => read(1));
  await time("get.shared", 1, () => read(1_000));
  took["get.shared"] /= 1_000;
  database.close();
  return took;
}
