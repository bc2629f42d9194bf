// wasm_exec.js is made at build time from Go's own file of that name (web/packaging/wasm-exec.mjs).

/** One Go program, as Go's wasm_exec.js offers it. */
export interface GoProgram {
  argv: string[];
  env: Record<string, string>;
  exit: (code: number) => void;
  exited?: boolean;
  readonly importObject: WebAssembly.Imports;
  run(instance: WebAssembly.Instance): Promise<void>;
}

/** Gives the Go class that knows `scope` as its global object, and nothing else. */
export function goIn(scope: object): new () => GoProgram;
