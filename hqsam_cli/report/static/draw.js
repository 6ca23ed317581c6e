"use strict";
// A photo, or a part of it, with masks, contours and boxes over it.

const DARK_LINE = "rgba(0, 0, 0, 0.75)";

/** The color of the instance at a place in its image: hues a golden section apart, as in `hqsam show`. */
function instanceColor(place) {
  const hue = (0.58 + 0.618034 * place) % 1, saturation = 190 / 255;
  return [5, 3, 1].map((n) => {
    const k = (n + hue * 6) % 6;
    return Math.round(255 * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  });
}

/** The part of a photo that shows a box with its surroundings, of the shape of what it is drawn on. */
function viewOfBox(photo, box, width, height, margin) {
  const [x, y, w, h] = box;
  const wanted = Math.max(w, h) * (1 + 2 * margin) + 8;
  const scale = Math.min(width / Math.max(Math.min(wanted, photo.width), (w + 8)),
    height / Math.max(Math.min(wanted, photo.height), (h + 8)));
  const clamp = (middle, seen, whole) =>
    seen >= whole ? (whole - seen) / 2 : Math.min(Math.max(middle - seen / 2, 0), whole - seen);
  return { x: clamp(x + w / 2, width / scale, photo.width), y: clamp(y + h / 2, height / scale, photo.height), scale };
}

/** The whole of a photo. */
function viewOfAll(photo, width, height) {
  return viewOfBox(photo, [0, 0, photo.width, photo.height], width, height, 0);
}

/**
 * Draw a photo and masks on a canvas.
 *
 * @param canvas whose width and height say how many pixels there are
 * @param picture an image of the photo, of any size, or null
 * @param photo {width, height} of the photo
 * @param shapes [{runs, box, asked, color, sam}]; the box that was asked for, if there was one, is dashed, and the
 *   contour of SAM's mask {runs, box} dotted
 * @param draw {mask, contour, box, sam}: what to draw of them
 */
function drawScene(canvas, picture, photo, view, shapes, draw) {
  const { width, height } = canvas, context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const at = (x, y) => [(x - view.x) * view.scale, (y - view.y) * view.scale];
  const [left, top] = at(0, 0), shown = [photo.width * view.scale, photo.height * view.scale];
  context.imageSmoothingQuality = "high";
  if (picture) context.drawImage(picture, left, top, ...shown);
  else {
    context.fillStyle = "#777";
    context.fillRect(left, top, ...shown);
  }
  const line = Math.max(1, Math.round(Math.max(width, height) / 500));
  for (const { runs, box, asked, color, sam } of shapes) {
    if (runs && (draw.mask || draw.contour)) paintMask(context, runs, photo, view, box, color, draw, line);
    if (sam && draw.sam) paintMask(context, sam.runs, photo, view, sam.box, [255, 255, 255], { dots: 4 * line }, line);
    if (!draw.box) continue;
    for (const [own, shade, dashes] of [[asked, "#fff", [4 * line, 4 * line]], [box, `rgb(${color})`, []]]) {
      if (!own) continue;
      for (const [style, width] of [[DARK_LINE, line + 2], [shade, line]]) {
        context.strokeStyle = style;
        context.lineWidth = width;
        context.setLineDash(dashes);
        context.strokeRect(...at(own[0], own[1]), own[2] * view.scale, own[3] * view.scale);
      }
    }
  }
}

/** Paint one mask, or its contour in dots of a length; only the part of the canvas that its box takes is looked at. */
function paintMask(context, runs, photo, view, box, color, draw, line) {
  const edge = line + 2;
  const x0 = Math.max(Math.floor((box[0] - view.x) * view.scale) - edge, 0);
  const y0 = Math.max(Math.floor((box[1] - view.y) * view.scale) - edge, 0);
  const width = Math.min(Math.ceil((box[0] + box[2] - view.x) * view.scale) + edge, context.canvas.width) - x0;
  const height = Math.min(Math.ceil((box[1] + box[3] - view.y) * view.scale) + edge, context.canvas.height) - y0;
  if (width <= 0 || height <= 0) return;
  const part = { x: view.x + x0 / view.scale, y: view.y + y0 / view.scale, scale: view.scale };
  const seen = rasterize(runs, photo, part, width, height);
  const layer = new OffscreenCanvas(width, height), own = layer.getContext("2d");
  const pixels = own.createImageData(width, height), bytes = pixels.data;
  const differs = (x, y, inside) => x >= 0 && y >= 0 && x < width && y < height ? seen[x * height + y] !== inside : inside === 1;
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      const inside = seen[x * height + y];
      let alpha = inside && draw.mask ? 115 : 0, isRim = false;
      if (draw.contour || (draw.dots && (x + y) % (2 * draw.dots) < draw.dots)) {
        let isEdge = false;
        for (let d = 1; d <= line && !isEdge; d++) {
          isEdge = differs(x - d, y, inside) || differs(x + d, y, inside) || differs(x, y - d, inside) || differs(x, y + d, inside);
        }
        if (isEdge) {
          alpha = inside ? 255 : 150;
          isRim = !inside;
        }
      }
      if (!alpha) continue;
      const i = 4 * (y * width + x);
      for (let n = 0; n < 3 && !isRim; n++) bytes[i + n] = color[n];
      bytes[i + 3] = alpha;
    }
  }
  own.putImageData(pixels, 0, 0);
  context.drawImage(layer, x0, y0);
}

const TASKS_MS = 6; // milliseconds of a frame that drawing may take
const tasks = [];

/** Do a task when its turn comes, few a frame, so that scrolling does not wait for them. */
function inTurn(task) {
  if (tasks.push(task) > 1) return;
  requestAnimationFrame(function work() {
    const end = performance.now() + TASKS_MS;
    while (tasks.length && performance.now() < end) tasks.shift()();
    if (tasks.length) requestAnimationFrame(work);
  });
}

const pictures = new Map();

/** An image of a file of this folder or of the disk; a few hundred are kept. Null where it cannot be shown. */
function loadPicture(url) {
  if (!url) return Promise.resolve(null);
  if (!pictures.has(url)) {
    if (pictures.size > 400) pictures.delete(pictures.keys().next().value);
    const picture = new Image();
    picture.src = url;
    pictures.set(url, picture.decode().then(() => picture, () => null));
  }
  return pictures.get(url);
}
