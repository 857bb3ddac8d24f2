// A picture of points: axes, error bars, a line; points are hovered over, clicked, and reached by keys.

const SHAPES = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  diamond: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
  triangle: (r) => `M0,${-1.2 * r}L${1.2 * r},${r}L${-1.2 * r},${r}Z`,
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  star: (r) => `M${Array.from({length: 10}, (_, corner) => {
    const [angle, length] = [(corner * Math.PI) / 5, corner % 2 ? 0.8 * r : 1.9 * r];
    return `${(length * Math.sin(angle)).toFixed(2)},${(-length * Math.cos(angle)).toFixed(2)}`;
  }).join("L")}Z`,
};
const MARGIN = {left: 54, right: 14, top: 30, bottom: 42};
const PER_TICK = 60; // pixels
const NEAR = 24; // pixels
const MANY = 500; // points, which are then drawn small

function linearTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({length: Math.floor(high / step + 1e-9) - first + 1}, (_, number) => (first + number) * step);
}

function logTicks(low, high, count) {
  const powers = Array.from({length: Math.ceil(Math.log10(high)) - Math.floor(Math.log10(low)) + 1},
    (_, number) => 10 ** (Math.floor(Math.log10(low)) + number));
  for (const times of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = powers.flatMap((power) => times.map((time) => time * power)).filter((tick) => tick >= low && tick <= high);
    if (ticks.length <= 1.5 * count && ticks.length > 2) return ticks;
  }
  return linearTicks(low, high, count);
}

// From values to pixels, with a twentieth of room at each end.
function scaleOf(axis, values, from, to) {
  const bend = axis.log ? Math.log : (value) => value;
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, bend(value)), Math.max(high, bend(value))];
  const room = (high - low) / 20 || Math.abs(low) / 20 || 0.5;
  [low, high] = [low - room, high + room];
  const place = (value) => from + ((bend(value) - low) / (high - low)) * (to - from);
  const count = Math.abs(to - from) / PER_TICK;
  const ticks = axis.log ? logTicks(Math.exp(low), Math.exp(high), count) : linearTicks(low, high, count);
  return {place, ticks: axis.isWhole ? ticks.filter(Number.isInteger) : ticks,
    low: axis.log ? Math.exp(low) : low, high: axis.log ? Math.exp(high) : high};
}

const charts = [];

// spec: label; x and y as {name, value(point), low(point), high(point), log, isWhole, format(value)}; points with trial,
// shape, look and isMain; isReached(point): by keys, where not all are; line: points in order; diagonal; tip(point):
// lines of text; open(point) in the element that has the id `opens`.
class Chart {
  constructor(host, spec) {
    this.host = host;
    // A mark that has the focus says the same by its label.
    this.tip = el("div", {class: "tip", "aria-hidden": "true", hidden: ""});
    charts.push(this);
    // At the host: a picture that listens to the focus is a stop of the Tab key itself.
    fill(host, {on: {
      focusin: ({target}) => {
        this.keys.stopAt(target);
        this.show(this.of(target));
      },
      focusout: () => this.hide(),
    }}, []);
    this.update(spec);
    let width = host.clientWidth;
    new ResizeObserver(() => {
      if (host.clientWidth !== width) this.draw();
      width = host.clientWidth;
    }).observe(host);
  }

  update(spec) {
    this.spec = spec;
    this.draw();
  }

  draw(width = Math.max(280, this.host.clientWidth)) {
    const {spec} = this;
    const height = spec.height ?? 400;
    const points = spec.points.filter((point) => known(spec.x.value(point)) && known(spec.y.value(point)));
    const ends = (axis) => points.flatMap((point) => [axis.value(point), axis.low?.(point), axis.high?.(point)])
      .filter((value) => known(value) && (!axis.log || value > 0));
    const [xs, ys] = [ends(spec.x), ends(spec.y)];
    const both = spec.diagonal ? [...xs, ...ys] : null;
    this.x = scaleOf(spec.x, both ?? xs, MARGIN.left, width - MARGIN.right);
    this.y = scaleOf(spec.y, both ?? ys, height - MARGIN.bottom, MARGIN.top);
    this.placed = points.map((point) =>
      ({point, x: this.x.place(spec.x.value(point)), y: this.y.place(spec.y.value(point))}));
    const root = svg("svg", {viewBox: `0 0 ${width} ${height}`, width: "100%", height, role: "group",
      "aria-label": `${spec.label}: ${points.length} points. ${spec.y.name} against ${spec.x.name}.`});
    root.append(this.axes(width, height));
    if (spec.diagonal) root.append(this.polyline([this.x.low, this.x.high]
      .map((value) => ({x: this.x.place(value), y: this.y.place(value)})), "diagonal"));
    root.append(...this.placed.filter(({point}) => point.bars).map((placed) => this.bars(placed)));
    for (const placed of this.placed) placed.mark = this.mark(placed);
    const reached = this.placed.filter(({point}) => this.isReached(point)).sort((a, b) => a.x - b.x || b.y - a.y);
    const focused = this.of(document.activeElement)?.point.trial;
    this.keys = new Roving(reached.map(({mark}) => mark), ANY_ARROW);
    this.byMark = new Map(reached.map((placed) => [placed.mark, placed]));
    this.ring = svg("path", {class: "ring", d: SHAPES.circle(11), hidden: ""});
    root.append(...this.placed.map(({mark}) => mark));
    if (spec.line) root.append(this.polyline(spec.line.map((point) =>
      ({x: this.x.place(spec.x.value(point)), y: this.y.place(spec.y.value(point))})), "line"));
    root.append(this.ring);
    fill(root, {on: {
      pointermove: (event) => this.hover(event), pointerleave: () => this.hide(),
      click: (event) => this.click(event), keydown: (event) => this.key(event),
    }}, []);
    this.host.replaceChildren(root, this.tip);
    this.root = root;
    this.select(this.selected);
    if (known(focused)) this.focus(focused);
  }

  of(mark) {
    return this.byMark?.get(mark);
  }

  axes(width, height) {
    const {spec} = this;
    const [left, bottom] = [MARGIN.left, height - MARGIN.bottom];
    const group = svg("g", {class: "axes", "aria-hidden": "true"});
    for (const tick of this.x.ticks) {
      const x = this.x.place(tick);
      group.append(svg("line", {x1: x, x2: x, y1: MARGIN.top, y2: bottom}),
        svg("text", {x, y: bottom + 17, "text-anchor": "middle"}, spec.x.format(tick)));
    }
    for (const tick of this.y.ticks) {
      const y = this.y.place(tick);
      group.append(svg("line", {x1: left, x2: width - MARGIN.right, y1: y, y2: y}),
        svg("text", {x: left - 7, y: y + 4, "text-anchor": "end"}, (spec.y.tick ?? spec.y.format)(tick)));
    }
    group.append(
      svg("text", {class: "name", x: width - MARGIN.right, y: height - 5, "text-anchor": "end"}, `${spec.x.name} →`),
      svg("text", {class: "name", x: 2, y: 14}, `↑ ${spec.y.name}`));
    return group;
  }

  polyline(places, look) {
    return svg("polyline", {class: look, points: places.map(({x, y}) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")});
  }

  bars({point, x, y}) {
    const {spec} = this;
    const ends = (axis, scale) => [axis.low?.(point), axis.high?.(point)].map((end) => known(end) ? scale.place(end) : null);
    const [[left, right], [bottom, top]] = [ends(spec.x, this.x), ends(spec.y, this.y)];
    const across = known(left) && known(right) ? `M${left},${y}H${right}` : "";
    const along = known(bottom) && known(top) ? `M${x},${bottom}V${top}` : "";
    return svg("path", {class: "bars", d: across + along});
  }

  mark({point, x, y}) {
    const isMany = this.placed.length > MANY && point.shape === "circle";
    const attributes = {class: `mark ${point.look}${isMany ? " is-many" : ""}`,
      d: SHAPES[point.shape](point.isMain ? 5 : isMany ? 2.5 : 4),
      transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`};
    if (!this.isReached(point)) return svg("path", attributes);
    return svg("path", {...attributes, tabindex: "-1", "aria-label": this.spec.tip(point).join(", "),
      role: this.spec.open ? "button" : "img", "aria-controls": this.spec.opens});
  }

  isReached(point) {
    return this.spec.isReached?.(point) ?? true;
  }

  nearest(event) {
    const box = this.root.getBoundingClientRect();
    const scale = box.width / this.root.viewBox.baseVal.width;
    const [x, y] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
    let [found, least] = [null, NEAR];
    for (const placed of this.placed) {
      // Of points near each other, one of the front is meant rather than one it dominates.
      const distance = Math.hypot(placed.x - x, placed.y - y) - (placed.point.isMain ? 3 : 0);
      if (distance < least) [found, least] = [placed, distance];
    }
    return found;
  }

  hover(event) {
    const found = this.nearest(event);
    this.root.classList.toggle("over", found !== null);
    if (found) this.show(found); else this.hide();
  }

  click(event) {
    const found = this.nearest(event);
    if (found) this.spec.open?.(found.point);
  }

  key(event) {
    this.keys.key(event);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.spec.open?.(this.of(event.target).point);
    } else if (event.key === "Escape" && !this.tip.hidden) {
      event.stopPropagation();
      this.hide();
    }
  }

  show({point, x, y}) {
    this.tip.replaceChildren(...this.spec.tip(point).map((line) => el("div", {}, line)));
    this.tip.hidden = false;
    const room = this.host.clientWidth - this.tip.offsetWidth - 4;
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, room))}px`;
    const above = y - this.tip.offsetHeight - 12;
    this.tip.style.top = `${above < 0 ? y + 14 : above}px`;
  }

  hide() {
    this.tip.hidden = true;
  }

  select(trial) {
    this.selected = trial;
    const found = known(trial) && this.placed.find(({point}) => point.trial === trial);
    this.ring.toggleAttribute("hidden", !found);
    if (found) this.ring.setAttribute("transform", `translate(${found.x},${found.y})`);
    if (found && this.isReached(found.point)) this.keys.stopAt(found.mark);
    if (this.spec.open) this.keys.items.forEach((mark) => mark.setAttribute("aria-expanded", this.of(mark) === found));
  }

  focus(trial) {
    (this.keys.items.find((mark) => this.of(mark).point.trial === trial) ?? this.keys.stop)?.focus();
  }
}

function legend(entries) {
  return el("ul", {class: "legend"}, ...entries.map(({shape, look, told}) =>
    el("li", {}, svg("svg", {width: 18, height: 18, viewBox: "-9 -9 18 18", "aria-hidden": "true"},
      svg("path", {class: `mark ${look}`, d: SHAPES[shape](4.5)})), told)));
}
