/**
 * Making elements. Everything that comes from DICOM, XNAT or a form goes in as text or as an attribute value: nothing
 * in this app parses it as HTML.
 */

export type Child = Node | string | null;
type Attributes = Record<string, string | number | boolean | null>;

const SVG = "http://www.w3.org/2000/svg";
/** Attributes whose value could be run: never set from here. */
const REFUSED = /^(on|srcdoc$|style$)/i;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (REFUSED.test(name)) throw new Error(`attribute ${name} is not set by el(); use a listener or a class`);
    if ((name === "href" || name === "src") && !/^[/#?]/.test(String(value))) {
      throw new Error(`${name} must lead into this site: it begins with "/", "?" or "#"`);
    }
    if (value === null || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null) element.append(child);
  return element;
}

/** Replace everything in `parent`. */
export function show(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...children.filter((child) => child !== null));
}

/** Root of the page. */
export function app(): HTMLElement {
  const root = document.getElementById("app");
  if (root === null) throw new Error("the page has no element #app");
  return root;
}
