"use strict";
// One photo as large as the window lets it be, with what is known of its masks.

class Viewer {
  /**
   * @param dialog the element
   * @param hooks {items(), scene(mask), marked(item), mark(item), go(index), facts(item), parts(item)}
   */
  constructor(dialog, hooks) {
    Object.assign(this, { dialog, hooks, index: -1 });
    const find = (id) => dialog.querySelector(`#${id}`);
    Object.assign(this, { canvas: dialog.querySelector("canvas"), find });
    find("close").addEventListener("click", () => dialog.close());
    find("previous").addEventListener("click", () => this.go(this.index - 1));
    find("next").addEventListener("click", () => this.go(this.index + 1));
    find("mark").addEventListener("click", () => this.mark());
    this.toggles = { 1: "mask", 2: "contour", 3: "box", 4: "others", 5: "sam", z: "zoom" };
    for (const name of Object.values(this.toggles)) find(`view-${name}`).addEventListener("change", () => this.paint());
    dialog.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => { if (dialog.open) this.paint(); }).observe(this.canvas.parentElement);
  }

  get item() {
    return this.hooks.items()[this.index];
  }

  open(index) {
    this.dialog.showModal();
    this.go(index);
    this.find("next").focus();
  }

  go(index) {
    const items = this.hooks.items();
    this.index = Math.min(Math.max(index, 0), items.length - 1);
    this.hooks.go(this.index);
    this.find("viewer-title").textContent = this.item.photo.file;
    this.find("place").textContent = `${this.index + 1} of ${items.length}`;
    this.find("previous").disabled = this.index === 0;
    this.find("next").disabled = this.index === items.length - 1;
    this.find("facts").replaceChildren(...this.hooks.facts(this.item).flatMap(([name, text]) => {
      const term = document.createElement("dt"), fact = document.createElement("dd");
      term.textContent = name;
      fact.textContent = text;
      return [term, fact];
    }));
    const parts = this.hooks.parts(this.item);
    this.find("why").hidden = !parts.length;
    this.find("parts").replaceChildren(...parts.map(([words, share]) => {
      const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
      const meter = document.createElement("meter");
      head.scope = "row";
      head.textContent = words;
      meter.value = share;
      meter.textContent = share.toFixed(2);
      cell.append(meter, ` ${share.toFixed(2)}`);
      row.append(head, cell);
      return row;
    }));
    this.label();
    this.paint();
  }

  label() {
    const marked = this.hooks.marked(this.item), button = this.find("mark");
    button.setAttribute("aria-pressed", marked);
    button.textContent = marked ? "Marked" : "Mark";
  }

  mark() {
    this.hooks.mark(this.item);
    this.label();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const toggle = this.toggles[event.key.toLowerCase()];
    if (event.key === "ArrowRight" || event.key === "ArrowDown") this.go(this.index + 1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") this.go(this.index - 1);
    else if (event.key === "m") this.mark();
    else if (toggle && !this.find(`view-${toggle}`).parentElement.hidden) this.find(`view-${toggle}`).click();
    else return;
    event.preventDefault();
  }

  /** Draw the thumbnail at once and the photo when it is there. */
  async paint() {
    const { item, canvas } = this, { photo } = item, stage = canvas.parentElement;
    const shown = (name) => this.find(`view-${name}`).checked;
    canvas.setAttribute("aria-label", describeItem(item));
    canvas.width = Math.max(1, Math.round(stage.clientWidth * devicePixelRatio));
    canvas.height = Math.max(1, Math.round(stage.clientHeight * devicePixelRatio));
    const token = (this.token = {});
    if (!photo.width) return;
    const masks = shown("others") ? photo.masks : item.masks;
    const draw = { mask: shown("mask"), contour: shown("contour"), box: shown("box"), sam: shown("sam") };
    const view = shown("zoom") && item.mask
      ? viewOfBox(photo, item.mask.box, canvas.width, canvas.height, 0.2)
      : viewOfAll(photo, canvas.width, canvas.height);
    const picturesOf = [loadPicture(photo.thumb), loadPicture(photo.url)];
    const shapes = await Promise.all(masks.map(this.hooks.scene));
    let small = null;
    for (const loading of picturesOf) {
      const picture = (await loading) ?? small;
      if (this.token !== token) return;
      small = picture;
      drawScene(canvas, picture, photo, view, shapes, draw);
    }
    canvas.dataset.drawn = `${item.key}`;
  }
}
