// A closer look at key files: the recorded ones are imported, the wrong passphrase is refused; the senders are asked about; thousands are cancelled in the
// middle and completed; what is stored goes out into a file, which is read by somebody else and comes back into an empty database.

import { createDecipheriv, createHmac, pbkdf2Sync } from "node:crypto";
import { readFileSync } from "node:fs";
import { bold, brief, expect, expected, exported, mark, print, readByLibolm, recording, requirements, verdict, verdictsOf } from "./kit.mjs";

/** Opens a key file with Node's own cryptography, which shares nothing with ours. */
function readByNode(file, passphrase) {
  const bytes = Buffer.from(file.split("\n").filter((line) => !line.startsWith("-----")).join(""), "base64");
  const keys = pbkdf2Sync(passphrase, bytes.subarray(1, 17), bytes.readUInt32BE(33), 64, "sha512");
  const maced = bytes.subarray(0, -32);
  if (bytes[0] !== 1 || !createHmac("sha256", keys.subarray(32)).update(maced).digest().equals(bytes.subarray(-32))) return [];
  const cipher = createDecipheriv("aes-256-ctr", keys.subarray(0, 32), bytes.subarray(17, 33));
  return JSON.parse(Buffer.concat([cipher.update(maced.subarray(37)), cipher.final()]).toString());
}

/** The room keys of an export as lines that can be compared. A claim that is left out says the same as an empty one. */
const inLines = (list) => list.map((key) => JSON.stringify([key.room_id, key.sender_key, key.session_id, key.session_key, key.sender_claimed_keys?.ed25519 ?? ""])).sort();

export async function files(page) {
  const idle = () => page.evaluate(async () => (await import("/demo/main.js")).demo.files.idle().catch(() => undefined));
  const report = () => page.evaluate(async () => (await import("/demo/main.js")).demo.files.report());
  const click = async (id) => {
    await page.click(`#${id}`);
    await idle();
  };
  const status = (line = "files-status") => page.evaluate((id) => [document.getElementById(id)?.className, document.getElementById(id)?.textContent], line);
  const chunk = 512; // what is stored is stored in whole ones
  const cancelInTheMiddle = async () => {
    await page.evaluate(
      (enough) =>
        new Promise((resolve) => {
          const bar = document.getElementById("files-progress");
          new MutationObserver((_, observer) => {
            if (Number(bar?.getAttribute("value")) < enough) return;
            observer.disconnect();
            document.getElementById("files-cancel")?.click();
            resolve(undefined);
          }).observe(bar, { attributes: true });
          document.getElementById("files-import")?.click();
        }),
      chunk,
    );
    await idle();
  };
  const counts = (result) => result && [result.imported, result.unchanged, result.better, result.failed];
  const say = (good, text) => console.log(`  ${text}${mark(good)}`);
  const all = (...good) => good.every(Boolean);
  const legacy = verdictsOf("insecure_source_legacy");
  const { account, name, passphrase, text } = exported[0];
  await click("files-restart");

  console.log("\n" + bold("Keys from files") + `: recorded by ${exported.map(({ client }) => client).join(" and ")}\n`);
  // The first file is dropped on the page, as a person would.
  const drop = await page.evaluateHandle(([fileName, content]) => {
    const data = new DataTransfer();
    data.items.add(new File([content], fileName, { type: "text/plain" }));
    return data;
  }, [name, text]);
  for (const event of ["dragover", "drop"]) await page.dispatchEvent("body", event, { dataTransfer: drop });
  await idle();
  await page.fill("#files-passphrase", `${passphrase}!`);
  await click("files-import");
  const [kind, said] = await status();
  const refused = await report();
  say(all(expect("files, a wrong passphrase", [kind, said.split(":")[0], refused.last.code, refused.last.result, refused.total], ["status bad", "bad_passphrase_or_corrupt", "bad_passphrase_or_corrupt", null, 0])), `A wrong passphrase: ${said}.`);

  await page.fill("#files-passphrase", passphrase);
  await page.press("#files-passphrase", "Enter");
  await idle();
  expect("files, the dropped file", counts((await report()).last.result), [1, 0, 0, 0]);
  for (const other of exported.slice(1)) {
    await click(`files-recorded-${other.account}`);
    await click("files-import");
    expect(`files, ${other.name}`, counts((await report()).last.result), [1, 0, 0, 0]);
  }
  await click(`files-recorded-${account}`);
  await click("files-import");
  const before = await report();
  say(all(expect("files, once more", counts(before.last.result), [0, 1, 0, 0]), expect("files, stored", before.total, exported.length)), "Imported, and one of them once more: nothing changes.\n");

  const head = ["room key", "what is known", ...requirements, "opens", "what it claims"];
  const table = (shown, hints) => shown.keys.map(({ sessionId, copy, verdicts, body }) => {
    const cells = requirements.map((requirement) => verdict(verdicts[requirement]));
    const event = recording.flatMap(({ events }) => events).find((one) => one.sessionId === sessionId);
    const good = all(
      expect(`files, ${sessionId}`, [copy.senderData.type, copy.provenance, copy.legacySession, copy.hint], ["UnknownDevice", "claimed", true, hints[sessionId] ?? null]),
      expect(`files, ${sessionId}, verdicts`, cells, legacy),
      expect(`files, ${sessionId}, message`, body, event === undefined ? null : (event.plaintext ?? readByLibolm(event))),
      expect(`files, ${sessionId}, would change`, copy.wouldChange, "A file, a backup or whoever hands a key over cannot prove who made it. Receiving the same key from its sender would."),
    );
    return [brief(sessionId), `${copy.senderData.type}, legacy`, ...cells, body === null ? "" : `“${body}”`, copy.why + mark(good)];
  });
  await click("files-ask");
  const asked = await report();
  console.log(bold("Keys from files") + ": the recorded /keys/query is answered\n");
  print(head, table(asked, expected.files.hints));
  const unhinted = ({ keys }) => keys.map(({ copy: { hint: _, why: __, ...copy }, ...rest }) => ({ ...rest, copy }));
  say(expect("files, nothing but the hints changes", unhinted(asked), unhinted(before)), "The hints are there, and nothing else has changed.");
  const drawnHints = await page.$$eval("#files-keys article", (cards) => cards.map(({ dataset, textContent }) => [dataset.session, dataset.hint, textContent.includes("which is cross-signed today")]));
  expect("files, the hints in the page", drawnHints, asked.keys.map(({ sessionId, copy }) => [sessionId, `${copy.hint?.userId} ${copy.hint?.deviceId}`, copy.hint?.crossSigned]));

  console.log("\n" + bold("Keys from files") + ": 5,000 made keys, cancelled in the middle\n");
  await click("files-make-5000");
  await cancelInTheMiddle();
  const cancelled = await report();
  const kept = cancelled.total - asked.total;
  const told = (shown) => shown.last.progress.map(({ successes, failures, total }) => [successes + failures, total]);
  const rises = (shown) => told(shown).every(([done, total], i) => done >= (told(shown)[i - 1]?.[0] ?? 0) && done <= total);
  say(
    all(expect("files, cancelled", [cancelled.last.code, cancelled.last.result], ["aborted", null]), expect(`files, ${kept} of 5,000 are whole chunks`, [kept > 0, kept < 5000, kept % chunk], [true, true, 0]), expect("files, progress while it is cancelled", rises(cancelled), true)),
    (await status())[1],
  );
  await click("files-import");
  const completed = await report();
  say(
    all(
      expect("files, completed", counts(completed.last.result), [4997 - kept, kept, 0, 3]),
      expect("files, failures", completed.last.result?.failures.map(({ position, code }) => [position, code]), expected.files.spoilt),
      expect("files, by room", Object.values(completed.last.result?.rooms ?? {}).reduce((sum, room) => sum + room.imported + room.unchanged, 0), 4997),
      expect("files, progress", [rises(completed), told(completed)[0], told(completed).at(-1)], [true, [0, 5000], [5000, 5000]]),
      expect("files, the failures in the page", await page.$$eval("#files-result [data-position]", (rows) => rows.map(({ dataset }) => dataset.code)), completed.last.result?.failures.map(({ code }) => code)),
      expect("files, the bar", await page.$eval("#files-progress", (bar) => [bar.value, bar.max]), [5000, 5000]),
    ),
    `Imported again: ${(await status())[1]}`,
  );
  await click("files-import");
  const again = await report();
  say(all(expect("files, the third time", counts(again.last.result), [0, 4997, 0, 3]), expect("files, stored", again.total, 4999)), `Once more: ${(await status())[1]}`);
  // Whoever writes a file can name any device: with its true keys that is a hint, with others it is none. The verdicts are those of every other.
  const inRooms = Object.fromEntries(again.keys.map(({ roomId, sessionId }) => [sessionId, expected.files.hints[sessionId] ?? expected.files.made[roomId]]));
  expect("files, drawn of the made keys", [...new Set(again.keys.map(({ roomId }) => roomId).filter((room) => room in expected.files.made))], Object.keys(expected.files.made));
  table(again, inRooms);

  console.log("\n" + bold("Keys from files") + ": out into a file, and back\n");
  await click("files-export");
  expect("files, a file without a passphrase", (await status("files-stored-status"))[1].split(":")[0], "empty_passphrase");
  const save = async () => {
    await page.fill("#files-export-passphrase", "into the open");
    await click("files-export");
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#files-download")]);
    return { path: await download.path(), name: download.suggestedFilename() };
  };
  const saved = await save();
  const written = readByNode(readFileSync(saved.path, "utf8"), "into the open");
  const lines = new Set(inLines(written));
  const missing = inLines(exported.flatMap((file) => readByNode(file.text, file.passphrase))).filter((line) => !lines.has(line));
  say(
    all(expect("files, the file that was saved", [saved.name, lines.size], ["knownsender-keys.txt", 4999]), expect("files, recorded keys that are not in it", missing, [])),
    `Saved: ${written.length} room keys, as Node's own cryptography reads them; the recorded ones are as they were recorded.`,
  );
  await click("files-restart");
  expect("files, begun anew", (await report()).total, 0);
  // A list in the clear, which is all there before anything is stored: cancelled in the middle too.
  await page.setInputFiles("#files-input", { name: "in-the-clear.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(written.slice(0, 4000))) });
  await idle();
  await cancelInTheMiddle();
  const clear = await report();
  say(expect(`files, ${clear.total} of 4,000 are whole chunks`, [clear.last.code, clear.total > 0, clear.total < 4000, clear.total % chunk], ["aborted", true, true, 0]), `4,000 of them in the clear: ${(await status())[1]}`);
  await click("files-restart");
  await page.setInputFiles("#files-input", saved.path);
  await idle();
  await page.fill("#files-passphrase", "into the open");
  await click("files-import");
  const back = await report();
  const second = inLines(readByNode(readFileSync((await save()).path, "utf8"), "into the open"));
  say(all(expect("files, back again", counts(back.last.result), [4999, 0, 0, 0]), expect("files, saved once more", second, [...lines])), "Into an empty database, and out again: the same keys.");
  await click("files-ask");
  const end = await report();
  await page.reload();
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  await idle();
  const reloaded = await report();
  say(expect("files, the page loaded again", [reloaded.total, reloaded.keys], [end.total, end.keys]), "The page was loaded again: the same keys with the same hints, from IndexedDB.\n");
}
