"use strict";
// The page: what is in the data, what is shown of it, and what people do with it.

const run = { summary: null, photos: [], masks: [], shapes: [] };

/** What the files in data/ call: the run as a whole, photos with the figures of their masks, and shapes of masks. */
const hqsam = {
  summary(summary) {
    run.summary = summary;
  },
  photos(rows) {
    for (const { masks, ...photo } of rows) {
      photo.masks = [];
      run.photos.push(photo);
      masks.forEach((row, place) => {
        const mask = Object.fromEntries(run.summary.columns.map((name, i) => [name, row[i]]));
        mask.share = mask.area / (photo.width * photo.height);
        Object.assign(mask, { photo, place, color: instanceColor(place) });
        photo.masks.push(mask);
        run.masks.push(mask);
      });
    }
  },
  shapes(chunk, shapes) {
    run.shapes[chunk] = shapes;
  },
};

const element = (id) => document.getElementById(id);
const waiting = new Map();

/** COCO's counts of a mask, and of SAM's beside it; their file is loaded when the first of its masks is asked for. */
async function shapesOf(mask) {
  const size = run.summary.shapes_a_file, chunk = Math.floor(mask.rank / size);
  if (!waiting.has(chunk)) {
    waiting.set(chunk, new Promise((resolve) => {
      const script = document.createElement("script");
      script.src = `data/shapes-${chunk}.js`;
      script.onload = resolve;
      script.onerror = resolve; // the photo is shown without it
      document.head.append(script);
    }));
  }
  await waiting.get(chunk);
  return run.shapes[chunk]?.[mask.rank % size] ?? [];
}

/** What `drawScene` draws of a mask. */
async function sceneOf(mask) {
  const [runs, sam] = (await shapesOf(mask)).map(decodeRuns);
  return { ...mask, runs, sam: mask.sam && sam ? { runs: sam, box: mask.sam } : null };
}

/** What cells stand for: masks, and photos that have none; or photos. */
function makeItems(unit) {
  const item = (photo, mask) => {
    const masks = mask ? [mask] : photo.masks;
    const least = (name) => Math.min(...masks.map((own) => own[name] ?? 2), 2);
    const names = masks.map((own) => `${run.summary.categories[own.category].name} ${own.id}`);
    return {
      key: mask ? `mask ${photo.file} ${mask.id}` : `photo ${photo.file}`,
      photo,
      mask,
      masks,
      suspicion: Math.max(-1, ...masks.map((own) => own.suspicion)),
      score: least("score"),
      iou: least("iou"),
      share: masks.reduce((sum, own) => sum + own.share, 0),
      text: `${photo.file} ${names.join(" ")}`.toLowerCase(),
    };
  };
  return run.photos.flatMap((photo) =>
    unit === "masks" && photo.masks.length ? photo.masks.map((mask) => item(photo, mask)) : [item(photo, null)]);
}

const SORTS = {
  suspicion: ["most suspicious first", (a, b) => b.suspicion - a.suspicion],
  score: ["lowest score first", (a, b) => a.score - b.score],
  iou: ["lowest predicted IoU first", (a, b) => a.iou - b.iou],
  large: ["largest first", (a, b) => b.share - a.share],
  small: ["smallest first", (a, b) => a.share - b.share],
  file: ["as in the run", () => 0],
};
const UNITS = { masks: "masks", photos: "images" };

function wanted() {
  const number = (id, otherwise) => (element(id).value === "" ? otherwise : Number(element(id).value));
  const search = element("search").value.trim().toLowerCase(), category = element("category").value;
  const state = element("state").value;
  const score = [number("score-from", -Infinity), number("score-to", Infinity)];
  const area = [number("area-from", -Infinity) / 100, number("area-to", Infinity) / 100];
  const ranged = [...score, ...area].some(Number.isFinite) || category !== "";
  const states = {
    masks: (item) => item.masks.length > 0,
    empty: (item) => !item.masks.length && !item.photo.failure,
    failed: (item) => item.photo.failure !== null,
    marked: (item) => marks.has(item.key),
  };
  const suits = (mask) =>
    (category === "" || mask.category === Number(category)) &&
    (score.every((n) => !Number.isFinite(n)) || (mask.score >= score[0] && mask.score <= score[1])) &&
    mask.share >= area[0] && mask.share <= area[1];
  return (item) =>
    (!search || item.text.includes(search)) &&
    (!state || states[state](item)) &&
    (!ranged || item.masks.some(suits));
}

function describeItem({ photo, mask, masks }) {
  if (photo.failure) return `${photo.file}, failed: ${photo.failure.reason}`;
  if (!mask) return `${photo.file}, ${masks.length} masks`;
  const name = run.summary.categories[mask.category].name;
  return `${name} in ${photo.file}, suspicion ${mask.suspicion.toFixed(2)}`;
}

function captionOf({ photo, mask, masks, suspicion }) {
  if (photo.failure) return ["failed", photo.failure.reason, photo.file];
  if (!masks.length) return ["no masks", "", photo.file];
  if (!mask) return [`${masks.length} masks`, `suspicion ${suspicion.toFixed(2)}`, photo.file];
  const score = mask.score === null ? "" : ` · score ${mask.score.toFixed(2)}`;
  return [run.summary.categories[mask.category].name, `suspicion ${mask.suspicion.toFixed(2)}${score}`, photo.file];
}

function factsOf({ photo, mask, masks }) {
  const size = photo.width ? [["Image", `${photo.width} × ${photo.height}, id ${photo.id}`]] : [];
  const failure = photo.failure
    ? [["Failed", photo.failure.text], ...(photo.failure.remedy ? [["Remedy", photo.failure.remedy]] : [])]
    : [];
  if (!mask) return [...failure, ...size, ["Masks", String(masks.length)]];
  const decimals = (value) => (value === null ? "–" : value.toFixed(3));
  return [
    ["Category", run.summary.categories[mask.category].name],
    ["Suspicion", `${mask.suspicion.toFixed(2)}, rank ${mask.rank + 1} of ${run.masks.length}`],
    ["Score", decimals(mask.score)],
    ["Predicted IoU", decimals(mask.iou)],
    ["Area", `${mask.area} pixels, ${(100 * mask.share).toPrecision(3)} %`],
    ["Annotation", String(mask.id)],
    ...size,
  ];
}

function partsOf({ mask }) {
  if (!mask) return [];
  return run.summary.parts.map(([, words], i) => [words, mask.parts[i]]).filter(([, share]) => share >= 0.005)
    .sort((a, b) => b[1] - a[1]);
}

/** Draw a cell: the mask with its surroundings, or the whole photo. */
async function paintCell(canvas, item) {
  const { photo, mask, masks } = item;
  if (!photo.width) return;
  const draw = { mask: element("draw-mask").checked, contour: element("draw-contour").checked, box: element("draw-box").checked };
  const view = mask ? viewOfBox(photo, mask.box, canvas.width, canvas.height, 0.4) : viewOfAll(photo, canvas.width, canvas.height);
  const [picture, ...scene] = await Promise.all([loadPicture(photo.thumb), ...masks.map(sceneOf)]);
  inTurn(() => canvas.isConnected && drawScene(canvas, picture, photo, view, scene, draw));
}

let marks, gallery, viewer, items = [];

function refresh() {
  const unit = element("unit").value, fits = wanted();
  if (items.unit !== unit) {
    items = makeItems(unit);
    items.unit = unit;
  }
  const shown = items.filter(fits).sort(SORTS[element("sort").value][1]);
  element("gallery").setAttribute("aria-label", `${UNITS[unit]} of the run`);
  element("count").textContent = `${shown.length} of ${items.length} ${unit === "masks" ? "masks, and images without" : "images"}`;
  element("nothing").hidden = shown.length > 0;
  gallery.show(shown);
}

function markedItems() {
  const found = ["masks", "photos"].flatMap((unit) => (unit === items.unit ? items : makeItems(unit)));
  const unique = new Map(found.filter((item) => marks.has(item.key)).map((item) => [item.key, item]));
  return [...unique.values()];
}

function sayMarks() {
  const count = markedItems().length;
  element("marks").textContent = count ? `${count} marked` : "";
  element("exports").hidden = !count;
  gallery.relabel();
}

function toggleMark(item) {
  marks.toggle(item.key);
  sayMarks();
}

function fillHead() {
  const { title, made, totals, failures, categories } = run.summary;
  document.title = `${title}: hqsam report`;
  element("title").textContent = `Report of ${title}`;
  element("made").textContent = made;
  element("totals").replaceChildren(...totals.map(([name, value]) => {
    const box = document.createElement("div"), term = document.createElement("dt"), fact = document.createElement("dd");
    term.textContent = name;
    fact.textContent = value;
    box.append(term, fact);
    return box;
  }));
  for (const [name, [words]] of Object.entries(SORTS)) element("sort").append(new Option(words, name));
  categories.forEach((category, i) => element("category").append(new Option(`${category.name} (${category.masks})`, i)));
  if (!failures.length) return;
  element("failures").hidden = false;
  const total = failures.reduce((sum, group) => sum + group.files.length, 0);
  element("failures").querySelector("summary").textContent = `Failures (${total})`;
  element("failures").querySelector(".body").replaceChildren(...failures.flatMap(({ reason, remedy, files }) => {
    const head = document.createElement("h3"), what = document.createElement("p"), list = document.createElement("ul");
    head.textContent = `${reason} (${files.length})`;
    what.textContent = remedy ? `What to do: ${remedy}` : "";
    list.replaceChildren(...files.map(([file, detail]) => {
      const entry = document.createElement("li"), name = document.createElement("code");
      name.textContent = file;
      entry.append(name, detail ? ` ${detail}` : "");
      return entry;
    }));
    return [head, what, list];
  }));
}

document.addEventListener("DOMContentLoaded", () => {
  marks = new Marks(run.summary.name);
  fillHead();
  gallery = new Gallery(element("gallery"), {
    describe: describeItem,
    caption: captionOf,
    marked: (item) => marks.has(item.key),
    paint: paintCell,
    open: (index) => viewer.open(index),
    mark: toggleMark,
  });
  viewer = new Viewer(element("viewer"), {
    items: () => gallery.items,
    scene: sceneOf,
    marked: (item) => marks.has(item.key),
    mark: toggleMark,
    go: (index) => gallery.select(index),
    facts: factsOf,
    parts: partsOf,
  });
  element("viewer").addEventListener("close", () => element("gallery").focus({ preventScroll: true }));
  element("distributions").addEventListener("toggle", () =>
    drawDistributions(element("distributions").querySelector(".body"), run.masks, run.photos), { once: true });
  const tools = element("tools");
  element("filters").open = innerWidth > 600;
  element("view-sam").parentElement.hidden = !run.masks.some((mask) => mask.sam);
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("reset", () => setTimeout(refresh));
  element("reset-too").addEventListener("click", () => tools.reset());
  tools.addEventListener("input", (event) => {
    if (event.target.id.startsWith("draw-")) gallery.repaint();
    else refresh();
  });
  const { summary } = run;
  element("export-list").addEventListener("click", () => saveFile("marked.txt", fileList(markedItems()), "text/plain"));
  element("export-csv").addEventListener("click", () => saveFile("marked.csv", csvOfMarks(markedItems(), summary), "text/csv"));
  element("export-coco").addEventListener("click", async () =>
    saveFile("marked.json", await cocoSubset(markedItems(), summary, shapesOf), "application/json"));
  element("clear").addEventListener("click", () => {
    marks.clear();
    sayMarks();
  });
  refresh();
  sayMarks();
  element("gallery").focus({ preventScroll: true });
});
