"use strict";
// COCO's run lengths, in the form that is drawn.

/** Runs of set pixels of COCO's compressed counts: [start, end, start, end, …], counted down the columns. */
function decodeRuns(text) {
  const counts = [];
  for (let i = 0; i < text.length; ) {
    let value = 0, shift = 0, code;
    do {
      code = text.charCodeAt(i++) - 48;
      value |= (code & 31) << shift;
      shift += 5;
    } while (code & 32 && i < text.length);
    if (code & 16 && shift < 32) value |= -1 << shift;
    if (counts.length > 2) value += counts[counts.length - 2];
    counts.push(value);
  }
  const runs = new Uint32Array(counts.length & ~1);
  let position = 0;
  for (let i = 0; i < counts.length; i++) {
    position += counts[i];
    if (i < runs.length) runs[i] = position;
  }
  return runs;
}

/** Index of the first run that ends after a position. */
function firstRunAfter(runs, position) {
  let low = 0, high = runs.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[2 * middle + 1] > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * A mask as it is seen through a view: 1 where it is, column by column.
 *
 * @param runs of `decodeRuns`
 * @param size {width, height} of the photo
 * @param view {x, y, scale}: the corner of what is shown, in the photo, and pixels shown a pixel of the photo
 * @param width, height of what is shown
 */
function rasterize(runs, size, view, width, height) {
  const seen = new Uint8Array(width * height);
  for (let column = 0; column < width; column++) {
    const x = Math.floor(view.x + (column + 0.5) / view.scale);
    if (x < 0 || x >= size.width) continue;
    const top = x * size.height, bottom = top + size.height;
    for (let run = firstRunAfter(runs, top); 2 * run < runs.length && runs[2 * run] < bottom; run++) {
      const from = Math.max(runs[2 * run], top) - top, to = Math.min(runs[2 * run + 1], bottom) - top;
      const first = Math.max(Math.ceil((from - view.y) * view.scale - 0.5), 0);
      const last = Math.min(Math.ceil((to - view.y) * view.scale - 0.5), height);
      if (last > first) seen.fill(1, column * height + first, column * height + last);
    }
  }
  return seen;
}
