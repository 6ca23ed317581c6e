"use strict";
// What people marked: kept for the next visit, and written as files for other programs.

class Marks {
  /** @param name of the run, under which the browser keeps them */
  constructor(name) {
    this.name = `hqsam marks ${name}`;
    this.keys = new Set();
    try {
      this.keys = new Set(JSON.parse(localStorage.getItem(this.name) ?? "[]"));
    } catch {
      // A browser that keeps nothing for pages from disk: the marks are there until it is closed.
    }
  }

  has(key) {
    return this.keys.has(key);
  }

  toggle(key) {
    if (!this.keys.delete(key)) this.keys.add(key);
    this.keep();
  }

  clear() {
    this.keys.clear();
    this.keep();
  }

  keep() {
    try {
      localStorage.setItem(this.name, JSON.stringify([...this.keys]));
    } catch {
      // As above.
    }
  }
}

/** Text as UTF-8; what Python wrote for bytes of a file name that are none becomes these bytes again. */
function toBytes(text) {
  const encoder = new TextEncoder();
  return text.split(/([\udc80-\udcff])/u).map((part) =>
    /^[\udc80-\udcff]$/u.test(part) ? new Uint8Array([part.charCodeAt(0) & 255]) : encoder.encode(part));
}

function saveFile(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(toBytes(text), { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Paths for `hqsam segment -`, each once; NUL ends them where a name holds a newline, for `hqsam segment -0 -`. */
function fileList(items) {
  const paths = [...new Set(items.map(({ photo }) => photo.path ?? photo.file))];
  const end = paths.some((path) => path.includes("\n")) ? "\0" : "\n";
  return paths.map((path) => path + end).join("");
}

/** The marked masks, and all masks of marked photos, as COCO instances. */
async function cocoSubset(items, summary, shapesOf) {
  const photos = new Set(), masks = new Set();
  for (const item of items) {
    if (item.photo.width) photos.add(item.photo);
    for (const mask of item.masks) masks.add(mask);
  }
  const annotations = await Promise.all([...masks].map(async (mask) => ({
    id: mask.id,
    image_id: mask.photo.id,
    category_id: summary.categories[mask.category].id,
    segmentation: { size: [mask.photo.height, mask.photo.width], counts: (await shapesOf(mask))[0] },
    area: mask.area,
    bbox: mask.box,
    iscrowd: 0,
    ...(mask.score === null ? {} : { score: mask.score }),
    ...(mask.iou === null ? {} : { predicted_iou: mask.iou }),
    suspicion: mask.suspicion,
  })));
  return JSON.stringify({
    info: { ...summary.info, description: `marked in the report of ${summary.title}` },
    images: [...photos].map((p) => ({ id: p.id, file_name: p.file, width: p.width, height: p.height })),
    annotations,
    categories: summary.categories,
  });
}

/** A row a marked mask, and one a marked photo without masks. */
function csvOfMarks(items, summary) {
  const field = (value) => {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = [["file_name", "path", "image_id", "annotation_id", "category", "score", "predicted_iou", "area", "suspicion", "error"]];
  for (const { photo, masks } of items) {
    for (const mask of masks.length ? masks : [null]) {
      const own = mask
        ? [mask.id, summary.categories[mask.category].name, mask.score, mask.iou, mask.area, mask.suspicion]
        : ["", "", "", "", "", ""];
      rows.push([photo.file, photo.path, photo.id, ...own, photo.failure?.text]);
    }
  }
  return rows.map((row) => row.map(field).join(",") + "\r\n").join("");
}
