// A table that is sorted by a click on a header and filtered by text; of many rows the first are shown until all are
// asked for. Arrow keys go from row to row.

const FIRST_ROWS = 200;

// columns: {name, title, value(row): what is sorted by, text(row), isText}; label: of the table; sortedBy: a column;
// equal rows are in the order of `rows`; open(row) in the element that has the id `opens`.
class SortedTable {
  constructor(host, {columns, rows, label, sortedBy, open, opens}) {
    Object.assign(this, {columns, rows, open, opens, limit: FIRST_ROWS, by: sortedBy, descending: true});
    this.filter = el("input", {type: "search", placeholder: "Filter, as in: front M5e6",
      "aria-label": `Filter ${label}`, on: {input: () => this.draw()}});
    this.told = el("span", {class: "told", role: "status"});
    this.more = el("button", {type: "button", class: "more", on: {click: () => {
      const shown = this.keys.items.length;
      this.limit = Infinity;
      this.draw();
      this.keys.items[shown].focus();
    }}});
    this.heads = columns.map((column) => el("th", {scope: "col", class: column.isText ? "text" : null}, el("button",
      {type: "button", title: column.title, on: {click: () => this.sort(column)}}, column.name)));
    this.body = el("tbody", {on: {keydown: (event) => this.keys.key(event), focusin: ({target}) => this.keys.stopAt(target)}});
    const table = el("table", {"aria-label": label}, el("thead", {}, el("tr", {}, ...this.heads)), this.body);
    host.replaceChildren(el("div", {class: "controls"}, this.filter, this.told),
      el("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": label}, table), this.more);
    this.draw();
  }

  sort(column) {
    this.descending = this.by === column ? !this.descending : !column.isText;
    this.by = column;
    this.draw();
  }

  ordered(rows) {
    const [sign, {value}] = [this.descending ? -1 : 1, this.by];
    return rows.map((row) => [value(row), row]).sort(([a], [b]) => {
      if (!known(a) || !known(b)) return known(b) - known(a);
      return a < b ? -sign : a > b ? sign : 0;
    }).map(([, row]) => row);
  }

  draw() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = this.ordered(this.rows.filter((row) => words.every((word) => row.searched.includes(word))));
    this.columns.forEach((column, number) => {
      const direction = this.descending ? "descending" : "ascending";
      this.heads[number].setAttribute("aria-sort", column === this.by ? direction : "none");
    });
    this.body.replaceChildren(...rows.slice(0, this.limit).map((row) => this.line(row)));
    this.keys = new Roving([...this.body.querySelectorAll("button")], UP_AND_DOWN);
    this.select(this.selected);
    const shown = Math.min(rows.length, this.limit);
    this.told.textContent = `${grouped(shown)} of ${grouped(this.rows.length)} shown`;
    this.more.hidden = shown === rows.length;
    this.more.textContent = `Show all ${grouped(rows.length)}`;
  }

  line(row) {
    const cells = this.columns.map((column, number) => number
      ? el("td", {class: column.isText ? "text" : null}, column.text(row))
      : el("th", {scope: "row"}, el("button", {type: "button", class: "link", tabindex: "-1", "aria-controls": this.opens,
        "data-trial": row.trial}, column.text(row))));
    return el("tr", {class: row.best ? "best" : row.front ? "front" : null, on: {click: () => this.open(row)}}, ...cells);
  }

  select(trial) {
    this.selected = trial;
    const found = this.buttonOf(trial);
    if (found) this.keys.stopAt(found);
    for (const button of this.keys.items) button.setAttribute("aria-expanded", button === found);
  }

  focus(trial) {
    (this.buttonOf(trial) ?? this.filter).focus();
  }

  buttonOf(trial) {
    return this.keys.items.find((button) => button.dataset.trial === String(trial));
  }
}
