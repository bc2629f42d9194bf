// Builds the package in two folders from what git has here, each with a cache of Go's of its own, and compares the tarballs file by file.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" }).split("\0").filter(Boolean);

function copied(prefix) {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  for (const file of files) cpSync(file, join(folder, file));
  symlinkSync(join(process.cwd(), "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** The digests of everything that one build packs, by name. */
function built(folder) {
  try {
    const run = (command, args, env = {}) => execFileSync(command, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } });
    run("make", ["-s", "-o", "node_modules/.package-lock.json", "build"], { GOCACHE: join(folder, "web/build/cache") });
    const [{ filename }] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts"]));
    run("tar", ["xzf", filename]);
    const names = [filename, ...readdirSync(join(folder, "package"), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))];
    return new Map(names.map((name) => [name, createHash("sha256").update(readFileSync(join(folder, name))).digest("hex")]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Both are copied first: what is edited meanwhile makes no difference.
const [one, two] = ["knownsender-", "knownsender-once-more-"].map(copied).map(built);
const differ = [...new Set([...one.keys(), ...two.keys()])].filter((name) => one.get(name) !== two.get(name));
for (const name of differ) console.error(`make reproduce: ${name} differs`);
if (differ.length === 0) console.log(`make reproduce: ${one.size - 1} files and the tarball are the same, ${one.get([...one.keys()][0])}`);
process.exit(differ.length === 0 ? 0 : 1);
