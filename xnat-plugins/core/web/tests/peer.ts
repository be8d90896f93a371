/** A small XNAT for tests: answers what it was told to, and remembers what it was asked. */

import { XnatClient } from "../src/xnat/client";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

type Answer = (call: Call) => Response | object | string | Promise<object>;

export class Peer {
  readonly calls: Call[] = [];
  readonly #routes = new Map<string, Answer>();
  readonly client = new XnatClient((input, init) => this.#fetch(input, init));

  constructor() {
    this.on("GET /data/JSESSION", () => "ABC; XNAT_CSRF=token-1");
  }

  /** Answer `"GET /data/..."` with a value, or with what a function makes of the call. */
  on(route: string, answer: Answer | object | string): this {
    this.#routes.set(route, typeof answer === "function" ? (answer as Answer) : () => answer);
    return this;
  }

  async #fetch(input: string, init?: RequestInit): Promise<Response> {
    const url = new URL(input, "http://xnat.test");
    const method = init?.method ?? "GET";
    const body = typeof init?.body === "string" ? (JSON.parse(init.body) as unknown) : null;
    const call = { method, path: decodeURIComponent(url.pathname), query: url.searchParams, body };
    this.calls.push(call);
    const answer = this.#routes.get(`${method} ${call.path}`);
    if (answer === undefined) return new Response("<html><body><h3>Not Found</h3></body></html>", { status: 404 });
    const value = await answer(call);
    if (value instanceof Response) return value;
    return new Response(typeof value === "string" ? value : JSON.stringify(value));
  }
}

export function tableOf(...rows: Record<string, string>[]): object {
  return { ResultSet: { Result: rows, totalRecords: String(rows.length) } };
}

export const HOSTILE = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>';
