/**
 * A mask that was drawn and not saved, kept in this browser (IndexedDB) so that it outlives a crash of it.
 *
 * One for each reader and exam; it never leaves this computer, and is forgotten once it is saved, discarded, or old.
 */

import { asArray, isObject, Row } from "../xnat/tables";

/** Slices that were changed since the mask was loaded, as the viewer tells them. */
export interface Draft {
  /** Slices of the whole mask. */
  readonly count: number;
  readonly slices: readonly { readonly at: number; readonly values: Uint8Array | Uint16Array }[];
  readonly segments: readonly { readonly number: number; readonly label: string }[];
}

export interface Kept {
  /** Series of the mask that it was drawn on; empty for none. */
  readonly segSeriesUid: string;
  readonly keptAt: string;
  readonly draft: Draft;
}

const STORE = "masks";
const FORGOTTEN_AFTER_MS = 14 * 24 * 60 * 60 * 1000;

export class Rescue {
  readonly #key: string;

  constructor(login: string, project: string, examId: string) {
    this.#key = [login, project, examId].map(encodeURIComponent).join("/");
  }

  async keep(segSeriesUid: string, draft: Draft): Promise<void> {
    const kept: Kept = { segSeriesUid, keptAt: new Date().toISOString(), draft };
    await this.#do("readwrite", (store) => store.put(kept, this.#key));
  }

  /** What was kept; `null` where nothing was, or the browser keeps nothing. */
  async find(): Promise<Kept | null> {
    const found = readKept(await this.#do("readonly", (store) => store.get(this.#key)));
    if (found === null || Date.now() - Date.parse(found.keptAt) < FORGOTTEN_AFTER_MS) return found;
    await this.drop();
    return null;
  }

  async drop(): Promise<void> {
    await this.#do("readwrite", (store) => store.delete(this.#key));
  }

  /** One request in a transaction of its own; waits until it is on disk. A browser may refuse storage: `null` then. */
  async #do(mode: IDBTransactionMode, run: (store: IDBObjectStore) => IDBRequest): Promise<unknown> {
    try {
      const database = await opened();
      try {
        return await new Promise<unknown>((resolve, reject) => {
          const transaction = database.transaction(STORE, mode, { durability: "strict" });
          const request = run(transaction.objectStore(STORE));
          transaction.oncomplete = () => resolve(request.result);
          transaction.onerror = transaction.onabort = () => reject(transaction.error ?? new Error("aborted"));
        });
      } finally {
        database.close();
      }
    } catch {
      return null;
    }
  }
}

function opened(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = window.indexedDB.open("overread", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no storage"));
  });
}

/** A draft as it came in a message; `null` if it is none. */
export function readDraft(value: unknown): Draft | null {
  if (!isObject(value)) return null;
  const count = new Row(value).number("count");
  const slices = asArray(value["slices"]).flatMap((each) => {
    if (!isObject(each)) return [];
    const [at, values] = [new Row(each).number("at"), each["values"]];
    return at !== null && (values instanceof Uint8Array || values instanceof Uint16Array) ? [{ at, values }] : [];
  });
  const segments = asArray(value["segments"]).map((each) => {
    const row = new Row(each);
    return { number: row.number("number") ?? 0, label: row.text("label") };
  });
  return count === null || slices.length === 0 ? null : { count, slices, segments };
}

function readKept(value: unknown): Kept | null {
  if (!isObject(value)) return null;
  const [row, draft] = [new Row(value), readDraft(value["draft"])];
  return draft === null ? null : { segSeriesUid: row.text("segSeriesUid"), keptAt: row.text("keptAt"), draft };
}
