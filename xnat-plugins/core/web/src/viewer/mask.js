/** The mask on screen: its voxels, their volume, and how they differ from what was loaded. */

import { tell } from "./place.js";

export function activeSegmentationId(services) {
  const viewportId = services.viewportGridService.getActiveViewportId();
  const shown = viewportId ? services.segmentationService.getSegmentationRepresentations(viewportId) : [];
  const active = shown.find((each) => each.active) || shown[0] || services.segmentationService.getSegmentations()[0];
  return active ? active.segmentationId : null;
}

const MEASURE_AFTER_MS = 700;

/** The viewer's libraries: {cornerstone, cornerstoneTools}. */
export function cornerstoneOf(managers) {
  const common = managers.extensionManager.getModuleEntry("@ohif/extension-cornerstone.utilityModule.common");
  return common.exports.getCornerstoneLibraries();
}

/** Slices of the mask: numbers of segments (one byte or more for each voxel), and the volume of a voxel in mL. */
export function slicesOf(managers) {
  const id = activeSegmentationId(managers.servicesManager.services);
  const segmentation = id ? managers.servicesManager.services.segmentationService.getSegmentation(id) : null;
  const labelmap = segmentation && segmentation.representationData && segmentation.representationData.Labelmap;
  if (!labelmap) return null;
  const { cache, metaData } = cornerstoneOf(managers).cornerstone;
  const volume = labelmap.volumeId ? cache.getVolume(labelmap.volumeId) : null;
  const imageIds = labelmap.imageIds || (volume && volume.imageIds) || [];
  const images = imageIds.map((each) => cache.getImage(each)).filter(Boolean);
  if (images.length === 0 || images.length < imageIds.length) return null;
  const planes = images.map((image) => metaData.get("imagePlaneModule", image.referencedImageId) || {});
  return {
    id,
    segments: Object.values(segmentation.segments || {}),
    slices: images.map((image) => image.voxelManager.getScalarData()),
    columns: images[0].columns,
    spacing: [images[0].rowPixelSpacing, images[0].columnPixelSpacing],
    voxelMl: (images[0].rowPixelSpacing * images[0].columnPixelSpacing * sliceDistance(planes)) / 1000,
  };
}

/** Distance between neighbouring slices in mm, along their common normal (PS3.3 C.7.6.2.1.1). */
function sliceDistance(planes) {
  const placed = planes.filter((plane) => plane.imagePositionPatient && plane.rowCosines && plane.columnCosines);
  if (placed.length < 2) return (planes[0] && planes[0].sliceThickness) || 1;
  const [r, c] = [placed[0].rowCosines, placed[0].columnCosines];
  const normal = [r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]];
  const along = placed.map((plane) => plane.imagePositionPatient.reduce((sum, x, at) => sum + x * normal[at], 0));
  return (Math.max(...along) - Math.min(...along)) / (placed.length - 1);
}

/** Measures a mask, and compares it with what it was when it was loaded. */
export class Measuring {
  constructor(managers) {
    this.managers = managers;
    this.loaded = null;
    this.strokes = 0;
    this.timer = 0;
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), MEASURE_AFTER_MS);
  }

  now() {
    const mask = slicesOf(this.managers);
    if (!mask) return;
    if (!this.loaded || this.loaded.id !== mask.id) {
      // Only slices with something on them are kept.
      const kept = mask.slices.map((slice) => (slice.some((value) => value !== 0) ? slice.slice() : null));
      this.loaded = { id: mask.id, slices: kept };
      this.strokes = 0;
    }
    const [voxels, changes] = [new Map(), new Map()];
    mask.slices.forEach((slice, at) => compare(slice, this.loaded.slices[at] || null, voxels, changes));
    const named = (number) => {
      const segment = mask.segments.find((each) => each.segmentIndex === number);
      return (segment && segment.label) || "";
    };
    const numbers = [...new Set([...mask.segments.map((each) => each.segmentIndex), ...voxels.keys()])];
    tell({
      type: "overread:measured",
      segments: numbers
        .sort((a, b) => a - b)
        .map((number) => {
          const count = voxels.get(number) || 0;
          return { number, label: named(number), voxels: count, ml: count * mask.voxelMl };
        }),
      edits: {
        strokes: this.strokes,
        segments: [...changes].map(([number, change]) => ({ number, label: named(number), ...change })),
      },
    });
  }
}

/** Count a slice's voxels by segment, and those that a segment gained and lost. */
function compare(now, before, voxels, changes) {
  const touched = new Set();
  const change = (number) => {
    if (!changes.has(number)) changes.set(number, { added_voxels: 0, removed_voxels: 0, slices: 0 });
    touched.add(number);
    return changes.get(number);
  };
  for (let at = 0; at < now.length; at += 1) {
    const [value, was] = [now[at], before === null ? 0 : before[at]];
    if (value !== 0) voxels.set(value, (voxels.get(value) || 0) + 1);
    if (value === was) continue;
    if (value !== 0) change(value).added_voxels += 1;
    if (was !== 0) change(was).removed_voxels += 1;
  }
  for (const number of touched) changes.get(number).slices += 1;
}
