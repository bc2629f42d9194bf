// Every failure the package throws or rejects with is a KnownSenderError: a stable code for programs, a sentence for people.

/** A failure with a stable `code`. Codes of the program's own errors come from the room that found them. */
export class KnownSenderError extends Error {
  /** Stable, snake_case. */
  readonly code: string;
  /** What was expected, where that says something. */
  readonly expected: string | undefined;
  /** What came instead. */
  readonly got: string | undefined;

  /** Made by the package. */
  constructor(code: string, message: string, details: { expected?: string | undefined; got?: string | undefined; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "KnownSenderError";
    this.code = code;
    this.expected = details.expected;
    this.got = details.got;
  }
}

/**
 * The program has ended: every call under way and every later one fails with this. `code` is `engine_stopped`; the message names what
 * ended it. Nothing that was stored is lost; open the machine again.
 */
export class EngineStoppedError extends KnownSenderError {
  /** Made by the package. */
  constructor(cause: string, details: { cause?: unknown } = {}) {
    super("engine_stopped", `The knownsender program has ended: ${cause}`, details);
    this.name = "EngineStoppedError";
  }
}

/** The text of anything that was thrown. */
export function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message === "" ? thrown.name : thrown.message;
  try {
    return String(thrown);
  } catch {
    return "something that has no text";
  }
}

/** Makes the error the program described as JSON. */
export function errorFromProgram(json: string): KnownSenderError {
  let told: unknown;
  try {
    told = JSON.parse(json);
  } catch {
    told = null;
  }
  const member = (name: string): string | undefined => {
    if (typeof told !== "object" || told === null) return undefined;
    const value: unknown = Reflect.get(told, name);
    return typeof value === "string" ? value : undefined;
  };
  return new KnownSenderError(member("code") ?? "internal", member("message") ?? "The program failed and did not say why.", {
    expected: member("expected"),
    got: member("got"),
  });
}
