/** How an exam is hung: the first series of the address, and the mask on it. */

import { firstSeries } from "./place.js";

const imageRules = [
  { attribute: "Modality", constraint: { doesNotEqual: "SEG" }, required: true },
  { attribute: "numImageFrames", constraint: { greaterThan: { value: 0 } }, required: true },
];
if (firstSeries) {
  imageRules.push({ attribute: "SeriesInstanceUID", constraint: { equals: { value: firstSeries } }, required: true });
}

export const protocol = {
  id: "review",
  name: "Review",
  protocolMatchingRules: [],
  displaySetSelectors: {
    image: { seriesMatchingRules: imageRules },
    mask: {
      seriesMatchingRules: [{ attribute: "Modality", constraint: { equals: { value: "SEG" } }, required: true }],
    },
  },
  stages: [
    {
      name: "review",
      viewportStructure: { layoutType: "grid", properties: { rows: 1, columns: 1 } },
      viewports: [
        {
          viewportOptions: {
            viewportType: "stack",
            toolGroupId: "default",
            initialImageOptions: { preset: "middle" },
          },
          displaySets: [{ id: "image" }, { id: "mask" }],
        },
      ],
    },
  ],
};
