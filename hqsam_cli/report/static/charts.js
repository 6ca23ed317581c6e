"use strict";
// Histograms, as SVG.

const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 300, height: 120, bottom: 20 };

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/**
 * A histogram with its title.
 *
 * @param scale {from, to, bins, log, format}: where the bars are, and how their borders are written
 */
function histogram(title, values, scale) {
  const { from, to, bins } = scale, unscaled = (v) => (scale.log ? 10 ** v : v);
  const counts = new Array(bins).fill(0);
  for (const value of values) {
    const place = ((scale.log ? Math.log10(Math.max(value, 1e-12)) : value) - from) / (to - from);
    counts[Math.min(Math.max(Math.floor(place * bins), 0), bins - 1)]++;
  }
  const most = Math.max(...counts, 1), floor = CHART.height - CHART.bottom, step = CHART.width / bins;
  const border = (bin) => scale.format(unscaled(from + (bin / bins) * (to - from)));
  const chart = svg("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img" });
  const middle = values.length ? scale.format([...values].sort((a, b) => a - b)[values.length >> 1]) : "–";
  chart.append(svg("title", {}, `${title}: ${values.length} values, median ${middle}`));
  counts.forEach((count, bin) => {
    const high = (floor - 6) * (count / most);
    const bar = svg("rect", { x: bin * step + 1, y: floor - high, width: step - 2, height: Math.max(high, count ? 1.5 : 0) });
    bar.append(svg("title", {}, `${border(bin)} to ${border(bin + 1)}: ${count}`));
    chart.append(bar);
  });
  chart.append(svg("line", { x1: 0, x2: CHART.width, y1: floor, y2: floor }));
  for (const [share, anchor] of [[0, "start"], [0.5, "middle"], [1, "end"]]) {
    chart.append(svg("text", { x: share * CHART.width, y: CHART.height - 5, "text-anchor": anchor }, border(share * bins)));
  }
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  caption.textContent = `${title} · median ${middle}`;
  figure.append(caption, chart);
  return figure;
}

/** The distributions of a run. */
function drawDistributions(place, masks, photos) {
  const plain = (digits) => (value) => value.toFixed(digits);
  const most = Math.max(1, ...photos.map((photo) => photo.masks.length));
  const share = { from: 0, to: 1, bins: 20, format: plain(2) };
  const per = Math.ceil((most + 1) / 20), bins = Math.ceil((most + 1) / per);
  const seconds = {};
  for (const photo of photos) {
    for (const [stage, time] of Object.entries(photo.seconds)) (seconds[stage] ??= []).push(time);
  }
  place.replaceChildren(
    histogram("Suspicion", masks.map((mask) => mask.suspicion), share),
    histogram("Score", masks.map((mask) => mask.score).filter((n) => n !== null), share),
    histogram("Predicted IoU", masks.map((mask) => mask.iou).filter((n) => n !== null), share),
    histogram("Area, % of the image", masks.map((mask) => 100 * mask.share),
      { from: -3, to: 2, bins: 20, log: true, format: (v) => `${+v.toPrecision(1)}` }),
    histogram("Masks per image", photos.filter((photo) => !photo.failure).map((photo) => photo.masks.length),
      { from: 0, to: bins * per, bins, format: plain(0) }),
    ...Object.entries(seconds).map(([stage, times]) =>
      histogram(`Seconds per image, ${stage}`, times, { from: -3, to: 2, bins: 20, log: true, format: (v) => `${+v.toPrecision(1)}` })),
  );
}
