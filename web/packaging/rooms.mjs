// What lies where in the module, for the tools beside this file. All paths are relative to the top of the project.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const top = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** The Go rooms that exist. */
export function goRooms() {
  return ["core", "jsbridge", "idbstore", "wasm", "web/test", "web/packaging"].filter((room) => existsSync(join(top, room)));
}

/** Every Go file of the project. */
export function goFiles() {
  return goRooms().flatMap((room) =>
    readdirSync(join(top, room), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith(".go"))
      .map((entry) => relative(top, join(entry.parentPath ?? entry.path, entry.name)).split(sep).join("/")),
  ).sort();
}

/** Every fuzz target: its folder, its name, and how many inputs its corpus has. */
export function fuzzTargets() {
  const targets = [];
  for (const file of goFiles().filter((name) => name.endsWith("_test.go"))) {
    for (const [, name] of readFileSync(join(top, file), "utf8").matchAll(/^func (Fuzz\w+)\(/gm)) {
      const folder = dirname(file);
      const corpus = join(top, folder, "testdata/fuzz", name);
      targets.push({ folder, name, inputs: existsSync(corpus) ? readdirSync(corpus).length : 0 });
    }
  }
  return targets;
}

/** The packages of the module as `go list -json` tells them, for one platform. */
export function packages(goos) {
  const env = goos === "js" ? { ...process.env, GOOS: "js", GOARCH: "wasm" } : process.env;
  const args = ["list", "-e", "-tags", "doorkit", "-json=ImportPath,Imports,TestImports,XTestImports,GoFiles,TestGoFiles,XTestGoFiles", "./..."];
  const text = execFileSync("go", args, { cwd: top, env, encoding: "utf8", maxBuffer: 64 << 20 });
  return JSON.parse(`[${text.replaceAll("\n}\n{", "\n},\n{")}]`);
}
