// SPDX-License-Identifier: Apache-2.0
// A minute of two rates, and two levels to compare them with, as an SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320;
const HEIGHT = 150;
const LEFT = 30;
const BOTTOM = 18;
const TOP = 8;
const SECONDS = 60;

function make(parent, name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent.append(element);
  return element;
}

export class Graph {
  constructor(svg, title) {
    this.svg = svg;
    this.title = title;
    this.points = [];
    this.levels = {};
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.draw();
  }

  compare(levels) {
    this.levels = levels;
    this.draw();
  }

  clear() {
    this.points = [];
    this.draw();
  }

  // rates: kbit/s by the name of their line; null where it is unknown.
  add(rates) {
    this.points.push(rates);
    if (this.points.length > SECONDS) this.points.shift();
    this.draw();
  }

  // Nice and round, above everything that is shown.
  top() {
    const values = this.points.flatMap((point) => Object.values(point).filter((value) => value !== null));
    const most = Math.max(20, ...values, ...Object.values(this.levels)) * 1.05;
    return [20, 40, 60, 80, 100, 160, 200, 300, 500, 1000, 2000].find((step) => step >= most) ?? most;
  }

  draw() {
    const top = this.top();
    const y = (value) => TOP + (HEIGHT - BOTTOM - TOP) * (1 - Math.min(value, top) / top);
    const x = (index) => WIDTH - ((this.points.length - 1 - index) * (WIDTH - LEFT)) / (SECONDS - 1);
    this.svg.replaceChildren();
    for (const value of [0, top / 2, top]) {
      make(this.svg, "line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) });
      make(this.svg, "text", { x: LEFT - 4, y: y(value) + 4, "text-anchor": "end" }).textContent = `${value}`;
    }
    make(this.svg, "text", { x: LEFT, y: HEIGHT - 4 }).textContent = "kbit/s, the last minute";
    for (const [name, value] of Object.entries(this.levels)) {
      make(this.svg, "line", { class: `level ${name}`, x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) });
    }
    for (const name of Object.keys(this.points[0] ?? {})) {
      for (const points of this.pieces(name, x, y)) make(this.svg, "polyline", { class: name, points });
    }
    const last = this.points.at(-1);
    const said = last
      ? Object.entries(last).map(([name, value]) => `${name} ${value?.toFixed(1) ?? "unknown"}`)
      : ["no call"];
    this.svg.setAttribute("aria-label", `${this.title}, kbit/s: ${said.join(", ")}`);
  }
  // The pieces of a line between what is unknown, as polylines have their points.
  pieces(name, x, y) {
    const pieces = [[]];
    this.points.forEach((point, index) => {
      if (point[name] === null) pieces.push([]);
      else pieces.at(-1).push(`${x(index)},${y(point[name])}`);
    });
    return pieces.filter((piece) => piece.length).map((piece) => piece.join(" "));
  }
}
