/** Where an image lies in its frame: fitted, zoomed about a point, moved. Decided without a page. */

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Image pixels to frame: `frame = offset + scale * image`. */
export interface Placement {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

const CLOSEST = 16;

/** The whole image, centred. */
export function fitted(image: Size, frame: Size): Placement {
  const scale = Math.min(frame.width / image.width, frame.height / image.height);
  return {
    scale,
    x: (frame.width - image.width * scale) / 2,
    y: (frame.height - image.height * scale) / 2,
  };
}

/** Larger or smaller by `factor`; the point under `at` (in the frame) stays where it is. */
export function zoomed(
  now: Placement,
  factor: number,
  at: { readonly x: number; readonly y: number },
  image: Size,
  frame: Size,
): Placement {
  const least = fitted(image, frame).scale;
  const scale = Math.min(Math.max(now.scale * factor, least), Math.max(CLOSEST, least));
  const moved = {
    scale,
    x: at.x - ((at.x - now.x) * scale) / now.scale,
    y: at.y - ((at.y - now.y) * scale) / now.scale,
  };
  return kept(moved, image, frame);
}

export function panned(now: Placement, dx: number, dy: number, image: Size, frame: Size): Placement {
  return kept({ ...now, x: now.x + dx, y: now.y + dy }, image, frame);
}

/** The image never leaves the frame: what is smaller than it is centred, what is larger covers it. */
function kept(now: Placement, image: Size, frame: Size): Placement {
  const along = (offset: number, length: number, room: number): number =>
    length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, offset));
  return {
    scale: now.scale,
    x: along(now.x, image.width * now.scale, frame.width),
    y: along(now.y, image.height * now.scale, frame.height),
  };
}
