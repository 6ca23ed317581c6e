"use strict";
// A grid of cells of which only those in sight are there.

const SPARE_ROWS = 2; // above and below what is in sight
const NARROWEST = 200, NARROWEST_ON_A_PHONE = 150, GAP = 10, CAPTION = 64; // CSS pixels

class Gallery {
  /**
   * @param element a listbox
   * @param hooks {describe(item), caption(item), marked(item), paint(canvas, item), open(index), mark(item)}
   */
  constructor(element, hooks) {
    Object.assign(this, { element, hooks, items: [], cells: new Map(), active: -1 });
    this.later = 0;
    const render = () => {
      if (!this.later) this.later = requestAnimationFrame(() => { this.later = 0; this.render(); });
    };
    addEventListener("scroll", render, { passive: true });
    new ResizeObserver(() => { this.layout(); render(); }).observe(element);
    element.addEventListener("keydown", (event) => this.onKey(event));
    element.addEventListener("click", (event) => this.onClick(event));
    element.addEventListener("focus", () => { if (this.active < 0) this.activate(0); });
  }

  /** Show other items, from the first on. */
  show(items) {
    this.items = items;
    this.active = -1;
    this.element.removeAttribute("aria-activedescendant");
    this.clear();
    this.layout();
    const top = this.element.getBoundingClientRect().top;
    if (top < 0) scrollBy(0, top - this.covered());
    this.render();
  }

  layout() {
    const width = this.element.clientWidth;
    const narrowest = width < 500 ? NARROWEST_ON_A_PHONE : NARROWEST;
    const columns = Math.max(1, Math.floor((width + GAP) / (narrowest + GAP)));
    const cell = (width - GAP * (columns - 1)) / columns;
    if (cell !== this.cell) this.clear();
    Object.assign(this, { columns, cell, picture: Math.round(cell * 0.75) });
    this.row = this.picture + CAPTION + GAP;
    this.element.style.height = `${Math.ceil(this.items.length / columns) * this.row}px`;
  }

  /** How much of the top of the window the bar covers that stays there. */
  covered() {
    const bar = document.getElementById("status");
    return getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
  }

  clear() {
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
  }

  /** Make the cells in sight, and take away those that are not. */
  render() {
    const above = -this.element.getBoundingClientRect().top;
    const first = Math.max(0, (Math.floor(above / this.row) - SPARE_ROWS) * this.columns);
    const last = Math.min(this.items.length, (Math.ceil((above + innerHeight) / this.row) + SPARE_ROWS) * this.columns);
    for (const [index, cell] of this.cells) {
      if (index < first || index >= last) {
        cell.remove();
        this.cells.delete(index);
      }
    }
    for (let index = first; index < last; index++) if (!this.cells.has(index)) this.add(index);
    if (this.active >= 0) this.point();
  }

  add(index) {
    const item = this.items[index], cell = document.createElement("div");
    const canvas = document.createElement("canvas"), caption = document.createElement("div");
    cell.id = `cell-${index}`;
    cell.className = "cell";
    cell.setAttribute("role", "option");
    cell.setAttribute("aria-posinset", index + 1);
    cell.setAttribute("aria-setsize", this.items.length);
    cell.style.width = `${this.cell}px`;
    cell.style.transform =
      `translate(${(index % this.columns) * (this.cell + GAP)}px, ${Math.floor(index / this.columns) * this.row}px)`;
    canvas.width = Math.round(this.cell * devicePixelRatio);
    canvas.height = Math.round(this.picture * devicePixelRatio);
    canvas.style.height = `${this.picture}px`;
    canvas.setAttribute("aria-hidden", "true");
    caption.className = "caption";
    for (const text of this.hooks.caption(item)) {
      const line = document.createElement("span");
      line.textContent = text;
      caption.append(line);
    }
    cell.append(canvas, caption);
    this.cells.set(index, cell);
    this.label(index);
    this.element.append(cell);
    this.hooks.paint(canvas, item);
  }

  /** Say anew what a cell is and whether it is marked. */
  label(index) {
    const cell = this.cells.get(index);
    if (!cell) return;
    const marked = this.hooks.marked(this.items[index]);
    cell.setAttribute("aria-selected", marked);
    cell.setAttribute("aria-label", this.hooks.describe(this.items[index]) + (marked ? ", marked" : ""));
    cell.classList.toggle("active", index === this.active);
  }

  /** After a change of the marks. */
  relabel() {
    for (const index of this.cells.keys()) this.label(index);
  }

  /** After a change of what is drawn. */
  repaint() {
    for (const [index, cell] of this.cells) this.hooks.paint(cell.firstChild, this.items[index]);
  }

  /** Go to an item, and bring it into sight. */
  select(index) {
    this.activate(index);
    const box = this.element.getBoundingClientRect();
    const top = box.top + Math.floor(this.active / this.columns) * this.row, covered = this.covered();
    if (top < covered) scrollBy(0, top - covered - GAP);
    else if (top + this.row > innerHeight) scrollBy(0, top + this.row - innerHeight + GAP);
    this.render();
  }

  activate(index) {
    const before = this.active;
    this.active = Math.min(Math.max(index, 0), this.items.length - 1);
    this.label(before);
    this.label(this.active);
    this.point();
  }

  /** Tell screen readers which cell is meant; one that is out of sight is not there. */
  point() {
    if (this.cells.has(this.active)) this.element.setAttribute("aria-activedescendant", `cell-${this.active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.items.length) return;
    const page = Math.max(1, Math.floor(innerHeight / this.row)) * this.columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, PageDown: page,
      PageUp: -page, Home: -this.items.length, End: this.items.length };
    if (event.key in steps) this.select(this.active < 0 ? 0 : this.active + steps[event.key]);
    else if (this.active < 0) return;
    else if (event.key === "Enter") this.hooks.open(this.active);
    else if (event.key === "m" || event.key === " ") this.hooks.mark(this.items[this.active]);
    else return;
    event.preventDefault();
  }

  onClick(event) {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    const index = Number(cell.id.slice("cell-".length));
    this.select(index);
    if (event.shiftKey) this.hooks.mark(this.items[index]);
    else this.hooks.open(index);
  }
}
