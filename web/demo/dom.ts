// Elements from values. Text is always set as text, so nothing that was recorded can become markup.

type Child = Node | string | null | false;
type Attributes = Readonly<Record<string, string | number | boolean | ((event: Event) => void)>>;

/** Makes an element. `class` and the like are attributes, a function is a listener, false leaves an attribute out. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

const svgNamespace = "http://www.w3.org/2000/svg";

function svg(attributes: Attributes, ...paths: Attributes[]): SVGSVGElement {
  const root = document.createElementNS(svgNamespace, "svg");
  set(root, attributes);
  for (const path of paths) {
    const element = document.createElementNS(svgNamespace, "path");
    set(element, path);
    root.append(element);
  }
  return root;
}

function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
}

/** What a table's parts are, said aloud: where the style sheet lays them out as something else, a browser may forget. */
const tableRoles: Readonly<Record<string, string>> = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell" };

/** Gives a table and its parts their roles. */
export function withRoles(table: HTMLElement): HTMLElement {
  for (const part of [table, ...table.querySelectorAll("*")]) {
    const role = tableRoles[part.localName] ?? (part.localName === "th" ? (part.getAttribute("scope") === "row" ? "rowheader" : "columnheader") : undefined);
    if (role !== undefined) part.setAttribute("role", role);
  }
  return table;
}

/** The element with an id. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`The page has no element ${id}.`);
  return found;
}

/** Says something on a status line, as good, as bad, or as it is. */
export function say(line: string, kind: "good" | "bad" | "", text: string): void {
  const status = byId(line);
  status.textContent = text;
  status.className = kind === "" ? "status" : `status ${kind}`;
}

/** Replaces what is in an element, and puts the focus back to where it was when that is still there. */
export function fill(element: Element, ...children: Child[]): void {
  const focused = element.contains(document.activeElement) ? (document.activeElement?.id ?? "") : "";
  element.replaceChildren(...children.filter((child) => child !== null && child !== false));
  if (focused !== "") document.getElementById(focused)?.focus();
}

/** A shield in a colour; `label` is for those who do not see it. */
export function shield(color: string, label: string): SVGSVGElement {
  const mark = color === "None" ? "M8.6 11.9l2.3 2.4 4.6-4.9" : "M12 7.6v5.2M12 15.9v.2";
  return svg(
    { class: `shield shield-${color.toLowerCase()}`, viewBox: "0 0 24 24", role: "img", "aria-label": label, width: 20, height: 20 },
    { class: "body", d: "M12 2.6l7.4 2.7v5.9c0 4.7-3 8.3-7.4 10.2-4.4-1.9-7.4-5.5-7.4-10.2V5.3z" },
    { class: "mark", d: mark },
  );
}

/** The first characters of a key or id, with the whole in its title. */
export function short(text: string, length = 10): HTMLElement {
  return el("code", { title: text }, text.length > length ? `${text.slice(0, length)}…` : text);
}

/** A name in camel case, which may be broken before a capital. */
export function breakable(name: string): Child[] {
  return name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((part, i) => (i === 0 ? [part] : [el("wbr"), part]));
}
