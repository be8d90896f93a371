/** One way to XNAT's REST: session cookie, CSRF token, and answers that are what they say. */

/** XNAT answered otherwise than asked. */
export class XnatError extends Error {
  constructor(
    readonly status: number,
    readonly path: string,
    message: string,
    /** The server's own line; empty where it gave none. */
    readonly said = "",
  ) {
    super(message);
    this.name = "XnatError";
  }
}

/** There is no session, or it ran out. */
export class LoginNeeded extends XnatError {
  constructor(path: string) {
    super(401, path, "Your login has run out.");
    this.name = "LoginNeeded";
  }
}

export type Params = Record<string, string>;
/** What a change sends: parameters of the query, and a JSON document, a plain text or a file as the body. */
export interface Change {
  readonly params?: Params;
  readonly json?: unknown;
  readonly text?: string;
  readonly file?: Blob;
}

export type Fetch = (input: string, init?: RequestInit) => Promise<Response>;

const TEXTS: Record<number, string> = {
  403: "You may not do this in this project. Ask the project's owner for access.",
  404: "XNAT has no such object, or you have no access to it.",
  409: "XNAT refused: something else stands in its place.",
};

export class XnatClient {
  #csrf: string | null = null;

  constructor(private readonly fetch: Fetch = (input, init) => window.fetch(input, init)) {}

  /** GET a JSON document; `null` where XNAT answers 204 (`accept-not-found`). */
  async json(path: string, params: Params = {}): Promise<unknown> {
    const text = await this.text(path, params);
    if (text === "") return null;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new XnatError(200, path, `XNAT's answer to ${path} is not JSON.`);
    }
  }

  /** GET a text. */
  async text(path: string, params: Params = {}): Promise<string> {
    return this.#send("GET", withQuery(path, params));
  }

  /** GET a file. */
  async bytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
    const response = await this.#fetched("GET", path);
    if (!response.ok) throw this.#refused(response.status, path, await response.text());
    // A browser without a session is sent to the login page.
    if ((response.headers.get("Content-Type") ?? "").startsWith("text/html")) throw new LoginNeeded(path);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** GET a JSON document that may be missing or hidden: `null` then. */
  async optionalJson(path: string, params: Params = {}): Promise<unknown> {
    try {
      return await this.json(path, params);
    } catch (error) {
      if (error instanceof LoginNeeded || !(error instanceof XnatError)) throw error;
      if (error.status === 403 || error.status === 404 || error.status === 501) return null;
      throw error;
    }
  }

  /** PUT a JSON document with the session's CSRF token. */
  async putJson(path: string, body: unknown): Promise<unknown> {
    const text = await this.change("PUT", path, { json: body });
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return null;
    }
  }

  /** PUT a small JSON document while the page is left; nobody hears the answer. */
  putOnLeaving(path: string, body: unknown): void {
    if (this.#csrf === null) return; // nothing was changed by this page
    const init = { method: "PUT", headers: { "Content-Type": "application/json" }, keepalive: true };
    const url = withQuery(path, { XNAT_CSRF: this.#csrf });
    void this.fetch(url, { ...init, credentials: "same-origin", body: JSON.stringify(body) }).catch(() => undefined);
  }

  /** Change something, with the session's CSRF token; the answer's text. */
  async change(method: "PUT" | "POST" | "DELETE", path: string, what: Change = {}): Promise<string> {
    const body = what.json === undefined ? (what.file ?? what.text) : JSON.stringify(what.json);
    const kind = what.json !== undefined ? "application/json" : what.file ? "application/octet-stream" : "text/plain";
    const send = async (): Promise<string> =>
      this.#send(method, withQuery(path, { ...what.params, XNAT_CSRF: await this.csrf() }), body, kind);
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof XnatError) || error.status !== 403) throw error;
      this.#csrf = null; // a new login in another tab has a new token
      return send();
    }
  }

  /** The session's token against forged requests (XNAT wants it as a query parameter). */
  async csrf(): Promise<string> {
    if (this.#csrf === null) {
      const text = await this.text("/data/JSESSION", { CSRF: "true" });
      this.#csrf = /XNAT_CSRF=([^;\s]+)/.exec(text)?.[1] ?? "";
    }
    return this.#csrf;
  }

  async #send(method: string, url: string, body?: string | Blob, kind = "application/json"): Promise<string> {
    const path = url.split("?")[0] ?? url;
    const response = await this.#fetched(method, url, body, kind);
    const text = await response.text();
    // A browser without a session is sent to the login page: a page with status 200 instead of the answer.
    if (response.ok && /^\s*<(!doctype html|html)/i.test(text)) throw new LoginNeeded(path);
    if (!response.ok) throw this.#refused(response.status, path, text);
    return text;
  }

  async #fetched(method: string, url: string, body?: string | Blob, kind = "application/json"): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json, text/plain;q=0.9", ...pageHeader() };
    if (body !== undefined) headers["Content-Type"] = kind;
    const path = url.split("?")[0] ?? url;
    let response: Response;
    try {
      response = await this.fetch(url, {
        method,
        headers,
        credentials: "same-origin",
        cache: "no-store",
        body: body ?? null,
      });
    } catch {
      throw new XnatError(0, path, "XNAT cannot be reached. Check the network, then try again.");
    }
    if (response.status === 401) throw new LoginNeeded(path);
    return response;
  }

  #refused(status: number, path: string, text: string): XnatError {
    return new XnatError(status, path, TEXTS[status] ?? `XNAT answered ${status} to ${path}.`, saidIn(text));
  }
}

/** The one line in which XNAT says what is wrong: a text, the heading of its status page, or a document's message. */
function saidIn(body: string): string {
  let line = /<h3>([^<]*)<\/h3>/i.exec(body)?.[1] ?? (/^\s*</.test(body) ? "" : body);
  try {
    const document = JSON.parse(line) as { message?: unknown };
    if (typeof document.message === "string") line = document.message;
  } catch {
    // a plain text
  }
  const signs: Record<string, string> = { lt: "<", gt: ">", quot: '"', "#x27": "'", amp: "&" };
  return line
    .replace(/&(lt|gt|quot|#x27|amp);/g, (_, name: string) => signs[name] ?? "")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 600);
}

/** Tells the server which page asks: pages send no referrer, and the hub's tests hold what they ask against XNAT's routes. */
export function pageHeader(): Record<string, string> {
  return { "X-Overread-Page": globalThis.location?.pathname.split("/").slice(0, 3).join("/") ?? "" };
}

function withQuery(path: string, params: Params): string {
  const query = new URLSearchParams(params).toString();
  return query === "" ? path : `${path}?${query}`;
}

/** Path of XNAT with every part encoded: `path("data", "projects", id)`. */
export function path(...parts: string[]): string {
  return "/" + parts.map(encodeURIComponent).join("/");
}

/** Where the login page sends the reader back to. */
export function loginUrl(next: string): string {
  return `/app/template/Login.vm?next=${encodeURIComponent(next)}`;
}
