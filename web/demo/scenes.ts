// The scenes: what is done in the page and what is then to be seen, as data (scenes.json). The page plays them for whoever looks at it, make demo
// plays them with a browser's own clicks, and make pictures draws what they come to: nobody has a list of his own.

/** What is done: a thing is clicked, chosen, or filled in. A selector after ` >> ` is looked for in the frame before it. */
export type Action = readonly ["click" | "check", string] | readonly ["fill", string, string];

/** What is to be seen: of everything that the selector finds, in order, the text or an attribute. */
export interface Expectation {
  readonly what: string;
  readonly at: string;
  /** `text`, or the name of an attribute. */
  readonly read: string;
  readonly is: readonly string[];
}

export interface Scene {
  readonly name: string;
  /** The part of the page that it is played in. */
  readonly section: string;
  readonly title: string;
  readonly done: readonly Action[];
  readonly expected: readonly Expectation[];
}

/** What became of a scene. */
export interface Played {
  readonly scene: Scene;
  /** What is not as expected, a sentence each. */
  readonly wrong: readonly string[];
}

/** How long what was done may take to be seen, in milliseconds. */
const patience = 20_000;

/** Plays a scene. `shown` is called with what is about to be touched, and may take its time. */
export async function play(scene: Scene, shown: (element: HTMLElement) => Promise<void>): Promise<Played> {
  for (const action of scene.done) {
    const element = await find(action[1]);
    await idle(element.ownerDocument);
    // What is switched off has nothing to do.
    if (element.getAttribute("aria-disabled") === "true") continue;
    await shown(element);
    if (action[0] === "fill") {
      (element as HTMLInputElement).value = action[2];
      element.dispatchEvent(new Event("input", { bubbles: true }));
    } else element.click();
    await pause(20); // it is under way
    await idle(element.ownerDocument);
  }
  for (let waited = 0; ; waited += 50) {
    const wrong = scene.expected.flatMap(({ what, at, read, is }) => {
      const got = look(at, read);
      return JSON.stringify(got) === JSON.stringify(is) ? [] : [`${what}: expected ${is.join(", ")}; there is ${got.join(", ") || "nothing"}`];
    });
    if (wrong.length === 0 || waited > patience) return { scene, wrong };
    await pause(50);
  }
}

/** The document and the selector that a selector of the list means. */
function place(at: string): { readonly root: Document | null; readonly selector: string } {
  const [first = "", second] = at.split(" >> ");
  if (second === undefined) return { root: document, selector: first };
  return { root: document.querySelector<HTMLIFrameElement>(first)?.contentDocument ?? null, selector: second };
}

async function find(at: string): Promise<HTMLElement> {
  document.querySelector(at.split(" >> ")[0] ?? "")?.scrollIntoView({ block: "nearest" }); // a frame is loaded when it is near
  for (let waited = 0; waited < patience; waited += 50, await pause(50)) {
    const { root, selector } = place(at);
    const found = root?.querySelector<HTMLElement>(selector);
    if (found != null) return found;
  }
  throw new Error(`The page has no ${at}.`);
}

function look(at: string, read: string): string[] {
  const { root, selector } = place(at);
  return [...(root?.querySelectorAll(selector) ?? [])].map((element) => (read === "text" ? element.textContent : element.getAttribute(read)) ?? "");
}

/** Resolves when nothing in a document says that it is busy. */
async function idle(root: Document): Promise<void> {
  while (root.querySelector('[aria-busy="true"]') !== null) await pause(20);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
