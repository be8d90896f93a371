/** What the viewer measures of the mask on screen, read defensively: it comes by message. */

import { asArray, isObject, Row } from "../xnat/tables";

export interface SegmentMeasured {
  readonly number: number;
  readonly label: string;
  readonly voxels: number;
  readonly volumeMl: number;
}

/** What was drawn since the mask was loaded; kept with the answer under these names. */
export interface Edits {
  readonly strokes: number;
  readonly segments: readonly {
    readonly number: number;
    readonly label: string;
    readonly added_voxels: number;
    readonly removed_voxels: number;
    readonly slices: number;
  }[];
}

export interface Measured {
  readonly segments: readonly SegmentMeasured[];
  readonly edits: Edits;
}

export function readMeasured(data: Record<string, unknown>): Measured {
  const edits = isObject(data["edits"]) ? data["edits"] : {};
  return {
    segments: asArray(data["segments"]).map((each) => {
      const row = new Row(each);
      return {
        number: row.number("number") ?? 0,
        label: row.text("label").slice(0, 100),
        voxels: row.number("voxels") ?? 0,
        volumeMl: row.number("ml") ?? 0,
      };
    }),
    edits: {
      strokes: new Row(edits).number("strokes") ?? 0,
      segments: asArray(edits["segments"]).map((each) => {
        const row = new Row(each);
        return {
          number: row.number("number") ?? 0,
          label: row.text("label").slice(0, 100),
          added_voxels: row.number("added_voxels") ?? 0,
          removed_voxels: row.number("removed_voxels") ?? 0,
          slices: row.number("slices") ?? 0,
        };
      }),
    },
  };
}
