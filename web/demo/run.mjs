// make demo: plays the page in headless Chrome and prints what it shows, so that it can be seen without a window. Everything is held against
// what it should be: the states against expected.json, the verdicts against the policy's table, the messages against the plaintext that was
// recorded or, where none was, against libolm. Then it serves the page until interrupted; SERVE=0 leaves that out.

import { createDecipheriv, createHmac, pbkdf2Sync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Olm from "@matrix-org/olm";
import { chromium } from "playwright-core";
import { top } from "../packaging/rooms.mjs";
import { readExports, readRecording } from "../build/demo/recording.js";
import { serveDemo } from "./serve.mjs";

const expected = JSON.parse(readFileSync(join(top, "web/demo/expected.json"), "utf8"));
const policy = JSON.parse(readFileSync(join(top, "core/testdata/policy.json"), "utf8"));
const recorded = async (path) => readFileSync(join(top, "core/testdata/recorded", path), "utf8");
const recording = await readRecording(recorded);
const exported = await readExports(recorded);
const requirements = policy.requirements;

const wrong = [];
function expect(what, got, wanted) {
  if (JSON.stringify(got) === JSON.stringify(wanted)) return true;
  wrong.push(`${what}: expected ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`);
  return false;
}

const bold = (text) => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
const mark = (good) => (good ? "" : "  <- not as expected");

/** Prints rows of cells in columns. The last cell of a row may be as long as it likes. */
function print(head, rows) {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => (i < head.length - 1 ? row[i].length : 0))));
  const line = (cells) => `  ${cells.map((cell, i) => (i < cells.length - 1 ? cell.padEnd(widths[i]) : cell)).join("  ")}`;
  console.log(bold(line(head)));
  for (const row of rows) console.log(line(row));
  console.log();
}

/** What the policy's table says of a state, by requirement: a code, or "shown" with the shield's colour. */
function verdictsOf(state) {
  const row = policy.rows.find((candidate) => candidate.state === state);
  return requirements.map((requirement) => (row.shown[requirement] ? shown(row.lax.color) : row.code));
}

const shown = (color) => (color === "None" ? "shown" : `shown, ${color.toLowerCase()}`);
const verdict = ({ shown: isShown, shield, code }) => (isShown ? shown(shield.color) : code);
const brief = (sessionId) => sessionId.slice(0, 10);

/** What libolm reads in an event: an implementation that shares nothing with ours. */
function readByLibolm(event) {
  const key = recording.flatMap(({ keys }) => keys).find(({ sessionId }) => sessionId === event.sessionId);
  const session = new Olm.InboundGroupSession();
  try {
    session.create(JSON.parse(key.payload).content.session_key);
    return JSON.parse(session.decrypt(JSON.parse(event.text).content.ciphertext).plaintext).content.body;
  } finally {
    session.free();
  }
}

async function play(page) {
  const idle = () => page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  const report = () => page.evaluate(async () => (await import("/demo/main.js")).demo.report());
  await idle();

  let last;
  for (const [i, { title, says }] of expected.stages.entries()) {
    await page.check(`#stages input[value="${i + 1}"]`, { force: true });
    await idle();
    last = await report();
    console.log(bold(`${i + 1}. ${title}`) + `: ${says}\n`);
    const rows = last.rows.map(({ sessionId, sender, title: session, copy, verdicts }) => {
      const wanted = expected.sessions[sessionId];
      const cells = requirements.map((requirement) => verdict(verdicts[requirement]));
      const good = [expect(`stage ${i + 1}, ${sessionId}`, copy.senderData.type, wanted.states[i]), expect(`stage ${i + 1}, ${sessionId}, verdicts`, cells, verdictsOf(wanted.rows[i]))];
      return [brief(sessionId), `${sender} ${copy.senderData.deviceId ?? "?"}`, session, copy.senderData.type, ...cells.slice(0, -1), cells.at(-1) + mark(good.every(Boolean))];
    });
    expect(`stage ${i + 1}, sessions`, last.rows.map(({ sessionId }) => sessionId), Object.keys(expected.sessions));
    print(["room key", "sender", "", "what is known", ...requirements], rows);
    const drawn = await page.$$eval("#sessions [data-state]", (cells) => cells.map((cell) => cell.dataset.state));
    expect(`stage ${i + 1}, the table in the page`, drawn, last.rows.map(({ copy }) => copy.senderData.type));
  }
  for (const { sessionId, notice } of last.missing) console.log(`  ${brief(sessionId)}  ${notice.sender}  kept back: ${notice.code}, “${notice.reason}”\n`);
  expect("keys kept back", last.missing.map(({ sessionId, notice }) => [sessionId, notice.code]), expected.keptBack);
  return last;
}

async function messages(page, report) {
  console.log(bold("Messages") + ", decrypted by the module and compared\n");
  const rows = report.messages.Untrusted.map(({ event, body, messageIndex }) => {
    const recorded = event.plaintext !== null;
    const wanted = recorded ? event.plaintext : readByLibolm(event);
    const good = expect(`message ${event.eventId}`, body, wanted);
    return [brief(event.sessionId), String(messageIndex), `“${body}”`, (recorded ? "as recorded" : "as libolm reads it") + mark(good)];
  });
  expect("messages", rows.length, recording.flatMap(({ events }) => events).length);
  print(["room key", "index", "message", "compared"], rows);

  // The timeline shows, under each policy, what the policy's table says; and nothing of what is withheld.
  for (const requirement of requirements) {
    await page.check(`#policies input[value="${requirement}"]`, { force: true });
    await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
    const drawn = await page.$$eval("#timeline li", (items) => items.map(({ dataset, textContent }) => ({ event: dataset.event, shown: dataset.shown, code: dataset.code, text: textContent })));
    for (const { event, verdict: said } of report.messages[requirement]) {
      const item = drawn.find((one) => one.event === event.eventId);
      const body = report.messages.Untrusted.find((one) => one.event.eventId === event.eventId).body;
      expect(`${requirement}, ${event.eventId} in the page`, [item?.shown, item?.code, item?.text.includes(body)], [String(said.shown), said.code ?? "", said.shown]);
    }
  }
}

async function tampering(page) {
  console.log(bold("Tampering") + ", done to the recorded traffic\n");
  for (const name of Object.keys(expected.tampering)) {
    await page.click(`#tamper-${name}`);
    await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  }
  const outcomes = await page.evaluate(async () => (await import("/demo/main.js")).demo.outcomes);
  const rows = Object.entries(expected.tampering).map(([name, { title, row, received, tombstone, recovered }]) => {
    const outcome = outcomes[name];
    const cells = requirements.map((requirement) => verdict(outcome.verdicts[requirement]));
    const grave = outcome.explanation.tombstones[0]?.reason ?? null;
    const good = [
      expect(`tampering, ${name}`, cells, verdictsOf(row)),
      expect(`tampering, ${name}, received`, outcome.received, received),
      expect(`tampering, ${name}, tombstone`, grave, tombstone),
      expect(`tampering, ${name}, recovered`, outcome.recovered, recovered),
    ];
    const end = grave !== null ? `discarded; tombstone: ${grave}` : outcome.recovered !== null ? `suspended; ${outcome.recovered} after a good answer` : "";
    return [title, ...cells, end + mark(good.every(Boolean))];
  });
  print(["attempt", ...requirements, ""], rows);
}

async function reload(page, before) {
  await page.click("#reopen");
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  const status = await page.textContent("#status");
  const said = await page.evaluate(() => document.getElementById("status")?.className);
  if (expect("reopening", said, "status good")) console.log(bold("Reload") + `: ${status}`);

  await page.reload();
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  const after = await page.evaluate(async () => (await import("/demo/main.js")).demo.report());
  if (expect("the page loaded again", after, before)) console.log(`${" ".repeat(8)}The page was loaded again: the same table and the same messages, from IndexedDB.\n`);
}

// The lanes board: without a network the keys are stored, shown, and asked about in vain; the page is loaded again; the network comes back.
async function lanes(page) {
  const idle = () => page.evaluate(async () => (await import("/demo/main.js")).demo.board.idle());
  const report = () => page.evaluate(async () => (await import("/demo/main.js")).demo.board.report());
  const click = async (id) => {
    await page.click(`#${id}`);
    await idle();
  };
  /** Reports until it is so, or for twenty seconds: then what is said of it shows what is not. */
  const until = async (is) => {
    for (const end = Date.now() + 20_000; ; await page.waitForTimeout(50)) {
      const shown = await report();
      if (is(shown) || Date.now() > end) return shown;
    }
  };
  const inTable = (shown, good) =>
    shown.cards.map(({ sessionId, made, lane, column, track, tries, copy }, i) => {
      const due = copy.schedule === null ? "settled" : `in ${Math.max(0, Math.ceil((copy.schedule.next - Date.now()) / 1000))} s`;
      const body = shown.messages[i];
      return [brief(sessionId), lane, column, String(tries), due, made ? "made in the page" : body === null ? "withheld" : `“${body}”`, track.join(" -> ") + mark(good(shown.cards[i], body))];
    });
  const head = ["room key", "came by", "lane", "tries", "next due", "under Untrusted", "what is known"];
  const bodyOf = (sessionId) => {
    const event = recording.flatMap(({ events }) => events).find((one) => one.sessionId === sessionId);
    return event.plaintext ?? readByLibolm(event);
  };
  const drawn = (lane) => page.$$eval(`#lane-${lane} .key`, (cards) => cards.map(({ dataset }) => dataset.session).sort());
  const sessions = Object.keys(expected.sessions);

  console.log(bold("Three speeds") + ": the network is off, and the keys arrive\n");
  await click("network");
  await click("lanes-recorded");
  const before = await until(({ cards }) => cards.every(({ column, copy }) => column === "retry" && copy.schedule?.tries === 1));
  print(head, inTable(before, ({ sessionId, lane, column, copy }, body) => {
    const { tries, next } = copy.schedule ?? {};
    const got = { state: copy.senderData.type, lane, column, tries, due: next > Date.now(), body };
    return expect(`lanes, ${sessionId}, network off`, got, { state: expected.sessions[sessionId].states[0], lane: "slow", column: "retry", tries: 1, due: true, body: bodyOf(sessionId) });
  }));
  expect("lanes, the keys", before.cards.map(({ sessionId }) => sessionId), sessions);
  expect("lanes, counted", before.counts, { fast: 0, slow: 0, retry: sessions.length });
  expect("lanes, drawn under retry", await drawn("retry"), [...sessions].sort());
  expect("lanes, the number drawn", await page.textContent("#count-retry"), String(sessions.length));

  const schedules = ({ cards }) => cards.map(({ sessionId, copy }) => [sessionId, copy.schedule]);
  const resumed = async (how) => {
    const after = await report();
    // A key that became due meanwhile has rightly been asked about again.
    const going = schedules(before).map(([sessionId, schedule], i) => (schedule !== null && schedule.next > Date.now() ? [sessionId, schedule] : schedules(after)[i]));
    return expect(`lanes, ${how}`, schedules(after), going);
  };
  await click("lanes-reopen");
  if (await resumed("closed and opened again")) console.log("  Closed and opened again: still there, with the schedules stored beside them.");
  await page.reload();
  await page.evaluate(async () => (await import("/demo/main.js")).demo.idle());
  await idle();
  if (await resumed("the page loaded again")) console.log("  The page was loaded again: still there, with the schedules stored beside them.\n");

  console.log(bold("Three speeds") + ": the network is on, and one more key arrives from a sender who is known by then\n");
  await click("network");
  const end = (sessionId) => expected.sessions[sessionId].states.at(-1);
  const known = (sessionId) => end(sessionId) === "SenderUnverified";
  await until(({ cards }) => cards.every(({ copy }) => copy.schedule === null || copy.schedule.tries > 1));
  await click("lanes-ask");
  await until(({ cards, requests }) => requests === 0 && cards.every(({ sessionId, copy }) => (copy.schedule === null) === known(sessionId)));
  await click("lanes-made");
  const after = await report();
  print(head, inTable(after, ({ sessionId, made, lane, column, track, copy }) => {
    const got = { lane, column, track, waits: copy.schedule !== null, state: copy.senderData.type };
    if (made) return expect("lanes, one more key", got, { lane: "fast", column: "fast", track: ["SenderUnverified"], waits: false, state: "SenderUnverified" });
    const changes = [expected.sessions[sessionId].states[0], end(sessionId)];
    return expect(`lanes, ${sessionId}, network on`, got, { lane: "slow", column: "retry", track: changes, waits: !known(sessionId), state: end(sessionId) });
  }));
  expect("lanes, counted at the end", after.counts, { fast: 1, slow: 0, retry: sessions.filter((sessionId) => !known(sessionId)).length });
  expect("lanes, drawn under fast", await drawn("fast"), after.cards.filter(({ made }) => made).map(({ sessionId }) => sessionId));
}

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

// Key files: the recorded ones are imported, the wrong passphrase is refused; the senders are asked about; thousands are cancelled in the middle
// and completed; what is stored goes out into a file, which is read by somebody else and comes back into an empty database.
async function files(page) {
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
  await idle();

  console.log(bold("Keys from files") + `: recorded by ${exported.map(({ client }) => client).join(" and ")}\n`);
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

async function main() {
  await Olm.init();
  const server = await serveDemo(Number(process.env.PORT ?? 8137));
  const browser = await chromium.launch({
    executablePath: process.env.CHROME ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    const page = await browser.newPage();
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => wrong.push(`the page printed: ${message.text()}`));
    page.on("pageerror", (error) => wrong.push(`uncaught in the page: ${error}`));
    await page.goto(`${server.origin}/`);
    console.log();
    const report = await play(page);
    await messages(page, report);
    await tampering(page);
    await reload(page, report);
    await lanes(page);
    await files(page);
    expect("requests to elsewhere", requests.filter((url) => !url.startsWith(`${server.origin}/`)), []);
  } finally {
    await browser.close();
  }
  for (const fault of wrong) console.error(`not as expected: ${fault}`);
  if (wrong.length === 0) console.log("Everything is as expected.");
  if (process.env.SERVE === "0" || wrong.length > 0) {
    await server.close();
    process.exit(wrong.length === 0 ? 0 : 1);
  }
  process.on("SIGINT", () => process.exit(0));
  console.log(`\nThe page is at ${server.origin}/ until this is interrupted.`);
}

await main();
