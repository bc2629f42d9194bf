// Writes the package's JavaScript from its TypeScript, file by file: the types and comments stand in the declarations and in the source maps, and pages
// need not load them a second time, nor white space and long names, which the source maps give back. tsc checks the types and writes the declarations.

import { readdirSync } from "node:fs";
import { build } from "esbuild";

const source = "web/src";
await build({
  entryPoints: readdirSync(source, { recursive: true }).filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts")).map((file) => `${source}/${file}`),
  outdir: "web/dist",
  outbase: source,
  format: "esm",
  target: "es2022",
  minifyWhitespace: true,
  minifySyntax: true,
  minifyIdentifiers: true,
  sourcemap: true,
  sourcesContent: true,
  tsconfig: "web/tsconfig.json",
  logLevel: "warning",
});
