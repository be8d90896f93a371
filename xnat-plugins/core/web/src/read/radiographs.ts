/** Radiographs of an exam, one at a time: window by dragging, zoom by the wheel, the model's boxes on them. */

import { el, show, svg } from "../ui/dom";
import { t } from "../ui/i18n";
import type { Finding } from "../xnat/images";
import { type Radiograph, painted, type Window1D } from "./dicom";
import { fitted, panned, type Placement, type Size, zoomed } from "./view";

const ZOOM_STEP = 1.25;
const THUMBNAIL_PX = 96;

export class Radiographs {
  readonly element = el("div", { class: "radiographs" });
  readonly #canvas = el("canvas", { class: "radiograph" });
  readonly #boxes = svg("svg", { class: "boxes", "aria-hidden": "true" });
  readonly #frame = el("div", {
    class: "radiograph-frame",
    tabindex: 0,
    role: "application",
    "aria-label": t(
      "Radiograph: arrow keys move, plus and minus zoom, I inverts, 0 resets, page keys change the image",
    ),
  });
  readonly #caption = el("p", { class: "caption", role: "status" });
  readonly #list = el("div", { class: "thumbnails", role: "tablist", "aria-label": t("Images") });
  #images: readonly Radiograph[] = [];
  #findings: readonly Finding[] = [];
  #shown = 0;
  #window: Window1D = { centre: 0, width: 1 };
  #inverted = false;
  #place: Placement = { scale: 1, x: 0, y: 0 };
  #wasFitted = true;
  #drawing = 0;

  constructor() {
    this.#frame.append(this.#canvas, this.#boxes);
    show(this.element, this.#bar(), el("div", { class: "radiograph-row" }, this.#list, this.#frame));
    this.#listen();
    new ResizeObserver(() => this.#resized()).observe(this.#frame);
  }

  /** Show these, the first at once; `findings` are drawn on the image they name. */
  load(images: readonly Radiograph[], findings: readonly Finding[]): void {
    this.#images = images;
    this.#findings = findings;
    show(this.#list, ...images.map((image, index) => this.#thumbnail(image, index)));
    this.#list.hidden = images.length < 2;
    const first = images.findIndex((image) =>
      findings.some((each) => each.box?.sopInstanceUid === image.sopInstanceUid),
    );
    if (images.length > 0) this.open(Math.max(first, 0));
  }

  /** Draw these on the images that they name. */
  mark(findings: readonly Finding[]): void {
    this.#findings = findings;
    const image = this.#image;
    if (image !== null) this.#drawBoxes(image);
  }

  open(index: number): void {
    const image = this.#images[index];
    if (image === undefined) return;
    this.#shown = index;
    this.#window = image.window;
    this.#inverted = false;
    this.#canvas.width = image.columns;
    this.#canvas.height = image.rows;
    this.#list.querySelectorAll("button").forEach((button, at) => {
      button.setAttribute("aria-selected", String(at === index));
      button.tabIndex = at === index ? 0 : -1;
    });
    this.#drawBoxes(image);
    this.fit();
    this.#paint();
  }

  /** The next image, after the last the first again; `step` -1 for the one before. */
  turn(step: number): void {
    if (this.#images.length > 1) this.open((this.#shown + step + this.#images.length) % this.#images.length);
  }

  fit(): void {
    const image = this.#image;
    if (image === null) return;
    this.#wasFitted = true;
    this.#put(fitted(sizeOf(image), this.#room));
  }

  /** Larger or smaller about the middle of the frame. */
  zoom(factor: number): void {
    this.#zoomAt(factor, { x: this.#room.width / 2, y: this.#room.height / 2 });
  }

  invert(): void {
    this.#inverted = !this.#inverted;
    this.#paint();
  }

  reset(): void {
    this.open(this.#shown);
  }

  get #image(): Radiograph | null {
    return this.#images[this.#shown] ?? null;
  }

  get #room(): Size {
    return { width: Math.max(this.#frame.clientWidth, 1), height: Math.max(this.#frame.clientHeight, 1) };
  }

  #bar(): HTMLElement {
    const button = (words: string, sign: string, act: () => void): HTMLElement => {
      const made = el("button", { type: "button", class: "small", "aria-label": words, title: words }, sign);
      made.addEventListener("click", act);
      return made;
    };
    return el(
      "div",
      { class: "bar" },
      button(t("Image before"), "\u2039", () => this.turn(-1)),
      button(t("Image after"), "\u203A", () => this.turn(1)),
      button(t("Smaller"), "\u2212", () => this.zoom(1 / ZOOM_STEP)),
      button(t("Larger"), "+", () => this.zoom(ZOOM_STEP)),
      button(t("Invert"), "\u25D0", () => this.invert()),
      button(t("Reset"), "\u21BA", () => this.reset()),
      this.#caption,
    );
  }

  #thumbnail(image: Radiograph, index: number): HTMLElement {
    const scale = Math.min(THUMBNAIL_PX / image.columns, THUMBNAIL_PX / image.rows);
    const small = el("canvas", {
      width: Math.max(Math.round(image.columns * scale), 1),
      height: Math.max(Math.round(image.rows * scale), 1),
      "aria-hidden": "true",
    });
    const whole = el("canvas", { width: image.columns, height: image.rows });
    put(whole, image, image.window, false);
    small.getContext("2d")?.drawImage(whole, 0, 0, small.width, small.height);
    const name = captionOf(image, index);
    const button = el("button", { type: "button", role: "tab", "aria-label": name, title: name }, small);
    button.addEventListener("click", () => this.open(index));
    return button;
  }

  #listen(): void {
    const frame = this.#frame;
    frame.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const edge = frame.getBoundingClientRect();
        this.#zoomAt(Math.exp(-event.deltaY / 500), { x: event.clientX - edge.left, y: event.clientY - edge.top });
      },
      { passive: false },
    );
    frame.addEventListener("contextmenu", (event) => event.preventDefault());
    frame.addEventListener("dblclick", () => this.reset());
    frame.addEventListener("pointerdown", (event) => {
      frame.focus({ preventScroll: true });
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener("pointermove", (event) => {
      if (!frame.hasPointerCapture(event.pointerId)) return;
      // The left button windows, as in a PACS; with Shift, or another button, it moves.
      if (event.buttons === 1 && !event.shiftKey) this.#windowBy(event.movementX, event.movementY);
      else this.#panBy(event.movementX, event.movementY);
    });
    frame.addEventListener("keydown", (event) => this.#onKey(event));
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const acts: Record<string, () => void> = {
      ArrowLeft: () => this.#panBy(40, 0),
      ArrowRight: () => this.#panBy(-40, 0),
      ArrowUp: () => this.#panBy(0, 40),
      ArrowDown: () => this.#panBy(0, -40),
      "+": () => this.zoom(ZOOM_STEP),
      "-": () => this.zoom(1 / ZOOM_STEP),
      i: () => this.invert(),
      "0": () => this.reset(),
      PageDown: () => this.turn(1),
      PageUp: () => this.turn(-1),
    };
    const act = acts[event.key];
    if (act === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  #windowBy(dx: number, dy: number): void {
    const image = this.#image;
    if (image === null) return;
    // As many grey values for a pixel of the mouse as make the whole window a hand's width.
    const step = image.window.width / 400;
    this.#window = {
      centre: this.#window.centre + dy * step * (image.inverted !== this.#inverted ? -1 : 1),
      width: Math.max(this.#window.width + dx * step, 2),
    };
    this.#paint();
  }

  #panBy(dx: number, dy: number): void {
    const image = this.#image;
    if (image !== null) this.#put(panned(this.#place, dx, dy, sizeOf(image), this.#room));
  }

  #zoomAt(factor: number, at: { readonly x: number; readonly y: number }): void {
    const image = this.#image;
    if (image === null) return;
    this.#put(zoomed(this.#place, factor, at, sizeOf(image), this.#room));
    this.#wasFitted = this.#place.scale <= fitted(sizeOf(image), this.#room).scale;
  }

  #resized(): void {
    if (this.#wasFitted) this.fit();
    else this.#panBy(0, 0);
  }

  #put(place: Placement): void {
    this.#place = place;
    const image = this.#image;
    if (image === null) return;
    const move = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
    this.#canvas.style.transform = move;
    this.#canvas.style.imageRendering = place.scale > 3 ? "pixelated" : "auto";
    this.#boxes.style.transform = move;
    this.#boxes.style.setProperty("--unit", String(1 / place.scale));
  }

  /** Once for each frame of the screen, however often the mouse moves. */
  #paint(): void {
    cancelAnimationFrame(this.#drawing);
    this.#drawing = requestAnimationFrame(() => {
      const image = this.#image;
      if (image === null) return;
      put(this.#canvas, image, this.#window, this.#inverted);
      const { centre, width } = this.#window;
      this.#caption.textContent = `${captionOf(image, this.#shown)} \u00B7 ${t("window {centre} / {width}", {
        centre: Math.round(centre),
        width: Math.round(width),
      })}`;
    });
  }

  #drawBoxes(image: Radiograph): void {
    this.#boxes.setAttribute("viewBox", `0 0 ${image.columns} ${image.rows}`);
    this.#boxes.setAttribute("width", String(image.columns));
    this.#boxes.setAttribute("height", String(image.rows));
    const here = this.#findings.filter((each) => each.box?.sopInstanceUid === image.sopInstanceUid);
    this.#boxes.replaceChildren(
      ...here.map((finding, index) => {
        const box = finding.box!;
        return svg(
          "g",
          { class: `box side-${index % 2}`, "data-side": finding.side, "data-class": finding.class },
          svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height }),
          svg("text", { x: box.x, y: box.y }, findingWords(finding)),
        );
      }),
    );
  }
}

/** "right: fracture 87 %". */
export function findingWords(finding: Finding): string {
  const sure = finding.confidence === null ? "" : ` ${Math.round(finding.confidence * 100)}\u00A0%`;
  const side = finding.side === "left" ? t("left") : finding.side === "right" ? t("right") : "";
  return `${side === "" ? "" : `${side}: `}${finding.class.replaceAll(/[-_]/g, " ")}${sure}`;
}

function put(canvas: HTMLCanvasElement, image: Radiograph, window: Window1D, inverted: boolean): void {
  const pixels = new ImageData(painted(image, window, inverted), image.columns, image.rows);
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

function captionOf(image: Radiograph, index: number): string {
  const words = [image.description, image.view, image.laterality].filter((part) => part !== "");
  return [t("Image {number}", { number: index + 1 }), ...words].join(" \u00B7 ");
}

function sizeOf(image: Radiograph): Size {
  return { width: image.columns, height: image.rows };
}
